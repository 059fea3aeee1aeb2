"""The newest official Anthropic SDK: threads, and its tool runner, which keeps one by itself."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

from .anthropic_sdk import client, raised, request, text_of
from .cases import Job, case, main


@case
def thread(job: Job) -> Any:
    conversation = client(job).beta.messages.thread(
        model=job.backend, max_tokens=2000, system="Be brief."
    )
    replies = [
        conversation.send({"role": "user", "content": job.prompt(f"thread_{number}")})
        for number in range(3)
    ]
    return {
        "texts": [text_of(reply) for reply in replies],
        "continues": conversation.previous_message_id == replies[-1].id,
        "held": len(conversation.messages),
    }


@case
def streamed(job: Job) -> Any:
    conversation = client(job).beta.messages.thread(model=job.backend, max_tokens=2000)
    texts = []
    for number in range(2):
        said = {"role": "user", "content": job.prompt(f"streamed_{number}")}
        with conversation.stream(said) as helper:
            texts.append(text_of(helper.get_final_message()))
    return {"texts": texts, "continues": conversation.previous_message_id is not None}


@case
def lost(job: Job) -> Any:
    """The SDK sends everything again when the server does not know the message."""
    conversation = client(job).beta.messages.thread(model=job.backend, max_tokens=2000)
    conversation.send({"role": "user", "content": job.prompt("lost_0")})
    conversation._state._thread.previous_message_id = "msg_forgotten"
    reply = conversation.send({"role": "user", "content": job.prompt("lost_1")})
    return {"text": text_of(reply), "continues": conversation.previous_message_id == reply.id}


@case
def runner(job: Job) -> Any:
    """Without tools it is one message, kept for more."""
    ran = client(job).beta.messages.tool_runner(**request(job, job.prompt("runner")), tools=[])
    return text_of(ran.until_done())


@case
def unsupported(job: Job) -> Any:
    conversation = client(job).beta.messages.thread(
        model=job.backend, max_tokens=2000, context_management={"edits": []}
    )
    said = {"role": "user", "content": job.prompt("unsupported")}
    return raised(lambda: conversation.send(said))


if __name__ == "__main__":
    main()
