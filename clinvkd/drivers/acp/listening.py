"""What an ACP agent tells while it answers one prompt, as events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ...events import Event, Progress, TextDelta, ThinkingDelta, ToolCall, ToolOutput, Usage
from ...prompt import Permissions
from ..base import Json
from ..paragraphs import Paragraphs
from .answers import normalised
from .client_tools import ClientTools
from .permissions import Verdict, verdict_of
from .quirks import Quirks
from .tools import RunningTool, tool_input, tool_name, tool_output


class Repetition:
    """What an agent repeats of a history it loads, and what of that was seen.

    The repetition is not ended by anything: it may go on after the agent said that it loaded.

    Args:
        texts: the answers it will repeat, in order, one chunk each.
        calls: ids of the tool calls it will repeat.
    """

    def __init__(self, texts: list[str], calls: frozenset[str]) -> None:
        self._texts = deque(texts)
        self._calls = calls
        self.seen = False

    def holds(self, update: Json) -> bool:
        """Whether `update` only repeats."""
        match update:
            case {"sessionUpdate": "user_message_chunk"}:
                self.seen = True
                return True
            case {"sessionUpdate": "agent_message_chunk", "content": {"text": str(text)}}:
                if self._texts and self._texts[0] == text:
                    self._texts.popleft()
                    self.seen = True
                    return True
                return False
            case {"toolCallId": str(call)}:
                return call in self._calls
            case _:
                return False


class Listener:
    """One prompt being answered.

    Args:
        quirks: of the agent.
        permissions: what its own tools may do.
        workdir: where the conversation works.
        client: the caller's tools, which are asked of the caller and never of the permissions.

    Attributes:
        usage: tokens told in the stream, where an agent tells them there.
        cost_usd: the agent's estimate for the whole session so far, 0 when it tells none.
        active: whether there was any answer or tool call.
    """

    def __init__(
        self, quirks: Quirks, permissions: Permissions, workdir: Path, client: ClientTools
    ) -> None:
        self._client = client
        self._quirks = quirks
        self._permissions = permissions
        self._workdir = workdir
        self._tools: dict[str, RunningTool] = {}
        self._text = Paragraphs()
        self._message = 0
        self.usage = Usage()
        self.cost_usd = 0.0
        self.active = False

    def go_on(self) -> None:
        """What comes now is another answer to the caller: no blank line goes before it."""
        self._text = Paragraphs()

    def update(self, update: Json) -> Iterator[Event]:
        """The events of one ``session/update``."""
        match update:
            case {
                "sessionUpdate": "agent_message_chunk",
                "content": {"type": "text", "text": str(text)},
            }:
                yield from self._chunk(text, update)
            case {
                "sessionUpdate": "agent_thought_chunk",
                "content": {"type": "text", "text": str(text)},
            } if text:
                # gemini puts a subject before each thought, also an empty one.
                yield ThinkingDelta(text.removeprefix("****\n"))
            case {"sessionUpdate": "tool_call" | "tool_call_update", "toolCallId": str(identifier)}:
                self.active = True
                if self._client.announced(update):
                    self._message += 1
                    return
                if identifier not in self._tools:
                    # Without ids of messages: what is said after a call is another one.
                    self._message += 1
                yield from self._tool(identifier, update)
            case {"sessionUpdate": "usage_update", "cost": {"amount": amount, "currency": "USD"}}:
                self.cost_usd = float(amount)

    def permit(self, question: Json) -> tuple[Verdict, str, list[Event]]:
        """What to answer to a permission request, the tool's name, and what to tell the caller.

        Args:
            question: ``params`` of the request.
        """
        self.active = True
        call: Json = question.get("toolCall") or {}
        if self._client.announced(call):
            return "allow", "", []
        identifier = str(call.get("toolCallId") or "")
        tool = self._known(identifier, call)
        verdict = verdict_of(call, self._permissions, tool.name, self._workdir)
        events: list[Event] = []
        if not tool.told:
            tool.told = True
            tool.input = tool_input({**call, "status": "asked"}, tool.name)
            events.append(ToolCall(identifier, tool.name, tool.input))
        if verdict == "deny":
            events.append(Progress("refused", tool.name))
        return verdict, tool.name, events

    def _chunk(self, text: str, update: Json) -> Iterator[Event]:
        if text and not text.startswith(self._quirks.noise):
            self.active = True
            message = update.get("messageId", self._message)
            yield TextDelta(self._text.add(text, message))
        match update.get("_meta"):
            case {"usage": dict(counts)}:  # qwen: on an empty chunk, one per model call
                self.usage += normalised(counts)

    def _tool(self, identifier: str, update: Json) -> Iterator[Event]:
        tool = self._known(identifier, update)
        status = update.get("status")
        if tool.input is None:
            tool.input = tool_input(update, tool.name)
        if not tool.told and (status != "pending" or tool.input is not None):
            tool.told = True
            yield ToolCall(identifier, tool.name, tool.input)
        if status in ("completed", "failed") and not tool.ended:
            tool.ended = True
            yield ToolOutput(identifier, tool.name, tool_output(update), status == "failed")

    def _known(self, identifier: str, call: Json) -> RunningTool:
        if (tool := self._tools.get(identifier)) is None:
            tool = RunningTool(tool_name(call, self._quirks.name_in_tool_id))
            self._tools[identifier] = tool
        return tool
