"""The official Anthropic SDK with a tool: messages and its tool runner."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

from anthropic import beta_tool
from anthropic.lib.tools import ToolError

from .anthropic_sdk import client, request, text_of
from .cases import Job, case, main
from .tools import DESCRIPTION, PARAMETERS, NoSuchCity, Told

TOOL = {"name": "weather", "description": DESCRIPTION, "input_schema": PARAMETERS}


def result(told: Told, call: Any) -> dict[str, Any]:
    """Run a call; the block that answers it."""
    told.identities.append(call.id)
    block = {"type": "tool_result", "tool_use_id": call.id}
    try:
        return {**block, "content": told.weather(call.input["city"])}
    except NoSuchCity as error:
        return {**block, "content": [{"type": "text", "text": str(error)}], "is_error": True}


def messages(job: Job, scene: str, *, streamed: bool) -> Any:
    """Ask, call and ask again until there is no call."""
    told, asked = Told(), request(job, job.scene(scene, "messages"), tools=[TOOL])
    while True:
        if streamed:
            with client(job).messages.stream(**asked) as stream:
                message = stream.get_final_message()
        else:
            message = client(job).messages.create(**asked)
        told.said.append(text_of(message))
        results = [result(told, block) for block in message.content if block.type == "tool_use"]
        assert message.stop_reason == ("tool_use" if results else "end_turn")
        if not results:
            return told.report()
        asked["messages"] += [
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": results},
        ]


@case
def messages_one_call(job: Job) -> Any:
    return messages(job, "one_call", streamed=True)


@case
def messages_rounds(job: Job) -> Any:
    return messages(job, "rounds", streamed=False)


def runner(job: Job, scene: str, *, streamed: bool) -> Any:
    told = Told()

    @beta_tool(description=DESCRIPTION)  # type: ignore[untyped-decorator]
    def weather(city: str) -> str:
        try:
            return told.weather(city)
        except NoSuchCity as error:
            raise ToolError(str(error)) from error

    asked = request(job, job.scene(scene, "runner"), tools=[weather])
    for answer in client(job).beta.messages.tool_runner(**asked, stream=streamed):
        told.said.append(text_of(answer.get_final_message() if streamed else answer))
    return told.report()


@case
def runner_one_call(job: Job) -> Any:
    return runner(job, "one_call", streamed=True)


@case
def runner_rounds(job: Job) -> Any:
    return runner(job, "rounds", streamed=False)


if __name__ == "__main__":
    main()
