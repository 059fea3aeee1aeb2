"""The OpenAI Agents SDK: an agent without tools, in two turns of one conversation."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import asyncio
from typing import Any

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from .cases import Job, case, main

set_tracing_disabled(True)


def agent(job: Job, kind: Any) -> Any:
    client = AsyncOpenAI(base_url=job.base_url, api_key="none", max_retries=0)
    model = kind(model=job.backend, openai_client=client)
    return Agent(name="Greeter", instructions="Be brief.", model=model)


async def talk(job: Job, kind: Any, marker: str) -> list[str]:
    """Two turns: the second one brings the first along."""
    greeter = agent(job, kind)
    first = await Runner.run(greeter, job.prompt(f"{marker}_1"))
    question = {"role": "user", "content": job.prompt(f"{marker}_2")}
    second = await Runner.run(greeter, [*first.to_input_list(), question])
    return [first.final_output, second.final_output]


@case
def responses(job: Job) -> Any:
    return asyncio.run(talk(job, OpenAIResponsesModel, "responses"))


@case
def chat(job: Job) -> Any:
    return asyncio.run(talk(job, OpenAIChatCompletionsModel, "chat"))


@case
def streamed(job: Job) -> Any:
    async def read() -> Any:
        result = Runner.run_streamed(agent(job, OpenAIResponsesModel), job.prompt("streamed"))
        events = [event async for event in result.stream_events()]
        deltas = [
            event.data.delta
            for event in events
            if event.type == "raw_response_event"
            and event.data.type == "response.output_text.delta"
        ]
        return ["".join(deltas), result.final_output]

    return asyncio.run(read())


if __name__ == "__main__":
    main()
