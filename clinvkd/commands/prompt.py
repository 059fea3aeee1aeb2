"""`clinvk prompt` and `clinvk resume`: one prompt, in a new conversation or in one there is."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..client import Failure
from .answering import Answer, ask, limited, note_ignored
from .chat import converse
from .exit_status import OK
from .invocation import DaemonCommand, Invocation, as_json_option, asks_daemon
from .request import (
    agent_options,
    backend_option,
    background_option,
    dry_run_option,
    given,
    idempotency_option,
    json_schema_of,
    keyed,
    prompt_text,
)
from .results import status_of
from .words import ago, first_line

_MOST_LISTED = 20

_timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Most seconds it may take.  [unified_flags.command_timeout_secs]",
)


@click.command(cls=DaemonCommand)
@click.argument("text", metavar="[PROMPT]", required=False)
@backend_option
@agent_options
@click.option("--session", metavar="ID", help="Go on with this session; its beginning will do.")
@click.option("-c", "--continue", "newest", is_flag=True, help="Go on with the last session.")
@click.option("--ephemeral", is_flag=True, help="Keep nothing of it.")
@click.option(
    "--schema",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="JSON Schema that the answer, one JSON value, must fit.",
)
@_timeout_option
@dry_run_option
@background_option
@idempotency_option
@as_json_option
@asks_daemon
def prompt(
    invocation: Invocation,
    *,
    text: str | None,
    backend: str | None,
    agent: Mapping[str, Any],
    session: str | None,
    newest: bool,
    ephemeral: bool,
    schema: Path | None,
    timeout: float | None,
    dry_run: bool,
    background: bool,
    idempotency_key: str | None,
) -> int:
    """Ask an agent, and print its answer as it comes.

    Without PROMPT, and for `-`, standard input is the prompt.
    """
    if session and newest:
        raise click.UsageError("--session names one session, --continue another")
    if background and timeout is not None:
        raise click.UsageError("--timeout is for an answer that is waited for, not for a job")
    body = given(backend=backend, ephemeral=ephemeral, dry_run=dry_run, **agent)
    body["prompt"] = prompt_text(text)
    if schema is not None:
        body["schema"] = json_schema_of(schema)
    if newest:
        body["session_id"] = _newest(invocation, {})["id"]
    elif session:
        body["session_id"] = _found(invocation, session)["id"]
    headers = keyed(idempotency_key)
    if background and not dry_run:  # which makes no job
        return _begin(invocation, body, headers)
    return _ask(invocation, body, headers, timeout)


@click.command(cls=DaemonCommand)
@click.argument("words", metavar="[ID] [PROMPT]", nargs=-1)
@click.option("--last", is_flag=True, help="The session that was used last.")
@click.option("--here", is_flag=True, help="Only sessions that work in this directory.")
@click.option("-b", "--backend", help="Only sessions of this backend.")
@click.option("-i", "--interactive", is_flag=True, help="Chat, after the prompt if there is one.")
@_timeout_option
@as_json_option
@asks_daemon
def resume(
    invocation: Invocation,
    *,
    words: Sequence[str],
    last: bool,
    here: bool,
    backend: str | None,
    interactive: bool,
    timeout: float | None,
) -> int:
    """Go on with a session.

    ID may be the beginning of one; without ID, and with neither --last nor --here, a terminal
    shows the last sessions to choose from. Without PROMPT it is a chat on a terminal; elsewhere
    standard input is the prompt.
    """
    wanted = given(backend=backend, workdir=str(Path.cwd()) if here else None)
    by_id = words and not (last or here)
    if len(words) > (2 if by_id else 1):
        raise click.UsageError("too many arguments: put the prompt in quotes")
    if by_id:
        session, text = _found(invocation, words[0]), words[1] if words[1:] else None
    else:
        text = words[0] if words else None
        chosen = last or here or invocation.as_json or not sys.stdin.isatty()
        session = _newest(invocation, wanted) if chosen else _choice(invocation, wanted)
    body = {"session_id": session["id"]}
    terminal = invocation.terminal
    talk = interactive or (text is None and sys.stdin.isatty())
    if not talk or text is not None:
        status = _ask(invocation, {**body, "prompt": prompt_text(text)}, {}, timeout)
        if not talk:
            return status
    terminal.note(f"(going on with {session['id'][:12]}: {session.get('title', 'untitled')})")
    return converse(invocation, session_id=session["id"])


def _ask(
    invocation: Invocation,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    timeout: float | None,
) -> int:
    seconds = timeout or invocation.settings.unified_flags.command_timeout_secs or None
    if invocation.as_json:
        result = invocation.run(_whole(invocation, body, headers, seconds))
        invocation.terminal.document(result)
        return status_of(result)
    answer = invocation.run(ask(invocation, body, headers=headers, timeout=seconds))
    _note_session(invocation, answer)
    return OK


async def _whole(
    invocation: Invocation,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    timeout: float | None,  # noqa: ASYNC109 - also the caller's word for it
) -> dict[str, Any]:
    asked = {**body, "output_format": "json"}
    async with limited(timeout):
        return await invocation.client.call("POST", "prompt", body=asked, headers=headers)


def _begin(invocation: Invocation, body: Mapping[str, Any], headers: Mapping[str, str]) -> int:
    asked = {**body, "background": True}
    job = invocation.run(invocation.client.call("POST", "prompt", body=asked, headers=headers))
    note_ignored(invocation)
    if invocation.as_json:
        invocation.terminal.document(job)
    else:
        invocation.terminal.line(job["id"])
    return OK


def _note_session(invocation: Invocation, answer: Answer) -> None:
    if answer.session_id:
        short = answer.session_id[:12]
        invocation.terminal.note(f"(session {short}; go on with: clinvk resume {short})")


def _found(invocation: Invocation, name: str) -> dict[str, Any]:
    """The session of that id, or whose id begins so."""
    return invocation.run(invocation.client.call("GET", "sessions", name))


def _listed(invocation: Invocation, query: Mapping[str, str], limit: int) -> list[dict[str, Any]]:
    asked = {**query, "limit": str(limit)}
    page = invocation.run(invocation.client.call("GET", "sessions", query=asked))
    if not page["sessions"]:
        raise Failure("there is no such session", code="not_found", type="not_found_error")
    sessions: list[dict[str, Any]] = page["sessions"]
    return sessions


def _newest(invocation: Invocation, query: Mapping[str, str]) -> dict[str, Any]:
    return _listed(invocation, query, 1)[0]


def _choice(invocation: Invocation, query: Mapping[str, str]) -> dict[str, Any]:
    """The session that a person chooses among the last ones."""
    sessions = _listed(invocation, query, _MOST_LISTED)
    table = invocation.terminal.table("", "session", "backend", "used", "title")
    for number, session in enumerate(sessions, 1):
        title = first_line(session.get("title", ""))
        table.add_row(
            str(number), session["id"][:12], session["backend"], ago(session["last_used"]), title
        )
    invocation.terminal.show(table)
    try:
        number = click.prompt("Which one", type=click.IntRange(1, len(sessions)), default=1)
    except click.Abort:  # what click makes of Ctrl-C and Ctrl-D
        invocation.terminal.line()
        raise KeyboardInterrupt from None
    return sessions[int(number) - 1]
