"""The body of a chat completion. Fields that are not declared here are accepted and reported."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...attribute_docs import described
from ...errors import InvalidRequest
from ...intake import Asked
from ...models import Choice
from ...prompt import OutputSchema, Sampling
from ..schemas import answer_schema
from .content import Messages, decode
from .results import check_chat_results
from .tools import chosen, declared

MOST_CHOICES = 16


class Wire(BaseModel):
    """Open to unknown fields, strict about the known ones."""

    model_config = ConfigDict(
        extra="allow", strict=True, defer_build=True, json_schema_extra=described
    )


class StreamOptions(Wire):
    """How a stream is told."""

    include_usage: bool | None = None


class JsonSchema(Wire):
    """A form of answer."""

    name: str = "answer"
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Wire):
    """What the answer has to look like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def output(self) -> OutputSchema | None:
        """The neutral form.

        Raises:
            InvalidRequest: ``json_schema`` without a schema, or with one that is none.
        """
        match self.type:
            case "text":
                return None
            case "json_object":
                return OutputSchema({"type": "object"})
        where = "response_format.json_schema.schema"
        if self.json_schema is None or self.json_schema.schema_ is None:
            raise InvalidRequest(f"{where} is required", param=where)
        return OutputSchema(answer_schema(self.json_schema.schema_, where), self.json_schema.name)


StopText = Annotated[str, Field(max_length=1_000)]
Stop = StopText | list[StopText] | None
Tokens = Annotated[int, Field(ge=1, lt=2**31)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class ChatRequest(Wire):
    """One chat completion."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Messages
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: Stop = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Seed | None = None
    reasoning_effort: Annotated[str, Field(max_length=32)] | None = None
    include_reasoning: bool | None = None
    response_format: ResponseFormat | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None
    metadata: Metadata | None = None
    store: bool | None = None
    user: str | None = None

    @property
    def legacy(self) -> bool:
        """Whether calls are told in the form before ``tools``."""
        return bool(self.functions) and not self.tools

    @property
    def wants_reasoning(self) -> bool:
        """Whether the visible reasoning is to be told as ``reasoning_content``."""
        if self.include_reasoning is not None:
            return self.include_reasoning
        return self.reasoning_effort not in (None, "none")

    def ignored(self) -> list[str]:
        """Declared fields of this request that have no effect."""
        # What is stored can be seen in the native API, but not looked up as a chat completion.
        return [name for name in ("metadata", "store") if getattr(self, name)]

    def asked(self, choice: Choice) -> Asked:
        """The request free of this dialect.

        Raises:
            InvalidRequest: naming the field at fault.
        """
        system, messages = decode(self.messages)
        check_chat_results(self.messages)
        return Asked(
            messages=messages,
            backend=choice.backend,
            model=choice.model,
            system=system,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            sampling=Sampling(
                temperature=self.temperature,
                top_p=self.top_p,
                seed=self.seed,
                stop=stop_of(self.stop),
                effort=self.reasoning_effort,
            ),
            output=self.response_format.output() if self.response_format else None,
            tools=declared(self.tools, self.functions),
            tool_choice=chosen(
                self.tool_choice,
                legacy=self.function_call,
                parallel=False if self.legacy else self.parallel_tool_calls,
            ),
            chat=True,
            ephemeral=self.store is False,
            field="messages",
        )


def stop_of(stop: Stop) -> tuple[str, ...]:
    """Stop texts as a tuple; empty ones mean nothing.

    Raises:
        InvalidRequest: more than sixteen.
    """
    texts = [stop] if isinstance(stop, str) else stop or []
    if len(texts) > MOST_CHOICES:
        raise InvalidRequest(f"stop takes at most {MOST_CHOICES} texts", param="stop")
    return tuple(text for text in texts if text)
