"""LlamaIndex's `OpenAILike`: chat and plain completion, whole and streamed."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

from .cases import Job, case, main


def model(job: Job, *, chat: bool) -> Any:
    return OpenAILike(
        model=job.backend,
        api_base=job.base_url,
        api_key="none",
        is_chat_model=chat,
        max_retries=0,
        context_window=8192,
    )


def conversation(job: Job, marker: str) -> list[Any]:
    return [
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(role="user", content="I am called Ada."),
        ChatMessage(role="assistant", content="Hello Ada."),
        ChatMessage(role="user", content=job.prompt(marker)),
    ]


@case
def chat(job: Job) -> Any:
    return model(job, chat=True).chat(conversation(job, "chat")).message.content


@case
def stream_chat(job: Job) -> Any:
    pieces = model(job, chat=True).stream_chat(conversation(job, "stream_chat"))
    return "".join(piece.delta or "" for piece in pieces)


@case
def complete(job: Job) -> Any:
    """Goes to the legacy completions."""
    return model(job, chat=False).complete(job.prompt("complete")).text


@case
def stream_complete(job: Job) -> Any:
    pieces = model(job, chat=False).stream_complete(job.prompt("stream_complete"))
    return "".join(piece.delta or "" for piece in pieces)


if __name__ == "__main__":
    main()
