"""LangChain: a conversation, streamed, through the responses API, and with structured output."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

from .cases import Job, case, main, scripted
from .openai_sdk import Weather, weather


def model(job: Job, **fields: Any) -> Any:
    return ChatOpenAI(
        base_url=job.base_url, api_key="none", max_retries=0, **{"model": job.backend, **fields}
    )


def conversation(job: Job, marker: str, **reply: Any) -> list[Any]:
    return [
        SystemMessage("Be brief."),
        HumanMessage("I am called Ada."),
        AIMessage("Hello Ada."),
        HumanMessage(job.prompt(marker, **reply)),
    ]


@case
def invoke(job: Job) -> Any:
    answer = model(job).invoke(conversation(job, "invoke"))
    return {"text": answer.text, "usage": answer.usage_metadata}


@case
def stream(job: Job) -> Any:
    chunks = list(model(job, stream_usage=True).stream(conversation(job, "stream")))
    return {
        "text": "".join(chunk.text for chunk in chunks),
        "usage": [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata],
    }


@case
def responses(job: Job) -> Any:
    answer = model(job, use_responses_api=True).invoke(conversation(job, "responses"))
    return {"text": answer.text, "id": answer.response_metadata["id"]}


@case
def responses_stream(job: Job) -> Any:
    chunks = model(job, use_responses_api=True).stream(conversation(job, "responses_stream"))
    return "".join(chunk.text for chunk in chunks)


@case
def chosen_by_name(job: Job) -> Any:
    """A model whose name holds "codex" is asked through the responses API, unasked."""
    answer = model(job, model="my-codex").invoke(conversation(job, "chosen_by_name"))
    return {"text": answer.text, "id": answer.response_metadata["id"]}


@scripted
def structured(job: Job) -> Any:
    answer = (
        model(job)
        .with_structured_output(Weather, method="json_schema")
        .invoke(conversation(job, "structured", **weather(job)))
    )
    return [type(answer).__name__, answer.model_dump()]


if __name__ == "__main__":
    main()
