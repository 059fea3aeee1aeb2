"""OpenAI's chat completions API, as far as opencode and Qwen Code use it."""

from __future__ import annotations

from collections.abc import Iterator

from .frames import data_line
from .openai_errors import openai_error
from .recording import Conversation, JsonObject, Kind, RecordedRequest, Role, Utterance
from .script import Failure, Reply, ToolCall
from .server import Answer, FakeProvider, Frame

_FINISH_REASONS = {
    "end": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop",
    "refusal": "content_filter",
}
_ROLES: dict[str, Role] = {"developer": "system", "function": "tool"}
"""Roles under an older or newer name; the others are called as in `Utterance`."""

_DECISION_INSTRUCTIONS = (
    "You are a security classifier for an AI coding agent",  # Qwen Code in the mode "auto"
)
_BACKGROUND_INSTRUCTIONS = (
    "You are a title generator",  # opencode, beside the first prompt of a session
    "You are now acting as the managed memory extraction subagent",  # Qwen Code, after a turn
)
_BACKGROUND_PROMPTS = (
    "[SUGGESTION MODE:",  # Qwen Code, after a turn: what the user might type next
)


class ChatProvider(FakeProvider):
    """`POST /v1/chat/completions` and `GET /v1/models`.

    The clients' own requests cannot be told from a turn but by the words of their instructions.
    """

    def classify(self, method: str, path: str, body: JsonObject) -> Kind:
        match method, path:
            case "POST", "/v1/chat/completions":
                return _why_completed(body)
            case "GET", "/v1/models":
                return Kind.PROBE
            case _:
                return Kind.UNKNOWN

    def read(self, path: str, body: JsonObject) -> Conversation:
        return Conversation.of(
            _utterances(body), model=body.get("model", ""), streaming=body.get("stream", False)
        )

    def stream(self, answer: Answer) -> Iterator[Frame]:
        yield _frame(answer, {"role": "assistant", "content": ""})
        if answer.reply.thinking:
            yield _frame(answer, {"reasoning_content": answer.reply.thinking})
        for piece in answer.pieces:
            yield _frame(answer, {"content": piece}, piece=True)
        for index, call in enumerate(_calls(answer)):
            function = call["function"]
            opened = {**call, "index": index, "function": {**function, "arguments": ""}}
            yield _frame(answer, {"tool_calls": [opened]})
            rest = {"index": index, "function": {"arguments": function["arguments"]}}
            yield _frame(answer, {"tool_calls": [rest]})
        yield _frame(answer, {}, finish_reason=_finish_reason(answer))
        if (answer.request.body.get("stream_options") or {}).get("include_usage"):
            yield Frame(data_line({**_chunk(answer), "choices": [], "usage": _usage(answer)}))
        yield Frame(b"data: [DONE]\n\n")

    def document(self, answer: Answer) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": answer.text}
        if answer.reply.thinking:
            message["reasoning_content"] = answer.reply.thinking
        if calls := _calls(answer):
            message["tool_calls"] = calls
        return {
            **_chunk(answer),
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": _finish_reason(answer)}],
            "usage": _usage(answer),
        }

    def error_document(self, failure: Failure) -> JsonObject:
        return openai_error(failure)

    def stream_error(self, answer: Answer) -> bytes:
        code = answer.reply.fail_kind or "server_is_overloaded"
        return data_line(openai_error(Failure(503, f"fake {code}", kind=code)))

    def side_answer(self, request: RecordedRequest) -> Reply | JsonObject:
        match request.kind:
            case Kind.PROBE:
                return {"object": "list", "data": []}
            case Kind.DECISION:
                verdict = ToolCall("respond_in_schema", {"shouldBlock": False})
                return Reply(tools=(verdict,))
            case _:
                return Reply(text="Fake words")


def _why_completed(body: JsonObject) -> Kind:
    """Whether a completion is a turn, or an idea of the client's own."""
    utterances = _utterances(body)
    match utterances:
        case [Utterance("system", text), *_] if text.startswith(_DECISION_INSTRUCTIONS):
            return Kind.DECISION
        case [Utterance("system", text), *_] if text.startswith(_BACKGROUND_INSTRUCTIONS):
            return Kind.BACKGROUND
        case [*_, Utterance("user", text)] if text.startswith(_BACKGROUND_PROMPTS):
            return Kind.BACKGROUND
        case _:
            return Kind.TURN


def _utterances(body: JsonObject) -> list[Utterance]:
    return [
        Utterance(_ROLES.get(message["role"], message["role"]), _text(message.get("content")))
        for message in body.get("messages", ())
    ]


def _text(content: str | list[JsonObject] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


def _calls(answer: Answer) -> list[JsonObject]:
    return [
        {
            "id": answer.identifier("call", number),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments_text},
        }
        for number, call in enumerate(answer.reply.tools)
    ]


def _finish_reason(answer: Answer) -> str:
    return "tool_calls" if answer.reply.tools else _FINISH_REASONS[answer.reply.stop]


def _chunk(answer: Answer) -> JsonObject:
    return {
        "id": answer.identifier("chatcmpl"),
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": answer.request.model,
    }


def _frame(
    answer: Answer, delta: JsonObject, *, piece: bool = False, finish_reason: str | None = None
) -> Frame:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return Frame(data_line({**_chunk(answer), "choices": [choice]}), piece)


def _usage(answer: Answer) -> JsonObject:
    usage = answer.reply.usage
    return {
        "prompt_tokens": usage.input,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens": usage.output,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
