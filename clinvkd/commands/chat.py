"""`clinvk chat`: a conversation at a terminal, or message by message from standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..client import Failure
from .answering import ask
from .exit_status import INTERRUPTED, OK
from .invocation import DaemonCommand, Invocation, asks_daemon
from .request import agent_options, backend_option, given

_BLOCK = '"""'
_MOST_REMEMBERED = 1000
_HELP = f"""\
/new              begin a new conversation
/backend [NAME]   go on with another backend, or tell which there are
/model [NAME]     go on with another model, or with the backend's own
/title TEXT       give the conversation a title
/exit             leave; so does Ctrl-D
/help             this list
A line that ends with a backslash goes on in the next one; {_BLOCK} begins and ends several lines.
A message that begins with / is written with two. Ctrl-C interrupts an answer, or leaves."""


@click.command(cls=DaemonCommand)
@backend_option
@agent_options
@click.option("--session", metavar="ID", help="Go on with this session; its beginning will do.")
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep what is typed in this file, readable by this user only, for the arrow keys.",
)
@asks_daemon
def chat(
    invocation: Invocation,
    *,
    backend: str | None,
    agent: Mapping[str, Any],
    session: str | None,
    history: Path | None,
) -> int:
    """Talk with an agent; /help tells what else can be typed.

    Without a terminal every line of standard input is a message.
    """
    session_id = None
    if session:
        session_id = invocation.run(invocation.client.call("GET", "sessions", session))["id"]
    with _typed(history):
        return converse(invocation, session_id=session_id, backend=backend, agent=agent)


def converse(
    invocation: Invocation,
    *,
    session_id: str | None = None,
    backend: str | None = None,
    agent: Mapping[str, Any] | None = None,
) -> int:
    """Talk until somebody leaves; the exit status.

    Args:
        session_id: the session to go on with; None for a new one.
        agent: the options of the agent, as members of a request.
    """
    return _Chat(invocation, session_id, backend, dict(agent or {})).run()


class _Left(Exception):
    """Somebody wants to leave."""


class _Chat:
    def __init__(
        self,
        invocation: Invocation,
        session_id: str | None,
        backend: str | None,
        agent: dict[str, Any],
    ) -> None:
        self._invocation = invocation
        self._terminal = invocation.terminal
        self._session_id = session_id
        self._backend = backend
        self._agent = agent
        self._typing = sys.stdin.isatty()
        self._commands: Mapping[str, Callable[[str], None]] = {
            "/new": self._new,
            "/backend": self._change_backend,
            "/model": self._change_model,
            "/title": self._give_title,
            "/exit": self._leave,
            "/help": self._help,
        }

    def run(self) -> int:
        """The exit status once somebody leaves."""
        if self._typing:
            self._terminal.note("(/help tells what else can be typed, Ctrl-D leaves)")
        while True:
            try:
                text = self._read()
            except EOFError:
                if self._typing:
                    self._terminal.line()
                return OK
            except KeyboardInterrupt:
                self._terminal.line()
                return INTERRUPTED
            try:
                self._take(text)
            except _Left:
                return OK
            except Failure as failure:
                if not self._typing:
                    raise
                self._terminal.report(f"clinvk: {failure.message}")
            except KeyboardInterrupt:
                if not self._typing:
                    raise
                self._terminal.end()
                self._terminal.report("(interrupted; it is no part of the conversation)")

    def _read(self) -> str:
        """The next message, which may have several lines."""
        line = self._line("> ")
        if line.strip() == _BLOCK:
            lines: list[str] = []
            while (line := self._line(". ")).strip() != _BLOCK:
                lines.append(line)
            return "\n".join(lines)
        lines = [line]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(self._line(". "))
        return "\n".join(lines)

    def _line(self, invitation: str) -> str:
        return input(invitation if self._typing else "")

    def _take(self, text: str) -> None:
        if not text.strip():
            return
        if text.startswith("/") and not text.startswith("//"):
            name, _, argument = text.strip().partition(" ")
            command = self._commands.get(name)
            if command is None:
                raise Failure(f"there is no {name}; /help lists what there is")
            command(argument.strip())
            return
        body = given(
            backend=self._backend,
            session_id=self._session_id,
            prompt=text.removeprefix("/") if text.startswith("//") else text,
            **self._agent,
        )
        answer = self._invocation.run(ask(self._invocation, body))
        self._session_id = answer.session_id or self._session_id

    def _new(self, _: str) -> None:
        self._session_id = None

    def _change_backend(self, name: str) -> None:
        listed = self._call("GET", "backends")["backends"]
        if not name:
            for backend in listed:
                mark = "*" if backend["name"] == self._backend else " "
                state = "" if backend["available"] else f"  {backend['reason'].partition(' (')[0]}"
                self._terminal.line(f"{mark} {backend['name']}{state}")
        elif name in {backend["name"] for backend in listed}:
            self._backend = name
            self._agent.pop("model", None)  # another backend has other models
        else:
            raise Failure(f"there is no backend {name!r}; /backend lists what there is")

    def _change_model(self, name: str) -> None:
        self._agent.pop("model", None)
        if name:
            self._agent["model"] = name

    def _give_title(self, title: str) -> None:
        if self._session_id is None:
            raise Failure("there is no conversation yet: say something first")
        self._call("PATCH", "sessions", self._session_id, body={"title": title})

    def _leave(self, _: str) -> None:
        raise _Left

    def _help(self, _: str) -> None:
        self._terminal.line(_HELP)

    def _call(self, method: str, *path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._invocation.run(self._invocation.client.call(method, *path, body=body))


@contextmanager
def _typed(history: Path | None) -> Iterator[None]:
    """Editing of what is typed, with the history of earlier times if there is a file for it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield
        return
    import readline

    if history is None:
        yield
        return
    try:
        # Private from the first moment on; what is there already is made so.
        descriptor = os.open(history, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
        readline.read_history_file(history)
    except OSError as error:
        raise click.UsageError(f"--history: {history}: {error.strerror}") from None
    readline.set_history_length(_MOST_REMEMBERED)
    try:
        yield
    finally:
        try:
            readline.write_history_file(history)
            history.chmod(0o600)
        except OSError as error:
            raise Failure(
                f"--history: {history}: cannot be written: {error.strerror}",
                code="io_error",
                type="io_error",
            ) from None
