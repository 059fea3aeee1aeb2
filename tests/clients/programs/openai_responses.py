"""The official SDK: responses."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import time
from typing import Any

import openai
from pydantic import BaseModel

from .cases import Job, case, main, scripted
from .openai_sdk import Weather, client, raised, weather
from .pictures import PIXEL


def responses(job: Job) -> Any:
    return client(job).responses


def plain(model: BaseModel) -> Any:
    return model.model_dump(mode="json", warnings=False)


@case
def create(job: Job) -> Any:
    response = responses(job).create(
        model=job.backend,
        instructions="Be brief.",
        input=job.prompt("create"),
        metadata={"topic": "greeting"},
    )
    return {
        **plain(response),
        "output_text": response.output_text,
        "request_id": response._request_id,
    }


@case
def items(job: Job) -> Any:
    response = responses(job).create(
        model=job.backend,
        input=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "I am called Ada."},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello Ada."}],
            },
            {"role": "user", "content": [{"type": "input_text", "text": job.prompt("items")}]},
        ],
    )
    return response.output_text


@case
def image(job: Job) -> Any:
    content = [
        {"type": "input_text", "text": job.prompt("image")},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
    ]
    try:
        response = responses(job).create(
            model=job.backend, input=[{"role": "user", "content": content}]
        )
    except openai.BadRequestError as error:
        return {"refused": error.message}
    return {"text": response.output_text}


@scripted
def parse(job: Job) -> Any:
    response = responses(job).parse(
        model=job.backend, input=job.prompt("parse", **weather(job)), text_format=Weather
    )
    parsed = response.output_parsed
    return parsed and [type(parsed).__name__, parsed.model_dump()]


@scripted
def limit(job: Job) -> Any:
    response = responses(job).create(
        model=job.backend,
        input=job.prompt("limit", words=200, stop="max_tokens"),
        max_output_tokens=5,
    )
    return [response.status, plain(response)["incomplete_details"], response.output_text]


@case
def stream(job: Job) -> Any:
    events = list(responses(job).create(model=job.backend, input=job.prompt("stream"), stream=True))
    return {
        "types": [event.type for event in events],
        "numbers": [event.sequence_number for event in events],
        "text": "".join(e.delta for e in events if e.type == "response.output_text.delta"),
        "final": plain(events[-1].response),
    }


@scripted
def whole_and_streamed(job: Job) -> Any:
    asked: dict[str, Any] = {
        "model": job.backend,
        "input": [
            {"role": "user", "content": "I am called Ada."},
            {"role": "assistant", "content": "Hello Ada."},
            {"role": "user", "content": job.prompt("whole_and_streamed")},
        ],
    }
    whole = responses(job).create(**asked)
    *_, last = responses(job).create(**asked, stream=True)
    return [
        [response.output_text, response.status, plain(response)["usage"]]
        for response in (whole, last.response)
    ]


@case
def stream_helper(job: Job) -> Any:
    with responses(job).stream(model=job.backend, input=job.prompt("stream_helper")) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    return [kinds[0], kinds[-1], final.output_text]


@scripted
def reasoning(job: Job) -> Any:
    response = responses(job).create(
        model=job.backend,
        input=job.prompt("reasoning", thinking="Let me think."),
        reasoning={"effort": "low", "summary": "auto"},
    )
    return [
        [item.type for item in response.output],
        [
            part.text
            for item in response.output
            if item.type == "reasoning"
            for part in item.summary
        ],
        response.usage.output_tokens_details.reasoning_tokens,
    ]


@case
def stored(job: Job) -> Any:
    """A response's life: looked up, its input read, deleted, gone."""
    api = responses(job)
    made = api.create(model=job.backend, input=job.prompt("stored"))
    found = api.retrieve(made.id)
    asked = [plain(item) for item in api.input_items.list(made.id)]
    api.delete(made.id)
    return {
        "same": plain(made) == plain(found),
        "asked": asked,
        "after": raised(lambda: api.retrieve(made.id)),
    }


@case
def not_stored(job: Job) -> Any:
    api = responses(job)
    made = api.create(model=job.backend, input=job.prompt("not_stored"), store=False)
    return [made.store, raised(lambda: api.retrieve(made.id))]


@case
def chain(job: Job) -> Any:
    """Each response continues the one before by its id; the third one branches off the first."""
    api, before = responses(job), job.ways()
    first = api.create(model=job.backend, input=job.prompt("chain_1"))
    second = api.create(
        model=job.backend, input=job.prompt("chain_2"), previous_response_id=first.id
    )
    third = api.create(
        model=job.backend, input=job.prompt("chain_3"), previous_response_id=first.id
    )
    return {
        "ways": job.ways() - before,
        "texts": [response.output_text for response in (first, second, third)],
        "previous": [
            second.previous_response_id == first.id,
            third.previous_response_id == first.id,
        ],
    }


@case
def background(job: Job) -> Any:
    api = responses(job)
    made = api.create(model=job.backend, input=job.prompt("background"), background=True)
    begun, response = made.status, made
    while response.status in ("queued", "in_progress"):
        time.sleep(0.05)
        response = api.retrieve(made.id)
    return [begun, response.status, response.output_text]


@scripted
def cancelled(job: Job) -> Any:
    api = responses(job)
    made = api.create(
        model=job.backend, input=job.prompt("cancelled", silent=True), background=True
    )
    ended = api.cancel(made.id)
    return [ended.status, api.retrieve(made.id).status, job.gets_quiet()]


@scripted
def closed_stream(job: Job) -> Any:
    with responses(job).create(
        model=job.backend,
        input=job.prompt("closed_stream", words=9, hold_after=3),
        stream=True,
    ) as stream:
        begin = next(event.delta for event in stream if event.type == "response.output_text.delta")
    return [begin, job.gets_quiet()]


@case
def client_tools(job: Job) -> Any:
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    asked = job.prompt("client_tools")
    return raised(lambda: responses(job).create(model=job.backend, input=asked, tools=[tool]))


@scripted
def rate_limited(job: Job) -> Any:
    error = {"status": 429, "retry_after": 7}
    return raised(
        lambda: responses(job).create(
            model=job.backend, input=job.prompt("rate_limited", error=error)
        )
    )


if __name__ == "__main__":
    main()
