"""LangChain with a tool and with structured output, over both dialects."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI

from .cases import Job, case, main
from .openai_sdk import Weather, weather
from .tools import DESCRIPTION, NoSuchCity, Told


def openai(job: Job) -> Any:
    return ChatOpenAI(base_url=job.base_url, api_key="none", model=job.backend, max_retries=0)


def anthropic(job: Job) -> Any:
    return ChatAnthropic(
        base_url=f"{job.url}/anthropic", api_key="none", model=job.backend, max_retries=0
    )


def talk(model: Any, prompt: str, *, streamed: bool) -> Any:
    """Ask, call and ask again until there is no call."""
    told, messages = Told(), [HumanMessage(prompt)]
    tool = StructuredTool.from_function(told.weather, name="weather", description=DESCRIPTION)
    bound = model.bind_tools([tool])
    while True:
        if streamed:
            first, *more = bound.stream(messages)
            answer = sum(more, first)
        else:
            answer = bound.invoke(messages)
        told.said.append(answer.text)
        messages.append(answer)
        assert not answer.invalid_tool_calls
        if not answer.tool_calls:
            return told.report()
        for call in answer.tool_calls:
            told.identities.append(call["id"])
            try:
                messages.append(tool.invoke(call))
            except NoSuchCity as error:
                failed = ToolMessage(str(error), tool_call_id=call["id"], status="error")
                messages.append(failed)


@case
def openai_one_call(job: Job) -> Any:
    return talk(openai(job), job.scene("one_call", "openai"), streamed=True)


@case
def openai_rounds(job: Job) -> Any:
    return talk(openai(job), job.scene("rounds", "openai"), streamed=False)


@case
def anthropic_one_call(job: Job) -> Any:
    return talk(anthropic(job), job.scene("one_call", "anthropic"), streamed=True)


@case
def anthropic_rounds(job: Job) -> Any:
    return talk(anthropic(job), job.scene("rounds", "anthropic"), streamed=False)


def structured(model: Any, method: str, prompt: str) -> Any:
    answer = model.with_structured_output(Weather, method=method).invoke(prompt)
    return answer.model_dump()


CALL = {"city": "Oslo", "degrees": 3}
"""What is asked for, when it is asked for by a tool named as the model."""


@case
def openai_function(job: Job) -> Any:
    prompt = job.prompt("openai_function", **job.calling("Weather", **CALL))
    return structured(openai(job), "function_calling", prompt)


@case
def openai_schema(job: Job) -> Any:
    prompt = job.prompt("openai_schema", **weather(job))
    return structured(openai(job), "json_schema", prompt)


@case
def anthropic_function(job: Job) -> Any:
    prompt = job.prompt("anthropic_function", **job.calling("Weather", **CALL))
    return structured(anthropic(job), "function_calling", prompt)


@case
def anthropic_schema(job: Job) -> Any:
    prompt = job.prompt("anthropic_schema", **weather(job))
    return structured(anthropic(job), "json_schema", prompt)


if __name__ == "__main__":
    main()
