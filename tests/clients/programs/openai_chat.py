"""The official SDK: models, chat completions and legacy completions."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any

import openai

from .cases import Job, case, main, scripted
from .openai_sdk import Weather, asynchronous_client, client, weather
from .pictures import PIXEL

UNSUPPORTED: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 7,
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "service_tier": "flex",
    "extra_body": {"unheard_of": 1},
}


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def told(chunks: list[Any]) -> dict[str, Any]:
    """A stream of chat chunks, put together."""
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return {
        "roles": [choice.delta.role for choice in choices if choice.delta.role],
        "first": chunks[0].choices[0].delta.role,
        "pieces": [choice.delta.content for choice in choices if choice.delta.content],
        "finish": [choice.finish_reason for choice in choices if choice.finish_reason],
        "ids": sorted({chunk.id for chunk in chunks}),
        "usage": chunks[-1].usage and chunks[-1].usage.model_dump(),
        "last_choices": len(chunks[-1].choices),
    }


@case
def models_list(job: Job) -> Any:
    return [model.model_dump() for model in client(job).models.list()]


@case
def model_retrieve(job: Job) -> Any:
    return client(job).models.retrieve(job.backend).model_dump()


@case
def model_missing(job: Job) -> Any:
    try:
        client(job).models.retrieve("no-such-model")
    except openai.NotFoundError as error:
        return {"status": error.status_code, "code": error.code, "param": error.param}


@case
def chat_create(job: Job) -> Any:
    completion = client(job).chat.completions.create(
        model=job.backend, messages=user(job.prompt("chat_create"))
    )
    return {**completion.model_dump(), "request_id": completion._request_id}


@scripted
def named_model(job: Job) -> Any:
    completion = client(job).chat.completions.create(
        model=f"{job.backend}/fake-1", messages=user(job.prompt("named_model"))
    )
    return [completion.model, completion.choices[0].message.content]


@case
def chat_stream(job: Job) -> Any:
    stream = client(job).chat.completions.create(
        model=job.backend,
        messages=user(job.prompt("chat_stream")),
        stream=True,
        stream_options={"include_usage": True},
    )
    return told(list(stream))


@scripted
def whole_and_streamed(job: Job) -> Any:
    asked: dict[str, Any] = {
        "model": job.backend,
        "messages": [
            *user("I am called Ada."),
            {"role": "assistant", "content": "Hello Ada."},
            *user(job.prompt("whole_and_streamed")),
        ],
    }
    whole = client(job).chat.completions.create(**asked)
    stream = client(job).chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    streamed = told(list(stream))
    [choice] = whole.choices
    return [
        [choice.message.content, choice.finish_reason, whole.usage and whole.usage.model_dump()],
        ["".join(streamed["pieces"]), *streamed["finish"], streamed["usage"]],
    ]


@case
def chat_stream_helper(job: Job) -> Any:
    with client(job).chat.completions.stream(
        model=job.backend, messages=user(job.prompt("chat_stream_helper"))
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    return {"kinds": kinds, "text": final.choices[0].message.content}


@scripted
def parse(job: Job) -> Any:
    completion = client(job).chat.completions.parse(
        model=job.backend,
        messages=user(job.prompt("parse", **weather(job))),
        response_format=Weather,
    )
    parsed = completion.choices[0].message.parsed
    return parsed and [type(parsed).__name__, parsed.model_dump()]


@case
def system_messages(job: Job) -> Any:
    completion = client(job).chat.completions.create(
        model=job.backend,
        messages=[
            {"role": "system", "content": "First rule: be brief."},
            {"role": "developer", "content": "Second rule: be kind."},
            {"role": "system", "content": [{"type": "text", "text": "Third rule: be exact."}]},
            *user(job.prompt("system_messages")),
        ],
    )
    return completion.choices[0].message.content


@case
def image(job: Job) -> Any:
    content = [
        {"type": "text", "text": job.prompt("image")},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    try:
        completion = client(job).chat.completions.create(
            model=job.backend, messages=[{"role": "user", "content": content}]
        )
    except openai.BadRequestError as error:
        return {"refused": error.message}
    return {"text": completion.choices[0].message.content}


@case
def history(job: Job) -> Any:
    completion = client(job).chat.completions.create(
        model=job.backend,
        messages=[
            {"role": "user", "content": "I am called Ada.", "name": "ada"},
            {"role": "assistant", "content": "Hello Ada."},
            {"role": "user", "content": [{"type": "text", "text": "I like tea."}]},
            {"role": "assistant", "content": "Noted."},
            *user(job.prompt("history")),
        ],
    )
    return completion.choices[0].message.content


@case
def five_turns(job: Job) -> Any:
    """A chat as SDK users keep it: the whole history is sent again with every question."""
    chat = client(job).chat.completions
    before = job.ways()
    messages: list[Any] = [{"role": "system", "content": "You count turns."}]
    for number in range(1, 6):
        messages.append({"role": "user", "content": job.prompt(f"five_turns_{number}")})
        answer = chat.create(model=job.backend, messages=messages).choices[0].message
        messages.append(answer)
    return {
        "ways": job.ways() - before,
        "answers": [message.content for message in messages[2::2]],
    }


@case
def several(job: Job) -> Any:
    completion = client(job).chat.completions.create(
        model=job.backend, messages=user(job.prompt("several")), n=2
    )
    return {
        "choices": [(choice.index, choice.message.content) for choice in completion.choices],
        "usage": completion.usage.model_dump(),
    }


@case
def several_streamed(job: Job) -> Any:
    stream = client(job).chat.completions.create(
        model=job.backend, messages=user(job.prompt("several_streamed")), n=2, stream=True
    )
    texts = {0: "", 1: ""}
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    return [texts[0], texts[1]]


@case
def stop(job: Job) -> Any:
    # Claude Code leaves it to the provider, and the fake one does not look for it.
    cut = {"text": "one ", "stop": "stop_sequence"}
    reply = cut if job.backend == "claude" else {"text": "one END two"}
    prompt = job.prompt("stop", **reply) if job.scripted else "one END two"
    completion = client(job).chat.completions.create(
        model=job.backend, messages=user(prompt), stop=["END"]
    )
    [choice] = completion.choices
    return [choice.message.content, choice.finish_reason]


@case
def limit(job: Job) -> Any:
    prompt = job.prompt("limit", words=200, stop="max_tokens") if job.scripted else "word " * 200
    completion = client(job).chat.completions.create(
        model=job.backend, messages=user(prompt), max_completion_tokens=5, temperature=0
    )
    [choice] = completion.choices
    return [choice.message.content, choice.finish_reason]


@case
def ignored(job: Job) -> Any:
    response = client(job).chat.completions.with_raw_response.create(
        model=job.backend, messages=user(job.prompt("ignored")), **UNSUPPORTED
    )
    return {
        "text": response.parse().choices[0].message.content,
        "header": response.headers.get("x-clinvk-ignored"),
        "request_id": response.headers.get("x-request-id"),
    }


@case
def completions_create(job: Job) -> Any:
    completion = client(job).completions.create(
        model=job.backend, prompt=job.prompt("completions_create"), echo=True
    )
    return completion.model_dump()


@case
def completions_list(job: Job) -> Any:
    completion = client(job).completions.create(
        model=job.backend,
        prompt=[job.prompt("completions_list_1"), job.prompt("completions_list_2")],
    )
    return [(choice.index, choice.text) for choice in completion.choices]


@case
def completions_stream(job: Job) -> Any:
    stream = client(job).completions.create(
        model=job.backend, prompt=job.prompt("completions_stream"), stream=True
    )
    choices = [choice for chunk in stream for choice in chunk.choices]
    return {
        "pieces": [choice.text for choice in choices if choice.text],
        "finish": [choice.finish_reason for choice in choices if choice.finish_reason],
    }


@case
def asynchronous(job: Job) -> Any:
    async def talk() -> Any:
        async with asynchronous_client(job) as client:
            whole, stream = await asyncio.gather(
                client.chat.completions.create(
                    model=job.backend, messages=user(job.prompt("asynchronous_whole"))
                ),
                client.chat.completions.create(
                    model=job.backend,
                    messages=user(job.prompt("asynchronous_stream")),
                    stream=True,
                ),
            )
            return [whole.choices[0].message.content, told([chunk async for chunk in stream])]

    return asyncio.run(talk())


@scripted
def closed_stream(job: Job) -> Any:
    """Leave in the middle of an answer that would never end."""
    with client(job).chat.completions.create(
        model=job.backend,
        messages=user(job.prompt("closed_stream", words=9, hold_after=3)),
        stream=True,
    ) as stream:
        begin = [chunk.choices[0].delta.content for chunk in islice(stream, 2)]
    return [begin, job.gets_quiet()]


@scripted
def closed_asynchronous_stream(job: Job) -> Any:
    async def leave() -> Any:
        async with asynchronous_client(job) as client:
            stream = await client.chat.completions.create(
                model=job.backend,
                messages=user(job.prompt("closed_asynchronous_stream", words=9, hold_after=3)),
                stream=True,
            )
            async with stream:
                begin = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
            return [begin, await asyncio.to_thread(job.gets_quiet)]

    return asyncio.run(leave())


@scripted
def cancelled_call(job: Job) -> Any:
    """Give up a call that is not streamed."""

    async def give_up() -> Any:
        async with asynchronous_client(job) as client:
            call = client.chat.completions.create(
                model=job.backend, messages=user(job.prompt("cancelled_call", silent=True))
            )
            try:
                await asyncio.wait_for(call, 1.5)
            except TimeoutError:
                return await asyncio.to_thread(job.gets_quiet)

    return asyncio.run(give_up())


if __name__ == "__main__":
    main()
