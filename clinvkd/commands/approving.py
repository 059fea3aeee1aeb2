"""Decisions on what agents ask before they act: at the terminal, or by `clinvk approve`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from ..client import Failure
from .exit_status import OK
from .invocation import DaemonCommand, Invocation, as_json_option, asks_daemon
from .words import first_line

_LONGEST_QUESTION = 300


@click.command(cls=DaemonCommand)
@click.argument("name", metavar="ID")
@click.option("--deny", is_flag=True, help="Refuse it.")
@click.option("--message", metavar="TEXT", help="What to tell the agent with it.")
@as_json_option
@asks_daemon
def approve(invocation: Invocation, *, name: str, deny: bool, message: str | None) -> int:
    """Let an agent do what it asks for, or refuse it.

    ID is that of the question, as the command that shows it says.
    """
    decision = "deny" if deny else "allow"
    told = invocation.run(_decide(invocation, name, decision, message or ""))
    if invocation.as_json:
        invocation.terminal.document(told)
    return OK


def question_of(content: Mapping[str, Any]) -> str:
    """What an agent wants to do, in one line."""
    what = content.get("summary") or content.get("tool_name") or "act"
    return f"wants to: {first_line(str(what), _LONGEST_QUESTION)}"


def whole_question_of(content: Mapping[str, Any]) -> str:
    """All of what an agent wants to do: nothing may be hidden from who allows it."""
    what = str(content.get("summary") or content.get("tool_name") or "act")
    given = json.dumps(content.get("input"), ensure_ascii=False, indent=2)
    return f"wants to: {what}\n{given}" if content.get("input") else f"wants to: {what}"


def remedy_of(content: Mapping[str, Any]) -> str:
    """How the question is answered elsewhere."""
    return f"clinvk approve {content['approval_id']} [--deny]"


async def settle(invocation: Invocation, content: Mapping[str, Any]) -> None:
    """Ask the person at the terminal; without one say how the question can be answered."""
    terminal = invocation.terminal
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        terminal.report(f"the agent {question_of(content)}; {remedy_of(content)}")
        return
    terminal.report(f"the agent {whole_question_of(content)}\nallow it? [y/N]")
    decision = "allow" if (await _typed()).strip().lower() in ("y", "yes") else "deny"
    try:
        await _decide(invocation, content["approval_id"], decision, "")
    except Failure as failure:
        terminal.report(f"clinvk: {failure.message}")  # somebody else, or the time limit, decided


async def _decide(invocation: Invocation, name: str, decision: str, message: str) -> dict[str, Any]:
    body = {"decision": decision, "message": message}
    return await invocation.client.call("POST", "approvals", name, body=body)


async def _typed() -> str:
    """The next line that is typed; nothing at the end of the input."""
    keyboard = sys.stdin.fileno()
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(keyboard, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(keyboard)
    return os.read(keyboard, 1024).decode(errors="replace")
