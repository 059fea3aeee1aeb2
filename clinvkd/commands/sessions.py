"""`clinvk sessions`: what was talked about before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from ..client import Client, Failure
from .exit_status import OK
from .invocation import DaemonCommand, Invocation, as_json_option, asks_daemon
from .request import given
from .terminal import Terminal
from .words import ago, figures, first_line, moment, span

_PAGE = 1000
_AT_ONCE = 8
_SHORTEST_PREFIX = 4


@click.group()
def sessions() -> None:
    """List, show and delete stored sessions."""


@sessions.command("list", cls=DaemonCommand)
@click.option("-b", "--backend", help="Only those that this backend answered last.")
@click.option(
    "--status",
    type=click.Choice(("active", "completed", "error", "canceled")),
    help="Only those whose last turn ended so.",
)
@click.option("--tag", help="Only those with this tag.")
@click.option(
    "--workdir", type=click.Path(file_okay=False, resolve_path=True), metavar="DIRECTORY",
    help="Only those that work there.",
)  # fmt: skip
@click.option("--search", metavar="TEXT", help="Only those whose title or messages hold this.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, _PAGE), default=20, show_default=True,
    metavar="NUMBER", help="Most that are listed.",
)  # fmt: skip
@click.option(
    "--offset", type=click.IntRange(min=0), metavar="NUMBER", help="How many to leave out."
)
@as_json_option
@asks_daemon
def list_sessions(
    invocation: Invocation,
    *,
    backend: str | None,
    status: str | None,
    tag: str | None,
    workdir: str | None,
    search: str | None,
    limit: int,
    offset: int | None,
) -> int:
    """List sessions, the last used first."""
    query = given(
        backend=backend, status=status, tag=tag, workdir=workdir, q=search, limit=str(limit)
    )
    if offset:
        query["offset"] = str(offset)
    page = invocation.run(invocation.client.call("GET", "sessions", query=query))
    terminal = invocation.terminal
    if invocation.as_json:
        terminal.document(page)
        return OK
    table = terminal.table("session", "backend", "status", "used", "turns", "title")
    for session in page["sessions"]:
        table.add_row(
            session["id"][:12],
            session["backend"],
            session["status"],
            ago(session["last_used"]),
            str(session["turn_count"]),
            first_line(session.get("title", "")),
        )
    if page["sessions"]:
        terminal.show(table)
    terminal.note(f"({len(page['sessions'])} of {page['total']})")
    return OK


@sessions.command(cls=DaemonCommand)
@click.argument("name", metavar="ID")
@as_json_option
@asks_daemon
def show(invocation: Invocation, *, name: str) -> int:
    """Show a session and what was said in it.

    ID may be the beginning of one.
    """
    session = invocation.run(_with_messages(invocation.client, name))
    terminal = invocation.terminal
    if invocation.as_json:
        terminal.document(session)
        return OK
    _head(terminal, session)
    for message in session.get("messages", ()):
        terminal.line(f"\n== {message['role']}")
        for block in message["content"]:
            terminal.line(_block(block))
    if "messages" not in session:
        terminal.line("\nIts messages are not stored (session.store_content).")
    return OK


@sessions.command(cls=DaemonCommand)
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@as_json_option
@asks_daemon
def delete(invocation: Invocation, *, names: Sequence[str]) -> int:
    """Delete sessions.

    ID may be the beginning of one, of at least four digits.
    """
    for name in names:
        if len(name) < _SHORTEST_PREFIX:
            raise click.UsageError(f"{name!r} is too short to delete a session by")
    client = invocation.client

    async def delete() -> list[str]:
        # All are looked up before the first is gone: a mistyped one deletes nothing.
        found = [(await client.call("GET", "sessions", name))["id"] for name in names]
        return await _deleted(client, found)

    _tell(invocation, invocation.run(delete()))
    return OK


def _before(ctx: click.Context, parameter: click.Parameter, value: str) -> datetime:
    try:
        return datetime.now(UTC) - span(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    except OverflowError:
        raise click.BadParameter(f"{value!r} is longer than there are dates") from None


@sessions.command(cls=DaemonCommand)
@click.option(
    "--older-than", "before", required=True, callback=_before, metavar="TIME",
    help="Those not used for so long: 30d, 12h, 2w.",
)  # fmt: skip
@click.option("-b", "--backend", help="Only those that this backend answered last.")
@click.option("--dry-run", is_flag=True, help="Tell which; delete nothing.")
@as_json_option
@asks_daemon
def clean(invocation: Invocation, *, before: datetime, backend: str | None, dry_run: bool) -> int:
    """Delete sessions that were not used for a long time."""
    client = invocation.client

    async def clean() -> list[str]:
        old = [
            session["id"]
            async for session in _every(client, given(backend=backend))
            if moment(session["last_used"]) < before and session["status"] != "active"
        ]
        return old if dry_run else await _deleted(client, old)

    _tell(invocation, invocation.run(clean()))
    return OK


def _tell(invocation: Invocation, ids: Sequence[str]) -> None:
    if invocation.as_json:
        invocation.terminal.document({"deleted": ids})
        return
    for name in ids:
        invocation.terminal.line(name)
    invocation.terminal.note(f"({len(ids)} sessions)")


async def _with_messages(client: Client, name: str) -> dict[str, Any]:
    """A session with its messages, or without where these are not stored."""
    session = await client.call("GET", "sessions", name)
    try:
        return await client.call("GET", "sessions", session["id"], query={"include": "messages"})
    except Failure as failure:
        if failure.param != "include":
            raise
        return session


async def _every(client: Client, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    """All sessions, page by page."""
    offset = 0
    while True:
        asked = {**query, "limit": str(_PAGE), "offset": str(offset)}
        page = await client.call("GET", "sessions", query=asked)
        for session in page["sessions"]:
            yield session
        offset += len(page["sessions"])
        if not page["sessions"] or offset >= page["total"]:
            return


async def _deleted(client: Client, ids: Sequence[str]) -> list[str]:
    """Delete sessions, a few at a time; those that were still there."""
    deleted: list[str] = []

    async def delete(name: str) -> None:
        try:
            await client.call("DELETE", "sessions", name)
        except Failure as failure:
            if failure.code != "not_found":
                raise
        else:
            deleted.append(name)

    for first in range(0, len(ids), _AT_ONCE):
        await asyncio.gather(*map(delete, ids[first : first + _AT_ONCE]))
    return deleted


def _head(terminal: Terminal, session: Mapping[str, Any]) -> None:
    model = session.get("model")
    rows = {
        "session": session["id"],
        "title": session.get("title"),
        "backend": f"{session['backend']}/{model}" if model else session["backend"],
        "status": session["status"],
        "error": session.get("error"),
        "workdir": session.get("working_dir"),
        "created": session["created_at"],
        "last used": session["last_used"],
        "turns": str(session["turn_count"]),
        "spent": figures(session),
        "tags": ", ".join(session.get("tags", ())),
        "copy of": session.get("parent_id"),
        "key": session.get("key"),
    }
    for name, value in rows.items():
        if value:
            terminal.line(f"{name:<10} {value}")


def _block(block: Mapping[str, Any]) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text.removesuffix("\n")
        case {"type": "thinking", "text": str(text)}:
            return f"(thinking) {text}".rstrip()
        case {"type": "tool_use", "name": name, "input": arguments}:
            return f"(calls {name} {json.dumps(arguments)})"
        case {"type": "tool_result", "content": list(parts)}:
            return "(result) " + "\n".join(map(_block, parts))
        case _:
            return f"({block.get('media_type', block['type'])})"
