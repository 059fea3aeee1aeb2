"""``POST /completions``: the legacy form, a text continued; autocompletion still speaks it."""

from __future__ import annotations

import time
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field
from pydantic_core import to_json

from ...errors import ClinvkError, InvalidRequest
from ...events import Completed, Event, TextDelta, Usage
from ...intake import Asked
from ...models import Choice
from ...prompt import Message, Sampling, Text
from ..answers import merged, whole_all
from ..dialect import Encoder, any_substance
from ..endpoint import CALLER, ENGINE, TURN_ERRORS, Returns, body_of, endpoint
from ..stream import EVENT_STREAM, stream
from .answer_types import TextCompletion
from .chat_encoder import DONE, FINISH
from .chat_models import MOST_CHOICES, Seed, Stop, StreamOptions, Tokens, Wire, stop_of
from .wire import chat_usage, error_body, ignored_header, new_id

_INSERT = (
    "Write only the text that belongs between these two parts, nothing else.\n"
    "<before>{before}</before>\n<after>{after}</after>"
)


class CompletionRequest(Wire):
    """One legacy completion."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    prompt: str | list[str] | list[int] | list[list[int]] | None = None
    suffix: str | None = None
    echo: bool | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    stop: Stop = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Seed | None = None
    user: str | None = None

    def prompts(self) -> list[str]:
        """The texts to continue.

        Raises:
            InvalidRequest: tokens, nothing, or too many.
        """
        texts = [self.prompt] if isinstance(self.prompt, str) else self.prompt or []
        prompts = [text for text in texts if isinstance(text, str)]
        if len(prompts) != len(texts):
            raise InvalidRequest(
                "prompt must be a text or a list of texts: tokens are another model's",
                param="prompt",
            )
        if not prompts:
            raise InvalidRequest("prompt is required", param="prompt")
        if len(prompts) * (self.n or 1) > MOST_CHOICES:
            raise InvalidRequest(f"at most {MOST_CHOICES} answers at once", param="prompt")
        return prompts

    def asked(self, text: str, choice: Choice) -> Asked:
        """One of the prompts, free of this dialect."""
        if self.suffix:
            text = _INSERT.format(before=text, after=self.suffix)
        return Asked(
            messages=(Message("user", (Text(text),)),),
            backend=choice.backend,
            model=choice.model,
            max_tokens=self.max_tokens,
            sampling=Sampling(
                temperature=self.temperature,
                top_p=self.top_p,
                seed=self.seed,
                stop=stop_of(self.stop),
            ),
            chat=True,
            field="prompt",
        )


@endpoint(
    "POST",
    "/completions",
    body=CompletionRequest,
    summary="Continue a text (legacy).",
    operation="createCompletion",
    returns=(
        Returns(TextCompletion, "The whole answer."),
        Returns(
            TextCompletion, "With `stream`: one piece after the other.", media_types=(EVENT_STREAM,)
        ),
    ),
    raises=TURN_ERRORS,
)
async def completions(request: web.Request) -> web.StreamResponse:
    """Continue each prompt `n` times, whole or streamed."""
    engine = request.app[ENGINE]
    body = body_of(request, CompletionRequest)
    choice = engine.models.resolve(body.model)
    texts = body.prompts()
    caller = request[CALLER]
    approved = [await engine.approve(body.asked(text, choice), caller) for text in texts]
    headers = ignored_header(approved[0], body, guessed=choice.guessed)
    count = body.n or 1
    prompts = [each.prompt for each in approved for _ in range(count)]
    encoder = CompletionEncoder(body, [text for text in texts for _ in range(count)])
    if body.stream:
        async with merged(engine, prompts) as batches:
            return await stream(
                request, batches, encoder, server=engine.settings.server, headers=headers
            )
    answers = await whole_all(engine, prompts)
    choices = [
        encoder.choice(index, encoder.lead(index) + a.text, FINISH[a.completed.stop_reason])
        for index, a in enumerate(answers)
    ]
    usage = sum((answer.completed.usage for answer in answers), Usage())
    return web.Response(
        body=to_json({**encoder.head, "choices": choices, "usage": chat_usage(usage)}),
        content_type="application/json",
        headers=headers,
    )


class CompletionEncoder(Encoder[tuple[int, list[Event]]]):
    """``text_completion`` objects, whole or as a stream.

    Args:
        body: what was asked.
        prompts: the prompt of each choice.
    """

    content_type = EVENT_STREAM

    def __init__(self, body: CompletionRequest, prompts: list[str]) -> None:
        self.head: dict[str, Any] = {
            "id": new_id("cmpl-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": body.model,
            "system_fingerprint": None,
        }
        self._echo = prompts if body.echo else [""] * len(prompts)
        self._include_usage = bool(body.stream_options and body.stream_options.include_usage)
        self._open = len(prompts)
        self._begun: set[int] = set()
        self._usage = Usage()

    def lead(self, index: int) -> str:
        """What stands before the answer: the prompt when it is to be echoed."""
        return self._echo[index]

    def choice(self, index: int, text: str, finish: str | None) -> dict[str, Any]:
        """One answer, or a piece of it."""
        return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}

    def feed(self, batch: tuple[int, list[Event]]) -> bytes:
        """The chunks of a list of events of one choice."""
        index, events = batch
        parts = []
        if index not in self._begun:
            self._begun.add(index)
            if self.lead(index):
                parts.append(self._chunk([self.choice(index, self.lead(index), None)]))
        for event in events:
            match event:
                case TextDelta(text):
                    parts.append(self._chunk([self.choice(index, text, None)]))
                case Completed(stop_reason, usage):
                    self._usage += usage
                    self._open -= 1
                    parts.append(self._chunk([self.choice(index, "", FINISH[stop_reason])]))
                    if not self._open:
                        parts += self._end()
        return b"".join(parts)

    def substantial(self, batch: tuple[int, list[Event]]) -> bool:
        """Anything but the notice that the agent is at it."""
        return any_substance(batch[1])

    def fail(self, error: ClinvkError) -> bytes:
        """The stream's end when a turn failed."""
        return b"data: " + to_json({"error": error_body(error)}) + b"\n\n"

    def _end(self) -> list[bytes]:
        usage = [self._chunk([], chat_usage(self._usage))] if self._include_usage else []
        return [*usage, DONE]

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        chunk = {**self.head, "choices": choices}
        if self._include_usage:
            chunk["usage"] = usage
        return b"data: " + to_json(chunk) + b"\n\n"
