"""Loops of clients that get nowhere, as the SDKs and LangChain run them: they have to end."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import anthropic
import openai
from langchain_openai import ChatOpenAI

from .cases import Job, case, main, scripted

MOST = 200
"""Requests after which a loop counts as one that does not end."""
ROUNDS = 30
PARAMETERS = {"type": "object", "properties": {"at": {"type": "string"}}}


def refused(job: Job) -> int:
    """How many requests the daemon has refused so far because they were loops."""
    with urllib.request.urlopen(f"{job.url}/health") as response:
        return sum(json.load(response)["loop_guard"]["refused"].values())


def ended(job: Job, step: Callable[[], Any], *errors: type[Exception]) -> Any:
    """Take steps until an error; which one, after how many, and how often it was tried in vain."""
    before = refused(job)
    for number in range(MOST):
        try:
            step()
        except errors as error:
            return {
                "class": type(error).__name__,
                "status": getattr(error, "status_code", None),
                "code": getattr(error, "code", None),
                "steps": number,
                "refused": refused(job) - before,
            }
    raise AssertionError(f"still going after {MOST} requests")


def chat_tool() -> dict[str, Any]:
    return {"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}


@case
def openai_chat(job: Job) -> Any:
    """The same chat again and again, because it was answered in words."""
    if job.scripted:
        return None
    client = openai.OpenAI(base_url=job.base_url, api_key="unused")
    messages = [{"role": "user", "content": job.prompt("openai_chat")}]
    chat = client.chat.completions
    return ended(
        job,
        lambda: chat.create(model=job.backend, messages=messages, tools=[chat_tool()]),
        openai.APIError,
    )


@case
def openai_stream(job: Job) -> Any:
    """The same, streamed."""
    if job.scripted:
        return None
    client = openai.OpenAI(base_url=job.base_url, api_key="unused")
    messages = [{"role": "user", "content": job.prompt("openai_stream")}]
    chat = client.chat.completions

    def step() -> None:
        stream = chat.create(model=job.backend, messages=messages, tools=[chat_tool()], stream=True)
        for _ in stream:
            pass

    return ended(job, step, openai.APIError)


@case
def anthropic_messages(job: Job) -> Any:
    """The same message again and again, because no tool was used."""
    if job.scripted:
        return None
    client = anthropic.Anthropic(base_url=f"{job.url}/anthropic", api_key="unused")
    messages = [{"role": "user", "content": job.prompt("anthropic_messages")}]
    tool = {"name": "look", "input_schema": PARAMETERS}
    return ended(
        job,
        lambda: client.messages.create(
            model=job.backend, max_tokens=99, messages=messages, tools=[tool]
        ),
        anthropic.APIError,
    )


@case
def langchain(job: Job) -> Any:
    """A model with tools that is invoked until it calls one."""
    if job.scripted:
        return None
    model = ChatOpenAI(model=job.backend, base_url=job.base_url, api_key="unused")
    bound = model.bind_tools([chat_tool()])
    return ended(job, lambda: bound.invoke(job.prompt("langchain")), openai.APIError)


@scripted
def tool_runner(job: Job) -> Any:
    """Anthropic's tool runner with a model that makes the same call for ever."""
    client = anthropic.Anthropic(base_url=f"{job.url}/anthropic", api_key="unused")
    looked = []

    @anthropic.beta_tool  # type: ignore[untyped-decorator]
    def look(at: str) -> str:
        """Looks."""
        looked.append(at)
        return "nothing there"

    reply: dict[str, Any] = {"text": "I give up."}
    for number in range(ROUNDS):
        # The provider tells rounds apart by what is said between them.
        reply = {"text": f"Try {number}.", **job.calling("look", at="it"), "then": reply}
    runner = client.beta.messages.tool_runner(
        model=job.backend,
        max_tokens=99,
        messages=[{"role": "user", "content": job.prompt("tool_runner", **reply)}],
        tools=[look],
    )
    end = ended(job, runner.until_done, anthropic.APIError)
    return {**end, "looked": len(looked)}


if __name__ == "__main__":
    main()
