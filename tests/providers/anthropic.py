"""Anthropic's Messages API, as far as the Claude Code CLI uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .frames import named_event
from .recording import Conversation, JsonObject, Kind, RecordedRequest, Role, Utterance
from .script import Failure, Reply
from .server import Answer, FakeProvider, Frame

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_STOP_REASONS = {
    "end": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
}


class AnthropicProvider(FakeProvider):
    """`POST /v1/messages`, its `count_tokens`, `GET /v1/models`, `HEAD /`.

    Messages with the role `system` are accepted, as CLI 2.1.330 sends them.
    """

    def classify(self, method: str, path: str, body: JsonObject) -> Kind:
        match method, path:
            case "POST", "/v1/messages":
                # The CLI tries a model or a key with one token, not streamed.
                return Kind.PROBE if body.get("max_tokens") == 1 else Kind.TURN
            case "POST", "/v1/messages/count_tokens":
                return Kind.COUNT
            case (("HEAD" | "GET"), ("/" | "/v1/models")):
                return Kind.PROBE
            case _:
                return Kind.UNKNOWN

    def read(self, path: str, body: JsonObject) -> Conversation:
        return Conversation.of(
            (
                utterance
                for message in body.get("messages", ())
                for utterance in _utterances(message["role"], message["content"])
            ),
            system=_text(body.get("system", "")),
            model=body.get("model", ""),
            streaming=body.get("stream", False),
        )

    def stream(self, answer: Answer) -> Iterator[Frame]:
        message = self._message(answer, content=[], stop_reason=None)
        message["usage"]["output_tokens"] = 1
        yield _frame(type="message_start", message=message)
        yield _frame(type="ping")
        for index, block in enumerate(_blocks(answer)):
            opened, deltas = _opened(block, answer)
            yield _frame(type="content_block_start", index=index, content_block=opened)
            for delta in deltas:
                yield Frame(
                    named_event({"type": "content_block_delta", "index": index, "delta": delta}),
                    piece=delta["type"] == "text_delta",
                )
            yield _frame(type="content_block_stop", index=index)
        yield _frame(
            type="message_delta",
            delta={
                "stop_reason": _stop_reason(answer),
                "stop_sequence": _stop_sequence(answer),
            },
            usage=_usage(answer),
        )
        yield _frame(type="message_stop")

    def document(self, answer: Answer) -> JsonObject:
        return self._message(
            answer, content=list(_blocks(answer)), stop_reason=_stop_reason(answer)
        )

    def error_document(self, failure: Failure) -> JsonObject:
        kind = failure.kind or _ERROR_TYPES.get(failure.status, "api_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": failure.text},
            "request_id": f"req_fake{failure.status}",
        }

    def stream_error(self, answer: Answer) -> bytes:
        kind = answer.reply.fail_kind or "overloaded_error"
        return named_event({"type": "error", "error": {"type": kind, "message": f"fake {kind}"}})

    def side_answer(self, request: RecordedRequest) -> Reply | JsonObject:
        match request.kind, request.method:
            case Kind.COUNT, _:
                return {"input_tokens": len(json.dumps(request.body)) // 4}
            case Kind.PROBE, "POST":
                return Reply(text="Hi", stop="max_tokens")
            case _:
                return {"data": [], "has_more": False}

    def _message(
        self, answer: Answer, *, content: list[JsonObject], stop_reason: str | None
    ) -> JsonObject:
        return {
            "id": answer.identifier("msg"),
            "type": "message",
            "role": "assistant",
            "model": answer.request.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": _stop_sequence(answer) if stop_reason else None,
            "usage": _usage(answer),
        }


def _frame(**event: Any) -> Frame:
    return Frame(named_event(event))


def _text(content: str | list[JsonObject]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block.get("type") == "text")


def _utterances(role: Role, content: str | list[JsonObject]) -> Iterator[Utterance]:
    """A message as utterances: tool results first (the API demands that order), then the text."""
    if not isinstance(content, str):
        for block in content:
            if block["type"] == "tool_result":
                yield Utterance("tool", _text(block.get("content", "")))
    yield Utterance(role, _text(content))


def _blocks(answer: Answer) -> Iterator[JsonObject]:
    """The finished content blocks of the answer."""
    reply = answer.reply
    if reply.thinking:
        yield {"type": "thinking", "thinking": reply.thinking, "signature": "ZmFrZQ=="}
    if answer.text:
        yield {"type": "text", "text": answer.text}
    for number, call in enumerate(reply.tools):
        yield {
            "type": "tool_use",
            "id": answer.identifier("toolu", number),
            "name": call.name,
            "input": call.arguments,
        }


def _opened(block: JsonObject, answer: Answer) -> tuple[JsonObject, list[JsonObject]]:
    """A content block as it starts, and the deltas that fill it."""
    match block["type"]:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}, [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case "text":
            return {"type": "text", "text": ""}, [
                {"type": "text_delta", "text": piece} for piece in answer.pieces
            ]
        case _:
            arguments = block["input"]
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            half = len(text) // 2
            return {**block, "input": {}}, [
                {"type": "input_json_delta", "partial_json": part}
                for part in ("", text[:half], text[half:])
            ]


def _stop_reason(answer: Answer) -> str:
    return "tool_use" if answer.reply.tools else _STOP_REASONS[answer.reply.stop]


def _stop_sequence(answer: Answer) -> str | None:
    """The first one asked for, when the answer is to end at one."""
    if _stop_reason(answer) != "stop_sequence":
        return None
    return next(iter(answer.request.body.get("stop_sequences", ())), None)


def _usage(answer: Answer) -> JsonObject:
    usage = answer.reply.usage
    return {
        "input_tokens": usage.input - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }
