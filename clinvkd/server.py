"""The composition root: builds the application and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address

import structlog
from aiohttp import web

from . import log
from .api import DIALECTS
from .api.endpoint import ENGINE
from .config import Settings, api_keys_configured
from .engine import Engine
from .errors import BackendUnavailable, ConfigError
from .middleware import MIDDLEWARES
from .middleware.observe import add_request_id
from .pool.descendants import become_subreaper

_log = structlog.get_logger(__name__)

EX_UNAVAILABLE = 69
"""Exit status when the address cannot be listened on (sysexits.h)."""


def create_app(settings: Settings, environ: Mapping[str, str]) -> web.Application:
    """The application; its engine lives as long as it runs.

    Args:
        environ: the daemon's environment, of which agents get allowed names.
    """
    app = web.Application(
        middlewares=[factory(settings) for factory in MIDDLEWARES],
        client_max_size=settings.server.max_request_body_bytes or sys.maxsize,
    )

    async def engine(app: web.Application) -> AsyncIterator[None]:
        app[ENGINE] = engine = Engine(settings, environ)
        yield
        await engine.aclose()

    async def drain(app: web.Application) -> None:
        await app[ENGINE].drain(app[ENGINE].settings.server.shutdown_grace_secs)

    app.cleanup_ctx.append(engine)
    app.on_shutdown.append(drain)
    app.on_response_prepare.append(add_request_id)
    for dialect in DIALECTS:
        app.cleanup_ctx.extend(dialect.lifetimes)
        for route in dialect.endpoints:
            methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
            for method in methods:
                app.router.add_route(method, dialect.prefix + route.path, route.handler)
    return app


def serve(load: Callable[[], Settings]) -> int:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP reads the configuration again.

    Args:
        load: reads the configuration.

    Returns:
        The exit status: 0, or 69 when the address is taken.

    Raises:
        ConfigError: the configuration is wrong, or asks for what cannot be enforced.
    """
    settings = load()
    _check(settings)
    log.set_up(settings.log, debug=bool(os.environ.get("CLINVK_DEBUG")))
    become_subreaper()
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        # The default of 3.11 is a thread per child; later versions do this by themselves.
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    return asyncio.run(_serve(settings, load))


async def _serve(settings: Settings, load: Callable[[], Settings]) -> int:
    # Before anything that a signal would otherwise leave behind.
    stop, again = _told_by(signal.SIGTERM, signal.SIGINT), _told_by(signal.SIGHUP)
    app = create_app(settings, os.environ)
    server = settings.server
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        keepalive_timeout=server.idle_timeout_secs,
        shutdown_timeout=5,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, server.host, server.port)
        try:
            await site.start()
        except OSError as error:
            print(f"clinvk: cannot listen on {server.host}:{server.port}: {error}", file=sys.stderr)
            return EX_UNAVAILABLE
        engine = app[ENGINE]
        await engine.start()
        print(_banner(engine, str(runner.addresses[0][0]), int(runner.addresses[0][1])), flush=True)
        gc.collect()
        gc.freeze()
        await _until_told_to_stop(stop, again, engine, load)
    finally:
        await runner.cleanup()
    return 0


def _told_by(*signals: signal.Signals) -> asyncio.Event:
    """An event that any of these signals sets."""
    told = asyncio.Event()
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


async def _until_told_to_stop(
    stop: asyncio.Event, again: asyncio.Event, engine: Engine, load: Callable[[], Settings]
) -> None:
    loop = asyncio.get_running_loop()
    stopping = loop.create_task(stop.wait(), name="stop signal")
    while not stop.is_set():
        reloading = loop.create_task(again.wait(), name="reload signal")
        await asyncio.wait((stopping, reloading), return_when=asyncio.FIRST_COMPLETED)
        if again.is_set() and not stop.is_set():
            again.clear()
            await _reload(engine, load)
        reloading.cancel()
        with suppress(asyncio.CancelledError):
            await reloading
    _log.info("stopping")


async def _reload(engine: Engine, load: Callable[[], Settings]) -> None:
    """Take a new configuration if it is right; else keep the old one and say so."""
    try:
        settings = await asyncio.to_thread(load)
        _check(settings)
        old = engine.settings.server
        await engine.reload(settings)
    except ConfigError as error:
        _log.error("configuration not reloaded, the old one stays", problems=str(error))
        return
    if settings.server != old:
        _log.warning("changes of the server section need a restart")
    _log.info("configuration reloaded")


def _check(settings: Settings) -> None:
    """Refuse to serve with doors that are more open than the configuration says.

    Raises:
        ConfigError: naming the keys.
    """
    asked = list(settings.not_enforced())
    if api_keys_configured(os.environ):
        asked.append("CLINVK_API_KEYS")
    if asked:
        raise ConfigError(f"{', '.join(asked)}: not enforced by this version, so it does not start")
    host = settings.server.host
    if host != "localhost" and not _is_loopback(host):
        raise ConfigError(
            f"server.host: {host!r} is not a loopback address; without API keys only this"
            " machine may connect (127.0.0.1, ::1, localhost)"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _banner(engine: Engine, host: str, port: int) -> str:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"clinvk is listening on http://{address}"]
    for report in engine.report():
        state = "available" if report.reason is None else report.reason.partition(" (")[0]
        lines.append(f"  {report.name:<10} {state}")
    try:
        name, why = engine.default_backend()
    except BackendUnavailable as error:
        return "\n".join([*lines, f"Default backend: none ({error.message})."])
    lines += [
        f"Default backend: {name} ({why}).",
        "Try it:",
        f"  curl -N http://{address}/api/v1/prompt -H 'Content-Type: application/json' \\",
        """    -H 'Accept: text/event-stream' -d '{"prompt": "Say hello."}'""",
    ]
    return "\n".join(lines)
