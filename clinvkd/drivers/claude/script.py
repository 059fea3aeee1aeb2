"""The conversation of a Claude Code process: binding, seeding and turns.

System prompt, model, tools, form of the answer and what may change from turn to turn are bound
late, the history is written into the context line by line, and all that needs no answer is sent
together with the first message.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count, groupby
from operator import attrgetter
from pathlib import Path

from ...errors import BackendError, BackendRefused
from ...events import (
    Completed,
    Opened,
    Progress,
    StopReason,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolCall,
    ToolOutput,
)
from ...prompt import Message, Permissions, Prompt
from ..base import APPROVAL_DECIDED, RECEIVE, Exchange, Json, Script, Send
from .calls import Calls
from .errors import failure_of
from .lines import (
    assistant_line,
    content_of,
    control_request,
    user_line,
)
from .output import TOOL, StructuredAnswer, json_schema, refuse_unless_offered
from .questions import Questions, Steps
from .settings import TurnSettings
from .tools import ClientTools
from .turn import Turn, usage_of


class ClaudeScript(Script):
    """The one conversation of a process.

    Args:
        composed: whether the agent takes `client_composed` messages literally.
        folder: where it runs when the prompt names no workdir.
        extra_body: what its environment has the agent merge into the provider's requests.
    """

    def __init__(self, *, composed: bool, folder: Path, extra_body: str) -> None:
        self._composed = composed
        self._folder = folder
        self._extra_body = extra_body
        self._numbers = count(1)
        self._settings = TurnSettings()
        self._tools = ClientTools()
        self._questions = Questions(Permissions(), folder, self._tools)
        self._model: str | None = None
        self._cost = 0.0
        self._running: Turn | None = None
        self._unwanted = False

    def bind(self, prompt: Prompt) -> Exchange[None]:
        """Send what the prompt binds; the answers are looked at while the first turn runs."""
        self._tools = ClientTools.of(prompt)
        folder = prompt.workdir or self._folder
        self._questions = Questions(prompt.permissions, folder, self._tools)
        binding = self._tools.binding()
        if prompt.system is not None:
            binding["systemPrompt"] = [prompt.system]
        if prompt.output is not None:
            binding["jsonSchema"] = json_schema(prompt.output)
        if binding:
            # Only the first `initialize` of a process counts, so none is sent without need.
            yield self._request({"subtype": "initialize", **binding})
        settings = self._tools.settings()
        if prompt.model is not None:
            settings["model"] = prompt.model
        yield from self._tune(prompt, settings)

    def seed(self, history: tuple[Message, ...]) -> Exchange[None]:
        """Append each message to the context, without a model call."""
        for role, messages in groupby(history, attrgetter("role")):
            if not (content := content_of(messages)):
                continue
            if role == "assistant":
                content = self._tools.called(content)
                yield assistant_line(next(self._numbers), content, self._model)
            else:
                content = self._tools.answered(content)
                yield user_line(content, composed=self._composed, query=False)
                # Without waiting the agent would put all answers before all questions.
                yield from self._appended()

    def turn(self, prompt: Prompt) -> Exchange[None]:
        """Send the new messages as one and tell the answer."""
        if not (content := self._tools.answered(content_of(prompt.new))):
            raise BackendRefused("the prompt is blank", param="prompt")
        self.reusable = False
        if self._unwanted:
            yield Completed("interrupted")
            return
        answer = None if prompt.output is None else StructuredAnswer(prompt.output)
        # A structured answer is the input of a tool of the agent's, which is nothing to pass on.
        passes_on = prompt.raw_events and answer is None
        calls = Calls(self._tools)
        turn = self._running = Turn(prompt.max_turns, calls, answer)
        yield from self._tune(prompt, {})
        yield user_line(content, composed=self._composed)
        while True:
            message = yield RECEIVE
            if passes_on and turn.ending is None and _is_provider_event(message):
                yield from calls.raw(message["event"])
            if turn.ending is None and (words := _spoken(message)) is not None:
                if answer is None:
                    yield TextDelta(turn.text.add(words, turn.messages))
                    turn.silent = False
                continue
            match message:
                case {"type": "result"}:
                    self._running = None
                    yield from self._finish(turn, message)
                    return
                case {"type": "control_request"}:
                    yield from self._answer(message)
                case {"method": method, "params": dict(decision)} if method == APPROVAL_DECIDED:
                    yield from self._questions.decided(decision)
                case {"type": "control_cancel_request", "request_id": str(number)}:
                    yield from self._questions.withdrawn(number)
                case _ if turn.ending is None:
                    yield from self._observe(turn, message)

    def interrupt(self) -> Iterable[Send]:
        """Cut the running turn; its `result` follows within milliseconds.

        A turn that is not sent yet is not sent at all.
        """
        self._unwanted = True
        if self._running is not None and self._running.ending is None:
            yield self._stop(self._running, "interrupted")

    def unsolicited(self, message: Json) -> Iterable[Send]:
        """Answer questions, and notice a turn that the agent began by itself."""
        match message:
            case {"type": "control_request"}:
                yield from (step for step in self._answer(message) if isinstance(step, Send))
            case {"type": "assistant" | "result" | "stream_event"}:
                # A turn nobody asked for: the context holds what no history tells.
                self.reusable = False

    def _tune(self, prompt: Prompt, settings: Json) -> Exchange[None]:
        """Apply `settings` and whatever may change from turn to turn."""
        wanted = TurnSettings.of(prompt)
        before, self._settings = self._settings, wanted
        settings |= wanted.changes(before, self._extra_body)
        if settings:
            yield self._request({"subtype": "apply_flag_settings", "settings": settings})
        if wanted.thinking_tokens != before.thinking_tokens:
            most = wanted.thinking_tokens
            yield self._request({"subtype": "set_max_thinking_tokens", "max_thinking_tokens": most})

    def _appended(self) -> Exchange[None]:
        """Wait until the agent has put a message into its context."""
        while True:
            match (yield RECEIVE):
                case {"type": "result", "is_error": True} as result:
                    raise failure_of(result, None, streaming=False)
                case {"type": "result"}:
                    return
                case {"type": "system", "subtype": "init", "model": str(model)}:
                    self._model = model.partition("[")[0]  # without a note like "[1m]"
                case {"type": "control_request"} as request:
                    yield from self._answer(request)
                case {"type": "control_response"} as response:
                    _accepted(response)

    def _observe(self, turn: Turn, message: Json) -> Exchange[None]:
        """All that is not text, a question or the end."""
        match message:
            case {"type": "stream_event", "event": dict(event), "parent_tool_use_id": None}:
                yield from self._stream_event(turn, event)
            case {"type": "assistant", "error": str(kind)}:
                turn.error_kind = kind
            case {"type": "assistant", "message": {"content": [*blocks]}}:
                yield from self._calls(turn, blocks, message.get("parent_tool_use_id"))
            case {"type": "user", "message": {"content": [*blocks]}}:
                yield from self._outputs(turn, blocks)
            case {"type": "system", "subtype": "init"}:
                if turn.answer is not None:
                    refuse_unless_offered(message.get("tools"))
                self._tools.refuse_unless_offered(message.get("tools"))
                yield Opened(message.get("session_id"), message.get("model"))
            case {"type": "system", "subtype": "status", "status": str(stage)}:
                yield Progress(stage)
            case {"type": "system", "subtype": "permission_denied", "message": str(reason)}:
                yield Progress("permission_denied", reason)
            case {"type": "tool_progress", "tool_name": str(name)}:
                yield Progress("tool", name)
            case {"type": "control_response"}:
                _accepted(message)

    def _stream_event(self, turn: Turn, event: Json) -> Exchange[None]:
        if turn.answer is not None:
            yield from turn.answer.stream(event)
        yield from turn.calls.stream(event)
        match event:
            case {
                "type": "content_block_delta",
                "delta": {"type": "thinking_delta", "thinking": str(text)},
            }:
                yield ThinkingDelta(text)
            case {"type": "content_block_start", "content_block": {"type": kind}}:
                turn.content = True
                turn.spoken = turn.spoken or kind == "text"
            case {"type": "message_start", "message": {"usage": dict(usage)}}:
                if turn.cut:
                    raise BackendError("the answer's stream ended early and began again")
                if turn.calls.names:
                    raise BackendError("claude went on without the results of the caller's tools")
                turn.begin_message(usage)
            case {
                "type": "message_delta",
                "delta": {"stop_reason": str(reason)},
                "usage": dict(usage),
            }:
                turn.stop_sequence = event["delta"].get("stop_sequence")
                turn.usage += usage_of(turn.opening or {}, usage)
                turn.opening = None
                yield TokenUsage(turn.usage)
                yield from self._message_ended(turn, reason)

    def _message_ended(self, turn: Turn, reason: str) -> Exchange[None]:
        """Stop the agent where it would go on by itself: the caller asked for one answer."""
        match reason:
            case "max_tokens" | "model_context_window_exceeded":
                if turn.answer is not None:
                    yield from turn.answer.cut()
                yield self._stop(turn, "max_tokens")
            case "end_turn" if not turn.content:
                yield self._stop(turn, "end_turn")
            case "stop_sequence" if turn.silent:
                yield self._stop(turn, "stop_sequence")
            case "tool_use" if turn.calls.broken is not None:
                raise BackendError(
                    f"the model called {turn.calls.broken} with what is no JSON object"
                )
            case "tool_use":
                turn.rounds += 1
                if turn.exhausted:
                    yield self._stop(turn, "max_turns")

    def _calls(self, turn: Turn, blocks: list[Json], parent: str | None) -> Exchange[None]:
        for block in blocks:
            match block:
                case {"type": "tool_use", "id": str(identity), "name": str(name)}:
                    turn.tools[identity] = name
                    if parent is None:
                        turn.waiting.add(identity)
                    own = turn.answer is None or name != TOOL
                    if own and identity not in turn.calls.names:
                        yield ToolCall(identity, name, block.get("input"))

    def _outputs(self, turn: Turn, blocks: list[Json]) -> Exchange[None]:
        for block in blocks:
            match block:
                case {"type": "tool_result", "tool_use_id": str(identity)}:
                    output, failed = _output(block.get("content")), bool(block.get("is_error"))
                    turn.waiting.discard(identity)
                    if turn.answer is None or turn.tools.get(identity) != TOOL:
                        yield ToolOutput(identity, turn.tools.get(identity, ""), output, failed)
                    elif failed:
                        turn.answer.refused(output)
                        yield Progress("answer_refused", output)
                    else:
                        turn.accepted = True
        if turn.exhausted:
            yield self._stop(turn, "max_turns")

    def _finish(self, turn: Turn, result: Json) -> Exchange[None]:
        reason: StopReason
        match result:
            case _ if turn.ending is not None:
                reason = turn.ending
            case {"stop_reason": "refusal"}:
                reason = "refusal"
            case {"subtype": "error_max_turns"}:
                reason = "max_turns"
            case {"is_error": True}:
                streaming = turn.spoken or turn.opening is not None
                raise failure_of(result, turn.error_kind, streaming=streaming)
            case _ if turn.cut:
                raise BackendError("the answer's stream ended early")
            case {"terminal_reason": "tool_deferred"}:
                self._tools.wait_for(turn.calls.names)
                self.reusable, reason = True, "tool_use"
            case _ if turn.calls.names:
                raise BackendError("claude did not wait for the results of the caller's tools")
            case _ if turn.answer is not None:
                yield from turn.answer.accepted(result)
                self.reusable, reason = True, "end_turn"
            case {"result": str(text)} if text and not turn.spoken:
                yield TextDelta(text)
                self.reusable, reason = True, _reason(result)
            case _:
                self.reusable, reason = True, _reason(result)
        total = result.get("total_cost_usd")
        cost = None if total is None else round(max(0.0, total - self._cost), 9)
        self._cost = total or self._cost
        stopped_by = turn.stop_sequence if reason == "stop_sequence" else None
        usage = turn.usage_at_end if reason == "max_tokens" else None
        usage = usage or turn.total(result.get("usage") or {})
        yield Completed(reason, usage, cost, stopped_by)

    def _answer(self, request: Json) -> Steps:
        if (turn := self._running) is None:
            return self._questions.asked(request)
        return self._questions.asked(request, turn.calls.names, relay=turn.ending is None)

    def _stop(self, turn: Turn, reason: StopReason) -> Send:
        turn.ending = reason
        turn.usage_at_end = turn.usage
        return self._request({"subtype": "interrupt"})

    def _request(self, request: Json) -> Send:
        return control_request(next(self._numbers), request)


def _is_provider_event(message: Json) -> bool:
    """Whether it is an event of the provider's stream of the main thread."""
    return message.get("type") == "stream_event" and message.get("parent_tool_use_id") is None


def _spoken(message: Json) -> str | None:
    """The text of a delta of the answer; None for every other message.

    Nearly all lines are such deltas, and a `match` would cost eight times as much.
    """
    if message.get("type") != "stream_event":
        return None
    event = message["event"]
    if event["type"] != "content_block_delta" or message.get("parent_tool_use_id") is not None:
        return None
    delta = event["delta"]
    return delta["text"] if delta["type"] == "text_delta" else None


def _accepted(response: Json) -> None:
    """Raise BackendError when the agent refused a request of ours: the binding would not hold."""
    match response:
        case {"response": {"subtype": "error", "error": error}}:
            raise BackendError(f"claude refused to be set up: {error}")


def _reason(result: Json) -> StopReason:
    return "stop_sequence" if result.get("stop_reason") == "stop_sequence" else "end_turn"


def _output(content: str | list[Json] | None) -> str:
    """The text of a tool result; what is no text is named in brackets."""
    if isinstance(content, str):
        return content
    return "".join(
        block["text"] if block["type"] == "text" else f"[{block['type']}]"
        for block in content or ()
    )
