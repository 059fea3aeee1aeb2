"""Google's Gemini API, as far as the Gemini CLI uses it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from .frames import data_line
from .recording import Conversation, JsonObject, Kind, RecordedRequest, Role, Utterance
from .script import Failure, Reply
from .server import Answer, FakeProvider, Frame

_METHOD = re.compile(r"/v1beta/models/(?P<model>[^/:]+):(?P<method>\w+)")
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH_REASONS = {
    "end": "STOP",
    "max_tokens": "MAX_TOKENS",
    "stop_sequence": "STOP",
    "refusal": "SAFETY",
}
_ROUTER_FIELDS = {"complexity_score", "model_choice"}


class GeminiProvider(FakeProvider):
    """`POST /v1beta/models/MODEL:streamGenerateContent`, `:generateContent`, `:countTokens`.

    The CLI's model router (a request for JSON of its own schema) is a `Kind.DECISION`.
    """

    def classify(self, method: str, path: str, body: JsonObject) -> Kind:
        found = _METHOD.fullmatch(path)
        match found and found["method"]:
            case "streamGenerateContent":
                return Kind.TURN
            case "generateContent":
                return Kind.DECISION if _ROUTER_FIELDS & _answer_schema(body).keys() else Kind.TURN
            case "countTokens":
                return Kind.COUNT
            case _:
                return Kind.UNKNOWN

    def read(self, path: str, body: JsonObject) -> Conversation:
        found = _METHOD.fullmatch(path)
        return Conversation.of(
            (
                utterance
                for content in body.get("contents", ())
                for utterance in _utterances(content)
            ),
            system=_text(body.get("systemInstruction", {}).get("parts", ())),
            model=found["model"] if found else "",
            streaming=path.endswith(":streamGenerateContent"),
        )

    def stream(self, answer: Answer) -> Iterator[Frame]:
        reply = answer.reply
        if reply.thinking:
            yield _frame(answer, [{"text": reply.thinking, "thought": True}])
        for piece in answer.pieces:
            yield _frame(answer, [{"text": piece}], piece=True)
        if reply.tools:
            yield _frame(answer, _calls(answer))
        yield Frame(data_line(_response(answer, [{"text": ""}], ended=True)))

    def document(self, answer: Answer) -> JsonObject:
        thoughts = [{"text": answer.reply.thinking, "thought": True}] * bool(answer.reply.thinking)
        texts = [{"text": answer.text}] * bool(answer.text)
        return _response(answer, [*thoughts, *texts, *_calls(answer)], ended=True)

    def error_document(self, failure: Failure) -> JsonObject:
        error: JsonObject = {
            "code": failure.status,
            "message": failure.text,
            "status": failure.kind or _STATUSES.get(failure.status, "UNKNOWN"),
        }
        if failure.retry_after is not None:
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.RetryInfo",
                    "retryDelay": f"{failure.retry_after:g}s",
                }
            ]
        return {"error": error}

    def stream_error(self, answer: Answer) -> bytes:
        status = answer.reply.fail_kind or "UNAVAILABLE"
        code = {name: code for code, name in _STATUSES.items()}.get(status, 500)
        document = self.error_document(Failure(code, f"fake {status}", kind=status))
        # Google's own client looks for the error in a chunk that is JSON as a whole: no event.
        return json.dumps(document).encode()

    def side_answer(self, request: RecordedRequest) -> Reply | JsonObject:
        if request.kind is Kind.COUNT:
            return {"totalTokens": len(json.dumps(request.body)) // 4}
        # The two generations of the router's schema: a score against a threshold, or a name.
        choice = {"reasoning": "fake", "complexity_reasoning": "fake"}
        return Reply(text=json.dumps({**choice, "complexity_score": 1, "model_choice": "flash"}))


def _answer_schema(body: JsonObject) -> JsonObject:
    """The properties of the JSON that the client wants as the answer; empty without a schema."""
    wanted = body.get("generationConfig", {})
    schema = wanted.get("responseJsonSchema") or wanted.get("responseSchema") or {}
    properties: JsonObject = schema.get("properties", {})
    return properties


def _text(parts: list[JsonObject]) -> str:
    return "\n".join(part["text"] for part in parts if "text" in part and not part.get("thought"))


def _utterances(content: JsonObject) -> Iterator[Utterance]:
    """A content as utterances: function responses first, then the text."""
    for part in content["parts"]:
        if "functionResponse" in part:
            yield Utterance("tool", json.dumps(part["functionResponse"].get("response")))
    role: Role = "assistant" if content.get("role") == "model" else "user"
    yield Utterance(role, _text(content["parts"]))


def _calls(answer: Answer) -> list[JsonObject]:
    return [
        {
            "functionCall": {
                "id": answer.identifier("call", number),
                "name": call.name,
                "args": call.arguments,
            }
        }
        for number, call in enumerate(answer.reply.tools)
    ]


def _frame(answer: Answer, parts: list[JsonObject], *, piece: bool = False) -> Frame:
    return Frame(data_line(_response(answer, parts, ended=False)), piece)


def _response(answer: Answer, parts: list[JsonObject], *, ended: bool) -> JsonObject:
    candidate: JsonObject = {"index": 0, "content": {"role": "model", "parts": parts}}
    if ended:
        candidate["finishReason"] = _FINISH_REASONS[answer.reply.stop]
    usage = answer.reply.usage
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": usage.input,
            "cachedContentTokenCount": usage.cached,
            "candidatesTokenCount": usage.output - usage.reasoning,
            "thoughtsTokenCount": usage.reasoning,
            "totalTokenCount": usage.input + usage.output,
        },
        "modelVersion": answer.request.model,
        "responseId": answer.identifier("resp"),
    }
