"""OpenAI's Responses API, as far as the Codex CLI uses it (server-sent events only)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from .frames import named_event
from .openai_errors import openai_error
from .recording import Conversation, JsonObject, Kind, RecordedRequest, Utterance
from .script import Failure, Reply
from .server import Answer, FakeProvider, Frame

_INCOMPLETE = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}

_COMPACTION_PROMPT = "You are performing a CONTEXT CHECKPOINT COMPACTION"


class ResponsesProvider(FakeProvider):
    """`POST /v1/responses` and `GET /v1/models`."""

    def classify(self, method: str, path: str, body: JsonObject) -> Kind:
        match method, path:
            case "POST", "/v1/responses":
                return Kind.BACKGROUND if _compacts(body) else Kind.TURN
            case "GET", "/v1/models":
                return Kind.PROBE
            case _:
                return Kind.UNKNOWN

    def read(self, path: str, body: JsonObject) -> Conversation:
        return Conversation.of(
            filter(None, map(_utterance, body.get("input", ()))),
            system=body.get("instructions", ""),
            model=body.get("model", ""),
            streaming=body.get("stream", False),
        )

    def stream(self, answer: Answer) -> Iterator[Frame]:
        numbers = count()

        def frame(kind: str, piece: bool = False, **fields: Any) -> Frame:
            event = {"type": kind, "sequence_number": next(numbers), **fields}
            return Frame(named_event(event), piece)

        begun = _response(answer, status="in_progress", output=[])
        yield frame("response.created", response=begun)
        yield frame("response.in_progress", response=begun)
        for index, item in enumerate(_items(answer)):
            place = {"item_id": item["id"], "output_index": index}
            yield frame(
                "response.output_item.added",
                output_index=index,
                item={**item, "status": "in_progress", **_EMPTY[item["type"]]},
            )
            match item["type"]:
                case "reasoning":
                    part = {"type": "summary_text", "text": ""}
                    within = {**place, "summary_index": 0}
                    summary = item["summary"][0]
                    yield frame("response.reasoning_summary_part.added", **within, part=part)
                    yield frame(
                        "response.reasoning_summary_text.delta", **within, delta=summary["text"]
                    )
                    yield frame(
                        "response.reasoning_summary_text.done", **within, text=summary["text"]
                    )
                    yield frame("response.reasoning_summary_part.done", **within, part=summary)
                case "message":
                    within = {**place, "content_index": 0}
                    empty = {"type": "output_text", "text": "", "annotations": []}
                    yield frame("response.content_part.added", **within, part=empty)
                    for text in answer.pieces:
                        yield frame("response.output_text.delta", True, **within, delta=text)
                    yield frame("response.output_text.done", **within, text=answer.text)
                    yield frame("response.content_part.done", **within, part=item["content"][0])
                case "function_call":
                    text = item["arguments"]
                    yield frame("response.function_call_arguments.delta", **place, delta=text)
                    yield frame("response.function_call_arguments.done", **place, arguments=text)
                case _:
                    text = item["input"]
                    yield frame("response.custom_tool_call_input.delta", **place, delta=text)
                    yield frame("response.custom_tool_call_input.done", **place, input=text)
            yield frame("response.output_item.done", output_index=index, item=item)
        ended = self.document(answer)
        yield frame(f"response.{ended['status']}", response=ended)

    def document(self, answer: Answer) -> JsonObject:
        reason = None if answer.reply.tools else _INCOMPLETE.get(answer.reply.stop)
        response = _response(
            answer,
            status="incomplete" if reason else "completed",
            output=list(_items(answer)),
        )
        usage = answer.reply.usage
        response["incomplete_details"] = {"reason": reason} if reason else None
        response["usage"] = {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        }
        return response

    def error_document(self, failure: Failure) -> JsonObject:
        return openai_error(failure)

    def stream_error(self, answer: Answer) -> bytes:
        code = answer.reply.fail_kind or "server_is_overloaded"
        response = _response(answer, status="failed", output=[])
        response["error"] = {"code": code, "message": f"fake {code}"}
        return named_event({"type": "response.failed", "sequence_number": 0, "response": response})

    def side_answer(self, request: RecordedRequest) -> Reply | JsonObject:
        if request.kind is Kind.BACKGROUND:
            return Reply(text="Fake summary")
        return {"object": "list", "data": [], "models": []}


_EMPTY: dict[str, JsonObject] = {
    "reasoning": {"summary": []},
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
}
"""What an output item lacks when it is announced, by its type."""


def _text(content: str | list[JsonObject]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if "text" in part)


def _compacts(body: JsonObject) -> bool:
    """Whether the client asks for a summary to replace a history that has become too long."""
    spoken = list(filter(None, map(_utterance, body.get("input", ()))))
    return bool(spoken) and spoken[-1].text.startswith(_COMPACTION_PROMPT)


def _utterance(item: JsonObject) -> Utterance | None:
    """What an input item says; None for those that are no message."""
    match item:
        case {"type": "message", "role": "developer" | "system", "content": content}:
            return Utterance("system", _text(content))
        case {"type": "message", "role": "user" | "assistant" as role, "content": content}:
            return Utterance(role, _text(content))
        case {"type": "function_call_output" | "custom_tool_call_output", "output": output}:
            return Utterance("tool", _text(output))
        case _:
            return None


def _items(answer: Answer) -> Iterator[JsonObject]:
    """The finished output items of the answer."""
    if answer.reply.thinking:
        yield {
            "type": "reasoning",
            "id": answer.identifier("rs"),
            "summary": [{"type": "summary_text", "text": answer.reply.thinking}],
            "encrypted_content": "ZmFrZQ==",
        }
    if answer.text:
        yield {
            "type": "message",
            "id": answer.identifier("msg"),
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": answer.text, "annotations": []}],
        }
    for number, call in enumerate(answer.reply.tools):
        kind, key, prefix = (
            ("custom_tool_call", "input", "ctc")
            if call.custom
            else ("function_call", "arguments", "fc")
        )
        yield {
            "type": kind,
            "id": answer.identifier(prefix, number),
            "status": "completed",
            "call_id": answer.identifier("call", number),
            "name": call.name,
            key: call.arguments_text,
        }


def _response(answer: Answer, *, status: str, output: list[JsonObject]) -> JsonObject:
    return {
        "id": answer.identifier("resp"),
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "model": answer.request.model,
        "output": output,
        "error": None,
        "usage": None,
    }
