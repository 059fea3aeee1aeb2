"""The official OpenAI SDK with a tool: chats, functions, responses, and its tool runner."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
from typing import Any

from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner

from .cases import Job, case, main
from .openai_sdk import client
from .tools import DESCRIPTION, PARAMETERS, Told

FUNCTION = {"name": "weather", "description": DESCRIPTION, "parameters": PARAMETERS}
CHAT_TOOL = {"type": "function", "function": FUNCTION}
RESPONSES_TOOL: dict[str, Any] = {"type": "function", **FUNCTION}


def city_of(call: Any) -> str:
    return str(json.loads(call.arguments)["city"])


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def chat(job: Job, prompt: str, *, streamed: bool) -> Any:
    """Ask, call and ask again until there is no call."""
    told, messages = Told(), user(prompt)
    chats = client(job).chat.completions
    while True:
        asked = {"model": job.backend, "messages": messages, "tools": [CHAT_TOOL]}
        if streamed:
            with chats.stream(**asked) as stream:
                completion = stream.get_final_completion()
        else:
            completion = chats.create(**asked)
        [choice] = completion.choices
        told.said.append(choice.message.content or "")
        calls = choice.message.tool_calls or []
        assert choice.finish_reason == ("tool_calls" if calls else "stop")
        if not calls:
            return told.report()
        messages.append(choice.message.model_dump(exclude_unset=True, exclude={"parsed"}))
        for call in calls:
            told.identities.append(call.id)
            result = told.weather_or_error(city_of(call.function))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


@case
def chat_one_call(job: Job) -> Any:
    return chat(job, job.scene("one_call", "chat"), streamed=True)


@case
def chat_rounds(job: Job) -> Any:
    return chat(job, job.scene("rounds", "chat"), streamed=False)


def functions(job: Job, prompt: str, *, streamed: bool) -> Any:
    """The same in the form before tools, which has room for one call."""
    told, messages = Told(), user(prompt)
    while True:
        answer = client(job).chat.completions.create(
            model=job.backend, messages=messages, functions=[FUNCTION], stream=streamed
        )
        if streamed:
            choices = [choice for chunk in answer for choice in chunk.choices]
            said = "".join(choice.delta.content or "" for choice in choices)
            called = [c.delta.function_call for c in choices if c.delta.function_call]
            name = "".join(call.name or "" for call in called)
            arguments = "".join(call.arguments or "" for call in called)
        else:
            [choice] = choices = answer.choices
            said, called = choice.message.content or "", choice.message.function_call
            name, arguments = (called.name, called.arguments) if called else ("", "")
        told.said.append(said)
        assert choices[-1].finish_reason == ("function_call" if called else "stop")
        if not called:
            return told.report()
        call = {"name": name, "arguments": arguments}
        result = told.weather_or_error(json.loads(arguments)["city"])
        messages += [
            {"role": "assistant", "content": said or None, "function_call": call},
            {"role": "function", "name": name, "content": result},
        ]


@case
def functions_one_call(job: Job) -> Any:
    return functions(job, job.scene("one_call", "functions"), streamed=False)


@case
def functions_rounds(job: Job) -> Any:
    return functions(job, job.scene("rounds", "functions"), streamed=True)


def outputs(told: Told, response: Any) -> list[Any]:
    """Run the calls of a response; the items that answer them."""
    told.said.append(response.output_text)
    items = []
    for call in response.output:
        if call.type == "function_call":
            told.identities.append(call.call_id)
            result = told.weather_or_error(city_of(call))
            items.append(
                {"type": "function_call_output", "call_id": call.call_id, "output": result}
            )
    return items


@case
def responses_one_call(job: Job) -> Any:
    """Streamed, and each response goes on after the one before."""
    told, items, before = Told(), user(job.scene("one_call", "responses")), None
    while items:
        asked = {"model": job.backend, "input": items, "tools": [RESPONSES_TOOL]}
        with client(job).responses.stream(**asked, previous_response_id=before) as stream:
            response = stream.get_final_response()
        before, items = response.id, outputs(told, response)
    return told.report()


@case
def responses_rounds(job: Job) -> Any:
    """Whole, and the caller keeps the history."""
    told, items = Told(), user(job.scene("rounds", "responses"))
    while True:
        response = client(job).responses.create(
            model=job.backend, input=items, tools=[RESPONSES_TOOL], store=False
        )
        given = outputs(told, response)
        if not given:
            return told.report()
        items += [*(item.model_dump() for item in response.output), *given]


def runner(job: Job, scene: str, *, streamed: bool) -> Any:
    told = Told()
    weather = RegisteredFunction(
        {**RESPONSES_TOOL, "strict": True}, lambda given: told.weather_or_error(str(given["city"]))
    )
    turns = ResponsesToolRunner(functions=[weather]).iterate(
        client(job),
        {"model": job.backend, "input": user(job.scene(scene, "runner"))},
        stream=streamed,
    )
    told.said += [turn.response.output_text for turn in turns]
    return told.report()


@case
def runner_one_call(job: Job) -> Any:
    return runner(job, "one_call", streamed=True)


@case
def runner_rounds(job: Job) -> Any:
    return runner(job, "rounds", streamed=False)


if __name__ == "__main__":
    main()
