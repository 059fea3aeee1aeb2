"""One prompt, asked and shown as its answer comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ..client import Failure
from .approving import settle
from .invocation import Invocation
from .results import print_rehearsal
from .words import figures, first_line


class Answer:
    """Shows the events of one prompt, and has questions of the agent answered.

    Attributes:
        session_id: the session of the answer, once it is complete; None when it is not kept.
        completed: the content of `complete`, or of the one object that came in place of events.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._terminal = invocation.terminal
        self._thinking = False
        self.session_id: str | None = None
        self.completed: Mapping[str, Any] | None = None

    async def show(self, events: AsyncIterator[Mapping[str, Any]]) -> None:
        """Show all of them.

        Raises:
            Failure: the turn failed, or its events ended in the middle.
        """
        failure: Failure | None = None
        try:
            async for event in events:
                if event["type"] == "error":
                    failure = Failure.told(event["content"])
                elif event["type"] == "approval_request":
                    await settle(self._invocation, event["content"])
                else:
                    self._show(event)
        finally:
            self._terminal.end()
        if failure is not None:
            raise failure
        if self.completed is None:
            raise Failure("the answer ended in the middle", code="unreachable", type="unreachable")

    def _show(self, event: Mapping[str, Any]) -> None:
        content = event.get("content", {})
        match event["type"]:
            case "message":
                self._terminal.write(content["text"])
                self._thinking = False
            case "thinking":
                if not self._thinking:
                    self._terminal.note("(thinking)")
                self._thinking = True
            case "tool_use":
                self._terminal.note(f"({content['tool_name']} {_short(content.get('input'))})")
            case "tool_result" if content.get("is_error"):
                self._terminal.note(f"({content['tool_name']} failed)")
            case "complete":
                self.session_id = event.get("session_id")
                self.completed = content
            case "result":
                self.completed = content
                if content.get("dry_run"):
                    print_rehearsal(self._terminal, content)
                else:
                    self._terminal.write(content.get("output", ""))
                    self.session_id = content.get("session_id")


async def ask(
    invocation: Invocation,
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - also the caller's word for it
) -> Answer:
    """Ask for one prompt and show its answer as it comes.

    Args:
        timeout: most seconds it may take; None for the daemon's own limit.

    Raises:
        Failure: the daemon refused it, the turn failed, or it took too long.
    """
    client, terminal = invocation.client, invocation.terminal
    answer = Answer(invocation)
    async with limited(timeout):
        request = client.stream("POST", "prompt", body=dict(body), headers=headers)
        async with request as events:
            note_ignored(invocation)
            await answer.show(events)
    assert answer.completed is not None
    output = invocation.settings.output
    about = dict(answer.completed)
    if not output.show_tokens:
        about = {"duration_ms": about.get("duration_ms")}
    if not output.show_timing:
        about.pop("duration_ms", None)
    if told := figures(about):
        terminal.report(told)
    return answer


@asynccontextmanager
async def limited(seconds: float | None) -> AsyncIterator[None]:
    """`asyncio.timeout` whose end is a `Failure` of the type `timed_out`."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise Failure(
            f"it took longer than {seconds:g} s", code="timed_out", type="timed_out"
        ) from None


def note_ignored(invocation: Invocation) -> None:
    """Say what the backend cannot honour."""
    if ignored := invocation.client.ignored:
        invocation.terminal.note(f"(ignored by the backend: {ignored})")


def _short(arguments: Any) -> str:
    match arguments:
        case {**members}:
            return first_line(" ".join(f"{name}={value}" for name, value in members.items()), 80)
        case _:
            return ""
