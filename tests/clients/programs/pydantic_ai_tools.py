"""Pydantic AI with a tool and with structured output: chats, responses, messages."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic_ai import Agent, ModelRetry, NativeOutput, TextPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from .cases import CASES, Job, main
from .openai_sdk import Weather, weather
from .tools import DESCRIPTION, NoSuchCity, Told


def openai(job: Job) -> Any:
    return OpenAIProvider(base_url=job.base_url, api_key="none")


MODELS = {
    "chat": lambda job: OpenAIChatModel(job.backend, provider=openai(job)),
    "responses": lambda job: OpenAIResponsesModel(job.backend, provider=openai(job)),
    "messages": lambda job: AnthropicModel(
        job.backend,
        provider=AnthropicProvider(base_url=f"{job.url}/anthropic", api_key="none"),
        # By the model's name it cannot know that.
        profile={"supports_json_schema_output": True},
    ),
}


def talk(job: Job, *, way: str, scene: str) -> Any:
    told, agent = Told(), Agent(MODELS[way](job))

    @agent.tool_plain(description=DESCRIPTION, retries=3)  # type: ignore[untyped-decorator]
    def weather(city: str) -> str:
        try:
            return told.weather(city)
        except NoSuchCity as error:
            raise ModelRetry(str(error)) from error

    result = agent.run_sync(job.scene(scene, way))
    parts = [part for message in result.all_messages() for part in message.parts]
    told.said += [part.content for part in parts if isinstance(part, TextPart)]
    return told.report()


def streamed(job: Job, *, way: str, scene: str) -> Any:
    told, agent = Told(), Agent(MODELS[way](job))
    agent.tool_plain(told.weather, description=DESCRIPTION)
    told.said.append("".join(agent.run_stream_sync(job.scene(scene, way)).stream_text(delta=True)))
    return told.report()


def structured(job: Job, *, way: str) -> Any:
    """By a tool of its own that has to be called."""
    agent = Agent(MODELS[way](job), output_type=Weather)
    call = job.calling("final_result", city="Oslo", degrees=3)
    answer = agent.run_sync(job.prompt(f"{way}_function", **call)).output
    return answer.model_dump()


def native(job: Job, *, way: str) -> Any:
    """By the dialect's own field."""
    agent = Agent(MODELS[way](job), output_type=NativeOutput(Weather))
    answer = agent.run_sync(job.prompt(f"{way}_schema", **weather(job))).output
    return answer.model_dump()


for name in MODELS:
    CASES[f"{name}_one_call"] = partial(streamed, way=name, scene="one_call")
    CASES[f"{name}_rounds"] = partial(talk, way=name, scene="rounds")
    CASES[f"{name}_function"] = partial(structured, way=name)
    CASES[f"{name}_schema"] = partial(native, way=name)


if __name__ == "__main__":
    main()
