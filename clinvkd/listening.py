"""Where the daemon listens: at its configured addresses, or at sockets that were passed to it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import structlog
from aiohttp import web

from .config import ServerSettings
from .limits import GuardedRunner
from .service.activation import name_of
from .unix_socket import bound

_LONG_BACKLOG = 4096  # connections that wait at a passed socket while the daemon is started again

_log = structlog.get_logger(__name__)


async def listen(
    runner: GuardedRunner,
    server: ServerSettings,
    passed: Sequence[socket.socket],
    stack: ExitStack,
) -> None:
    """Open the listeners, or take those that were passed: then the configured ones do not count.

    Args:
        stack: closes what the runner does not.

    Raises:
        OSError: with the address as its `filename`.
    """
    if passed:
        for listener in passed:
            await web.SockSite(runner, listener, backlog=_LONG_BACKLOG).start()
        _log.info("sockets taken", addresses=[name_of(listener) for listener in passed])
        return
    where = f"{server.host}:{server.port}"
    try:
        await web.TCPSite(runner, server.host, server.port).start()
        if server.unix_socket:
            where = server.unix_socket
            own = stack.enter_context(bound(Path(where), int(server.unix_socket_mode, 8)))
            await web.SockSite(runner, own).start()
    except OSError as error:
        raise OSError(error.errno, error.strerror, where) from error


def port_of(runner: GuardedRunner) -> tuple[str, int] | None:
    """Host and port of the first TCP listener; None if there are unix sockets only."""
    for address in runner.addresses:
        if not isinstance(address, str):
            return str(address[0]), int(address[1])
    return None


def names(runner: GuardedRunner) -> str:
    """All addresses, for people."""
    return " and ".join(
        f"unix:{address}" if isinstance(address, str) else joined(*address[:2])
        for address in runner.addresses
    )


def joined(host: str, port: int) -> str:
    """Host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
