"""The composition root: builds the application and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from itertools import chain
from pathlib import Path

import structlog
from aiohttp import web

from . import log
from .access_log import AccessLog, structured
from .api import DIALECTS, build_models
from .api.endpoint import ENGINE, KEY_RING
from .api.metrics import METRICS, METRICS_APART, measuring
from .config import Settings, home_directory
from .engine import Engine
from .errors import BackendUnavailable, ConfigError
from .keys import Key, KeyRing, KeySources
from .keys.concealment import conceal
from .keys.file import CLIENT_KEY_FILE
from .limits import Connections, GuardedRunner
from .listening import joined, listen, names, port_of
from .metrics_listener import MetricsListener
from .middleware import MIDDLEWARES, answer_headers
from .middleware.closing import STOPPING
from .middleware.observe import ACCESS_LOG
from .middleware.rate_limit import limiter_of
from .pool import Cgroups
from .pool.cgroup import claim
from .pool.descendants import become_subreaper
from .service.activation import is_local, name_of, passed_sockets
from .service.log_file import LogFile
from .service.notify import ServiceManager

_log = structlog.get_logger(__name__)

EX_UNAVAILABLE = 69
"""Exit status when the address cannot be listened on (sysexits.h)."""

_STOP_ACCEPTING = 0.3  # seconds in which clients hear that their connection will be closed


def create_app(
    settings: Settings,
    environ: Mapping[str, str],
    ring: KeyRing | None = None,
    cgroups: Cgroups | None = None,
    access_log: AccessLog = structured,
) -> web.Application:
    """The application; its engine lives as long as it runs.

    Args:
        environ: the daemon's environment, of which agents get allowed names.
        ring: the API keys; None is a ring without any.
        cgroups: makes control groups for agents; None where there are none.
        access_log: is told of every request.
    """
    app = web.Application(client_max_size=settings.server.max_request_body_bytes or sys.maxsize)
    app[KEY_RING] = KeyRing() if ring is None else ring
    app[STOPPING] = asyncio.Event()
    app[ACCESS_LOG] = access_log

    async def engine(app: web.Application) -> AsyncIterator[None]:
        app[ENGINE] = engine = Engine(settings, environ, cgroups)
        yield
        await engine.aclose()

    async def drain(app: web.Application) -> None:
        await app[ENGINE].drain(app[ENGINE].settings.server.shutdown_grace_secs)

    app.cleanup_ctx.append(engine)
    app.on_shutdown.append(drain)
    if settings.server.metrics_enabled:
        from .metrics.metrics import Metrics  # some 30 ms that nobody else need wait

        app[METRICS] = Metrics()
        app[METRICS_APART] = settings.server.metrics_port is not None
        app.cleanup_ctx.append(measuring)
    app.cleanup_ctx.append(limiter_of(settings))
    app.middlewares.extend(make(settings, app) for make in MIDDLEWARES)
    app.on_response_prepare.append(answer_headers(settings, app))
    for dialect in DIALECTS:
        app.cleanup_ctx.extend(dialect.lifetimes)
        for route in dialect.endpoints:
            methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
            for method in methods:
                app.router.add_route(method, dialect.prefix + route.path, route.handler)
    return app


def serve(load: Callable[[], Settings], log_file: Path | None = None) -> int:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP reads the configuration again.

    Args:
        load: reads the configuration.
        log_file: takes the place of standard output and error, and is kept from growing.

    Returns:
        The exit status: 0, or 69 when the address is taken.

    Raises:
        ConfigError: the configuration is wrong, asks for what cannot be enforced, or its keys
            cannot be read.
    """
    conceal()
    manager = ServiceManager(os.environ)
    rotated = LogFile(log_file) if log_file else None
    settings = load()
    debug = bool(os.environ.get("CLINVK_DEBUG"))
    access_log = log.set_up(settings.log, debug=debug, environ=os.environ)
    sources = KeySources(os.environ)
    ring = _key_ring(sources.load(settings.server))
    passed = passed_sockets(os.environ)
    _check(settings, ring, passed)
    become_subreaper()
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        # The default of 3.11 is a thread per child; later versions do this by themselves.
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    app = create_app(settings, os.environ, ring, claim(), access_log)
    return asyncio.run(_serve(app, settings, load, sources, manager, passed, rotated))


async def _serve(
    app: web.Application,
    settings: Settings,
    load: Callable[[], Settings],
    sources: KeySources,
    manager: ServiceManager,
    passed: Sequence[socket.socket],
    rotated: LogFile | None,
) -> int:
    # Before anything that a signal would otherwise leave behind.
    stop, again = _told_by(signal.SIGTERM, signal.SIGINT), _told_by(signal.SIGHUP)
    server, ring = settings.server, app[KEY_RING]
    runner = GuardedRunner(
        app,
        connections=Connections(server),
        handler_cancellation=True,
        access_log=None,
        keepalive_timeout=server.idle_timeout_secs,
        shutdown_timeout=5,
    )
    await runner.setup()
    metrics = MetricsListener(app, settings)
    with ExitStack() as stack:
        try:
            try:
                await listen(runner, server, passed, stack)
                await metrics.open()
            except OSError as error:
                print(f"clinvk: cannot listen on {error.filename}: {error}", file=sys.stderr)
                return EX_UNAVAILABLE
            engine = app[ENGINE]
            await engine.start()
            manager.watch()
            stack.callback(manager.unwatch)
            if rotated:
                rotated.watch()
                stack.callback(rotated.unwatch)
            manager.ready(_status(runner, engine))
            if not manager.listens:  # nobody sits in front of a service
                print(_greeting(runner, engine, ring), flush=True)
            await build_models()
            gc.collect()
            gc.freeze()

            async def reload() -> None:
                manager.reloading()
                await _reload(engine, load, ring)
                await _renew(ring, sources, engine.settings)
                manager.ready(_status(runner, engine))

            await _until_told_to_stop(stop, again, reload)
            manager.stopping(_longest_stop(engine.settings))
            app[STOPPING].set()
            await asyncio.gather(*(site.stop() for site in runner.sites))
            await asyncio.sleep(_STOP_ACCEPTING)
        finally:
            await metrics.aclose()
            await runner.cleanup()
    return 0


def _longest_stop(settings: Settings) -> float:
    """Seconds a stop may take: running turns get to end, then agents are ended in three steps."""
    agents = max((settings.pool_of(name).stop_grace_secs for name in settings.backends), default=0)
    return settings.server.shutdown_grace_secs + 3 * agents + 10


def _status(runner: GuardedRunner, engine: Engine) -> str:
    """One line for `systemctl status`."""
    try:
        return f"Listening on {names(runner)}; default backend: {engine.default_backend()[0]}."
    except BackendUnavailable:
        return f"Listening on {names(runner)}; no backend is available."


def _told_by(*signals: signal.Signals) -> asyncio.Event:
    """An event that any of these signals sets."""
    told = asyncio.Event()
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


async def _until_told_to_stop(
    stop: asyncio.Event, again: asyncio.Event, reload: Callable[[], Awaitable[None]]
) -> None:
    loop = asyncio.get_running_loop()
    stopping = loop.create_task(stop.wait(), name="stop signal")
    while not stop.is_set():
        reloading = loop.create_task(again.wait(), name="reload signal")
        await asyncio.wait((stopping, reloading), return_when=asyncio.FIRST_COMPLETED)
        if again.is_set() and not stop.is_set():
            again.clear()
            await reload()
        reloading.cancel()
        with suppress(asyncio.CancelledError):
            await reloading
    _log.info("stopping")


async def _reload(engine: Engine, load: Callable[[], Settings], ring: KeyRing) -> None:
    """Take a new configuration if it is right; else keep the old one and say so."""
    try:
        settings = await asyncio.to_thread(load)
        _check(settings, ring)
        old = engine.settings.server
        await engine.reload(settings)
    except ConfigError as error:
        _log.error("configuration not reloaded, the old one stays", problems=str(error))
        return
    if settings.server != old:
        _log.warning("changes of the server section need a restart")
    _log.info("configuration reloaded")


async def _renew(ring: KeyRing, sources: KeySources, settings: Settings) -> None:
    """Read the keys again, also beside a configuration that is wrong: a revoked one must go."""
    found, problems = await asyncio.to_thread(sources.load_again, settings.server)
    try:
        ring.replace(chain.from_iterable(found.values()))
    except ConfigError as error:
        problems.append(str(error))
    ring.stale = "\n".join(problems) or None
    if problems:
        _log.error("API keys not reloaded, the old ones of that source stay", problems=ring.stale)
    elif ring.required and not len(ring):
        _log.warning("no API key is valid any more, so nobody can come in")
    elif ring.required:
        _log.info("API keys reloaded", valid=len(ring))


def _key_ring(found: Mapping[str, Sequence[Key]]) -> KeyRing:
    """The keys to start with.

    Raises:
        ConfigError: sources are configured, but there is no key in any of them.
    """
    if found and not any(found.values()):
        raise ConfigError(
            f"{', '.join(found)}: no API key is left there, so nobody could come in; make one with"
            " `clinvk keys generate`, or remove the file"
        )
    return KeyRing(chain.from_iterable(found.values()))


def _check(settings: Settings, ring: KeyRing, passed: Sequence[socket.socket] = ()) -> None:
    """Refuse to serve with doors that are more open than the configuration says.

    Raises:
        ConfigError: naming the keys.
    """
    if ring.required:
        return
    host = settings.server.host
    if host != "localhost" and not _is_loopback(host):
        raise ConfigError(
            f"server.host: {host!r} is not a loopback address; without API keys only this"
            " machine may connect (127.0.0.1, ::1, localhost). Make a key with `clinvk keys"
            " generate`"
        )
    for listener in passed:
        if not is_local(listener):
            raise ConfigError(
                f"the service manager passed a socket that listens on {name_of(listener)}; without"
                " API keys only this machine may connect. Make a key with `clinvk keys generate`"
            )
    if "*" in settings.server.cors_allowed_origins:
        raise ConfigError(
            "server.cors_allowed_origins: '*' lets every web page in, so it needs API keys"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _key_header(ring: KeyRing) -> str:
    """What a command line has to say for its key, or nothing."""
    if not ring.required:
        return ""
    path = home_directory(os.environ) / CLIENT_KEY_FILE
    return f' -H "Authorization: Bearer $(cat {shlex.quote(str(path))})"'


def _banner(engine: Engine, host: str, port: int, header: str = "") -> str:
    address = joined(host, port)
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
        f"Dashboard: http://{address}/",
        "Try it:",
        f"  curl -N http://{address}/api/v1/prompt -H 'Content-Type: application/json' \\",
        f"""    -H 'Accept: text/event-stream'{header} -d '{{"prompt": "Say hello."}}'""",
    ]
    return "\n".join(lines)


def _greeting(runner: GuardedRunner, engine: Engine, ring: KeyRing) -> str:
    """The banner, or where there is no port, the name of the socket."""
    if port := port_of(runner):
        return _banner(engine, *port, _key_header(ring))
    return f"clinvk is listening on {names(runner)}"
