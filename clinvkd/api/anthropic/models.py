"""Bodies of the Messages API. Undeclared fields are accepted and reported."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from ...errors import InvalidRequest
from ...intake import Asked
from ...models import Choice
from ...prompt import Message, OutputSchema, Sampling, Tool
from ..schemas import answer_schema
from .content import Content, Messages, Wire, decode, system_of
from .results import check_results
from .tools import chosen, declared

_UNSUPPORTED = ("container", "mcp_servers", "compaction")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_NAMES = 32  # callers choose these names
_QUIET = ("metadata", "cache_control", "context_management", "betas", "diagnostics")


class ThinkingConfig(Wire):
    """Whether the model thinks visibly first."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None


class OutputFormat(Wire):
    """The form of the answer."""

    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Wire):
    """How the answer is made."""

    effort: Annotated[str, Field(max_length=32)] | None = None
    format: OutputFormat | None = None


class Thread(Wire):
    """Conversation state that the server holds."""

    type: Literal["create", "continue"]
    previous_message_id: str | None = None


class CountRequest(Wire):
    """What a message would send."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Messages
    system: Content | None = None
    tools: list[dict[str, Any]] | None = None


class MessagesRequest(CountRequest):
    """One message."""

    max_tokens: Annotated[int, Field(ge=1)]
    tool_choice: dict[str, Any] | None = None
    stream: bool | None = None
    stop_sequences: Annotated[list[str], Field(max_length=64)] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    thread: Thread | None = None

    @property
    def wants_thinking(self) -> bool:
        """Whether the caller is to see the reasoning."""
        return self.thinking is not None and self.thinking.type != "disabled"

    def asked(
        self,
        choice: Choice,
        before: tuple[Message, ...] = (),
        system: str | None = None,
        tools: tuple[Tool, ...] = (),
    ) -> Asked:
        """The request free of this dialect.

        Args:
            before: earlier messages that the server holds.
            system: the system prompt when the request has none.
            tools: the tools when the request has none.

        Raises:
            InvalidRequest: naming the field at fault.
        """
        for name in _UNSUPPORTED:
            if (self.model_extra or {}).get(name):
                raise InvalidRequest("this server has nothing of the kind", param=name)
        self._check_thinking()
        messages = (*before, *decode(self.messages))
        check_results(self.messages, before)
        if messages[-1:] and messages[-1].role == "assistant":
            raise InvalidRequest(
                "the last message is the assistant's: no agent takes the beginning of its answer"
                " (prefill); end with a user message",
                param="messages",
            )
        config = self.output_config or OutputConfig()
        return Asked(
            messages=messages,
            backend=choice.backend,
            model=choice.model,
            system=system_of(self.system) or system,
            max_tokens=self.max_tokens,
            sampling=Sampling(
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                stop=tuple(text for text in self.stop_sequences or () if text),
                thinking_tokens=self._thinking_tokens(),
                effort=config.effort,
            ),
            output=self._output(config.format),
            tools=declared(self.tools) or tools,
            tool_choice=chosen(self.tool_choice),
            chat=True,
            raw_events=True,
            field="messages",
        )

    @staticmethod
    def _output(wanted: OutputFormat | None) -> OutputSchema | None:
        if wanted is None:
            return None
        return OutputSchema(answer_schema(wanted.schema_, "output_config.format.schema"))

    def unknown(self) -> list[str]:
        """Undeclared fields that were given and have no effect, if a header can name them."""
        extra = self.model_extra or {}
        named = [name for name, value in extra.items() if value and name not in _QUIET]
        return [name for name in named if _NAME.fullmatch(name)][:_MOST_NAMES]

    def _check_thinking(self) -> None:
        match self.thinking:
            case ThinkingConfig(type="enabled", budget_tokens=None):
                raise InvalidRequest("is required", param="thinking.budget_tokens")
            case ThinkingConfig(type="enabled", budget_tokens=int(budget)):
                if budget >= self.max_tokens:
                    raise InvalidRequest(
                        "must be less than max_tokens", param="thinking.budget_tokens"
                    )

    def _thinking_tokens(self) -> int | None:
        match self.thinking:
            case ThinkingConfig(type="enabled", budget_tokens=budget):
                return budget
            case ThinkingConfig(type="disabled"):
                return 0
            case _:
                return None
