"""LangChain over the Anthropic dialect: a conversation, whole and streamed."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from .cases import Job, case, main


def model(job: Job) -> Any:
    return ChatAnthropic(
        base_url=f"{job.url}/anthropic", api_key="none", model=job.backend, max_retries=0
    )


def conversation(job: Job, marker: str) -> list[Any]:
    return [
        SystemMessage("Be brief."),
        HumanMessage("I am called Ada."),
        AIMessage("Hello Ada."),
        HumanMessage(job.prompt(marker)),
    ]


@case
def invoke(job: Job) -> Any:
    answer = model(job).invoke(conversation(job, "invoke"))
    return {"text": answer.text, "input": answer.usage_metadata["input_tokens"]}


@case
def stream(job: Job) -> Any:
    return "".join(chunk.text for chunk in model(job).stream(conversation(job, "stream")))


@case
def two_turns(job: Job) -> Any:
    asking, history, texts = model(job), [SystemMessage("Be brief.")], []
    for number in (1, 2):
        history.append(HumanMessage(job.prompt(f"two_turns_{number}")))
        history.append(asking.invoke(history))
        texts.append(history[-1].text)
    return texts


if __name__ == "__main__":
    main()
