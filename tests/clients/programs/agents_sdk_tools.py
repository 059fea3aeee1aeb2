"""The OpenAI Agents SDK with a function tool and with structured output."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from agents import (
    Agent,
    ItemHelpers,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)

from .cases import CASES, Job, main
from .openai_sdk import Weather, asynchronous_client, weather
from .tools import DESCRIPTION, Told

MODELS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}

set_tracing_disabled(True)


def forecaster(job: Job, way: str, **fields: Any) -> Any:
    model = MODELS[way](model=job.backend, openai_client=asynchronous_client(job))
    return Agent(name="Forecaster", model=model, **fields)


async def talk(job: Job, way: str, scene: str) -> Any:
    told = Told()
    tool = function_tool(
        told.weather,
        name_override="weather",
        description_override=DESCRIPTION,
        failure_error_function=lambda _, error: str(error),
    )
    agent = forecaster(job, way, tools=[tool])
    prompt = job.scene(scene, way)
    if scene == "one_call":
        result = Runner.run_streamed(agent, prompt)
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(agent, prompt)
    told.said += [
        ItemHelpers.text_message_output(item)
        for item in result.new_items
        if item.type == "message_output_item"
    ]
    return told.report()


async def structured(job: Job, way: str) -> Any:
    agent = forecaster(job, way, output_type=Weather)
    answer = (await Runner.run(agent, job.prompt(f"{way}_schema", **weather(job)))).final_output
    return answer.model_dump()


def played(job: Job, *, way: str, scene: str) -> Any:
    return asyncio.run(talk(job, way, scene))


def answered(job: Job, *, way: str) -> Any:
    return asyncio.run(structured(job, way))


for name in MODELS:
    CASES[f"{name}_one_call"] = partial(played, way=name, scene="one_call")
    CASES[f"{name}_rounds"] = partial(played, way=name, scene="rounds")
    CASES[f"{name}_schema"] = partial(answered, way=name)


if __name__ == "__main__":
    main()
