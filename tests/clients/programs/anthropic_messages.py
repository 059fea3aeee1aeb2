"""The official Anthropic SDK: messages, streams, models, counting."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import asyncio
from typing import Any

import anthropic

from .anthropic_sdk import client, request, text_of
from .cases import Job, case, main, scripted


@case
def create(job: Job) -> Any:
    message = client(job).messages.create(**request(job, job.prompt("create")))
    return {
        "text": text_of(message),
        "role": message.role,
        "stop": message.stop_reason,
        "id": message.id,
        "usage": message.usage.model_dump(),
        "request_id": message._request_id,
    }


@case
def base_url_with_version(job: Job) -> Any:
    """As published examples have it; the SDK adds its own ``/v1``."""
    versioned = client(job, base="/anthropic/v1")
    message = versioned.messages.create(**request(job, job.prompt("base_url_with_version")))
    return [text_of(message), bool(versioned.models.list().data)]


@case
def bearer(job: Job) -> Any:
    asking = anthropic.Anthropic(
        base_url=f"{job.url}/anthropic", auth_token="none", max_retries=0, timeout=60
    )
    return text_of(asking.messages.create(**request(job, job.prompt("bearer"))))


@case
def stream(job: Job) -> Any:
    events = client(job).messages.create(**request(job, job.prompt("stream")), stream=True)
    kinds, pieces = [], []
    for event in events:
        kinds.append(event.type)
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            pieces.append(event.delta.text)
    return {"kinds": kinds, "text": "".join(pieces)}


@case
def stream_helper(job: Job) -> Any:
    with client(job).messages.stream(**request(job, job.prompt("stream_helper"))) as helper:
        pieces = list(helper.text_stream)
        message = helper.get_final_message()
    return {
        "pieces": "".join(pieces),
        "text": text_of(message),
        "stop": message.stop_reason,
        "output_tokens": message.usage.output_tokens,
    }


@case
def beta(job: Job) -> Any:
    message = client(job).beta.messages.create(
        **request(job, job.prompt("beta")), betas=["interleaved-thinking-2025-05-14"]
    )
    return text_of(message)


@case
def asynchronous(job: Job) -> Any:
    async def ask() -> list[str]:
        async with anthropic.AsyncAnthropic(
            base_url=f"{job.url}/anthropic", api_key="none", max_retries=0, timeout=60
        ) as asking:
            message = await asking.messages.create(**request(job, job.prompt("asynchronous_1")))
            async with asking.messages.stream(
                **request(job, job.prompt("asynchronous_2"))
            ) as helper:
                final = await helper.get_final_message()
        return [text_of(message), text_of(final)]

    return asyncio.run(ask())


@case
def raw_response(job: Job) -> Any:
    raw = client(job).messages.with_raw_response.create(
        **request(job, job.prompt("raw_response")), extra_body={"inference_geo": "eu"}
    )
    return {
        "text": text_of(raw.parse()),
        "ignored": raw.headers.get("x-clinvk-ignored"),
        "request_id": raw.headers.get("request-id"),
    }


@case
def conversation(job: Job) -> Any:
    message = client(job).messages.create(
        model=job.backend,
        max_tokens=2000,
        system=[{"type": "text", "text": "Be brief."}],
        messages=[
            {"role": "user", "content": "I am called Ada."},
            {"role": "assistant", "content": [{"type": "text", "text": "Hello Ada."}]},
            {"role": "user", "content": job.prompt("conversation")},
        ],
    )
    return text_of(message)


@case
def five_turns(job: Job) -> Any:
    """A chat that sends its whole history every time, with the blocks as they came."""
    asking, history, texts = client(job), [], []
    before = job.ways()
    for number in range(5):
        history.append({"role": "user", "content": job.prompt(f"five_turns_{number}")})
        message = asking.messages.create(model=job.backend, max_tokens=2000, messages=history)
        history.append({"role": "assistant", "content": message.content})
        texts.append(text_of(message))
    return {"texts": texts, "continued": (job.ways() - before)["continue"]}


@case
def count_tokens(job: Job) -> Any:
    messages = [{"role": "user", "content": "word " * 100}]
    counted = client(job).messages.count_tokens(model=job.backend, messages=messages)
    return counted.input_tokens


@case
def models(job: Job) -> Any:
    asking = client(job)
    page = asking.models.list()
    one = asking.models.retrieve(job.backend)
    return {
        "ids": [model.id for model in page],
        "one": [one.id, one.type, one.display_name, one.created_at.year],
    }


@scripted
def thinking(job: Job) -> Any:
    """Only what the agent tells of its reasoning can come."""
    prompt = job.prompt("thinking", thinking="Let me see.", text="Seen. marker=thinking")
    with client(job).messages.stream(
        **request(job, prompt, thinking={"type": "enabled", "budget_tokens": 1024})
    ) as helper:
        message = helper.get_final_message()
    return [block.model_dump() for block in message.content]


@scripted
def stop_sequence(job: Job) -> Any:
    prompt = job.prompt("stop_sequence", text="one two three", stop="stop_sequence")
    message = client(job).messages.create(**request(job, prompt, stop_sequences=["two"]))
    return [message.stop_reason, message.stop_sequence]


@scripted
def max_tokens(job: Job) -> Any:
    prompt = job.prompt("max_tokens", words=300, stop="max_tokens")
    message = client(job).messages.create(**request(job, prompt, max_tokens=40))
    return message.stop_reason


@scripted
def closed_stream(job: Job) -> Any:
    prompt = job.prompt("closed_stream", words=9, hold_after=3)
    with client(job).messages.stream(**request(job, prompt)) as helper:
        return next(iter(helper.text_stream))


if __name__ == "__main__":
    main()
