"""How every command that asks a daemon runs: options, connection, signals, errors, exit status."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import click

from ..client import (
    Address,
    Client,
    Failure,
    answers,
    api_key,
    find_address,
    parse_address,
    spawned,
)
from ..config import Settings, home_directory
from ..errors import ConfigError
from .exit_status import BROKEN_PIPE, EX_IOERR, exit_status_of
from .terminal import Terminal

_Result = TypeVar("_Result")
_Options = ParamSpec("_Options")

CLIENT_KEY_FILE = "client-key"
"""As `clinvkd.keys.file` names it, whose import would cost every command as much as click."""


class Invocation:
    """One run of a command: its settings, its terminal, and a daemon to ask; a context manager.

    Coroutines run by `run`, so that between them a command may wait for the keyboard.

    Attributes:
        client: asks the daemon.
        as_json: one JSON document is wanted.
    """

    client: Client

    def __init__(
        self,
        settings: Settings,
        terminal: Terminal,
        *,
        config: Path | None = None,
        address: Address | None = None,
        key: str | None = None,
        spawn: bool = False,
        as_json: bool = False,
    ) -> None:
        self.settings = settings
        self.terminal = terminal
        self.as_json = as_json
        self._config = config
        self._address = address
        self._key = key
        self._spawn = spawn
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        try:
            self.client = self.run(self._connect())
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def run(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine; Ctrl-C cancels it and is a KeyboardInterrupt afterwards."""
        return self._runner.run(coroutine)

    async def _connect(self) -> Client:
        if self._spawn:
            address = await self._spawned()
        else:
            address = find_address(self._address, self.settings, os.environ)
        return await self._stack.enter_async_context(Client(address, self._key_for(address)))

    async def _spawned(self) -> Address:
        """A daemon that is there already, else a new one: two would share one store."""
        if self._address is not None or self.settings.server.port:
            address = find_address(self._address, self.settings, os.environ)
            if await answers(address, self._key_for(address)):
                return address
        return await self._stack.enter_async_context(spawned(self._config))

    def _key_for(self, address: Address) -> str | None:
        file = home_directory(os.environ) / CLIENT_KEY_FILE
        return api_key(self._key, address, os.environ, file)

    def _close(self) -> None:
        try:
            self.run(self._disconnect())
        finally:
            self._runner.close()

    async def _disconnect(self) -> None:
        # A signal may have left a task in the middle of something.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._stack.aclose()


def _address(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Address | None:
    try:
        return None if value is None else parse_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


CONNECTION_OPTIONS: Sequence[click.Option] = (
    click.Option(
        ["--config", "path"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Configuration file that tells where the daemon listens.",
    ),
    click.Option(
        ["--url"],
        callback=_address,
        metavar="URL",
        help="Where the daemon is: http://HOST:PORT or unix:/PATH.  [$CLINVK_URL]",
    ),
    click.Option(
        ["--api-key"],
        metavar="KEY",
        help="Key to show; the variable hides it from other users.  [$CLINVK_API_KEY]",
    ),
    click.Option(
        ["--spawn"],
        is_flag=True,
        help="If no daemon answers, start one for this command only.",
    ),
    click.Option(["-q", "--quiet"], is_flag=True, help="Answers and errors only."),
)
"""What every command takes that asks a daemon."""


class DaemonCommand(click.Command):
    """A command that asks a daemon; its callback is made by `asks_daemon`."""

    def __init__(
        self,
        name: str | None,
        *,
        params: list[click.Parameter] | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(name, params=[*(params or ()), *CONNECTION_OPTIONS], **keywords)


as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document, errors included."
)


def asks_daemon(
    function: Callable[Concatenate[Invocation, _Options], int],
) -> Callable[..., None]:
    """Make the callback of a `DaemonCommand` of a function that gives the exit status."""

    @functools.wraps(function)
    def command(
        *,
        path: Path | None,
        url: Address | None,
        api_key: str | None,
        spawn: bool,
        quiet: bool,
        as_json: bool = False,
        **options: Any,
    ) -> None:
        def work() -> int:
            settings = Settings.load(path)
            terminal = Terminal(color=settings.output.color, quiet=quiet or as_json)
            with Invocation(
                settings,
                terminal,
                config=path,
                address=url,
                key=api_key,
                spawn=spawn,
                as_json=as_json,
            ) as invocation:
                return function(invocation, **options)  # type: ignore[call-arg]

        click.get_current_context().exit(_carried_out(work, as_json=as_json))

    return command


def _carried_out(work: Callable[[], int], *, as_json: bool) -> int:
    """The exit status of a command; whatever ends it early is told where it is looked for."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _leave)
    try:
        return _done(work, as_json=as_json)
    except OSError as error:  # mostly of standard output, which then takes no JSON either
        broken = error.errno == errno.EPIPE
        if not broken:
            with suppress(OSError):  # standard error may be what fails
                click.echo(f"clinvk: {_io_failure(error).message}", err=True)
        _drop_unwritten()
        return BROKEN_PIPE if broken else EX_IOERR


def _done(work: Callable[[], int], *, as_json: bool) -> int:
    try:
        status = work()
        sys.stdout.flush()
    except Failure as failure:
        return _told(failure, as_json=as_json)
    except (ConfigError, click.UsageError) as error:
        if not as_json:
            raise
        match error:
            case click.UsageError():
                text, kind = error.format_message(), "usage"
            case _:
                text, kind = str(error), "configuration"
        return _told(Failure(text, code=kind, type=kind), as_json=True)
    except KeyboardInterrupt:
        told = Failure("interrupted", code="interrupted", type="interrupted")
        return _told(told, as_json=True) if as_json else exit_status_of(told.type)
    except OSError as error:
        if not as_json or error.errno == errno.EPIPE:
            raise
        return _told(_io_failure(error), as_json=True)
    return status


def _io_failure(error: OSError) -> Failure:
    place = f": {error.filename}" if error.filename else ""
    text = f"input or output failed: {error.strerror or error}{place}"
    return Failure(text, code="io_error", type="io_error")


def _drop_unwritten() -> None:
    """Drop what the outputs do not take: in their buffers it would fail again at the end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _told(failure: Failure, *, as_json: bool) -> int:
    if as_json:
        Terminal().document(failure.body())
    else:
        Terminal().report(f"clinvk: {failure.message}")
    return exit_status_of(failure.type)


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave by way of all context managers, so that nothing is left running."""
    raise SystemExit(128 + number)
