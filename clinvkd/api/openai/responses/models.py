"""The body of a response's creation. Undeclared fields are accepted and reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from ....errors import InvalidRequest
from ....intake import Asked
from ....models import Choice
from ....prompt import Message, OutputSchema, Sampling
from ...schemas import answer_schema
from ..chat_models import Metadata, Tokens, Wire
from ..results import check_response_results
from ..tools import chosen
from .items import Input, decode
from .tools import declared


@dataclass(frozen=True, slots=True)
class Before:
    """What a response continues.

    Attributes:
        messages: the history, the last answer included.
        system: what earlier input said as system prompt; instructions hold for one response.
    """

    messages: tuple[Message, ...] = ()
    system: str | None = None


class TextFormat(Wire):
    """What the answer has to look like."""

    type: Literal["text", "json_object", "json_schema"]
    name: str = "answer"
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class TextOptions(Wire):
    """How the text is written."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Wire):
    """How much is thought before, and whether it is told."""

    effort: Annotated[str, Field(max_length=32)] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class ResponseRequest(Wire):
    """One response."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: Input | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    max_output_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    text: TextOptions | None = None
    reasoning: Reasoning | None = None
    include: list[str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: Metadata | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None

    @property
    def stored(self) -> bool:
        """Whether the response is kept; the API's own default is yes."""
        return self.store is not False

    def asked(self, choice: Choice, before: Before) -> Asked:
        """The request free of this dialect, after what it continues.

        Raises:
            InvalidRequest: naming the field at fault.
        """
        if self.background and not self.stored:
            raise InvalidRequest("background needs store", param="background")
        system, messages = decode(self.input, before.messages)
        if not messages:
            raise InvalidRequest("input holds no message of the user", param="input")
        check_response_results(before.messages, messages)
        system = [text for text in (self.instructions, before.system, *system) if text]
        return Asked(
            messages=(*before.messages, *messages),
            backend=choice.backend,
            model=choice.model,
            system="\n\n".join(system) or None,
            max_tokens=self.max_output_tokens,
            sampling=Sampling(
                temperature=self.temperature,
                top_p=self.top_p,
                effort=self.reasoning.effort if self.reasoning else None,
            ),
            output=self._output(),
            tools=declared(self.tools),
            tool_choice=chosen(self.tool_choice, parallel=self.parallel_tool_calls),
            chat=True,
            ephemeral=not self.stored,
            field="input",
        )

    def _output(self) -> OutputSchema | None:
        form = self.text.format if self.text else None
        match form.type if form else "text":
            case "json_object":
                return OutputSchema({"type": "object"})
            case "json_schema":
                assert form is not None
                where = "text.format.schema"
                if form.schema_ is None:
                    raise InvalidRequest(f"{where} is required", param=where)
                return OutputSchema(answer_schema(form.schema_, where), form.name)
            case _:
                return None

    def ignored(self) -> list[str]:
        """Declared fields of this request that have no effect."""
        names = []
        if self.text is not None and self.text.verbosity not in (None, "medium"):
            names.append("text.verbosity")
        if self.include:
            names.append("include")
        if self.truncation == "auto":
            names.append("truncation")
        return names
