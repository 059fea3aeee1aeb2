"""The official SDK: which exception it raises for what goes wrong."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

from .cases import Job, case, main, scripted
from .openai_sdk import client, raised

TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


def ask(job: Job, text: str, /, timeout: float = 60, **fields: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    chat = client(job).with_options(timeout=timeout).chat.completions
    return chat.create(**{"model": job.backend, "messages": messages, **fields})


@case
def no_messages(job: Job) -> Any:
    return raised(lambda: ask(job, "", messages=[]))


@case
def wrong_type(job: Job) -> Any:
    return raised(lambda: ask(job, "x", temperature="hot"))


@case
def client_tools(job: Job) -> Any:
    # Few tokens: the local model may have much to say, and takes its time.
    return raised(lambda: ask(job, job.prompt("client_tools"), tools=[TOOL], max_tokens=30))


@case
def unknown_model(job: Job) -> Any:
    return raised(lambda: ask(job, "x", model="no-such-model"))


@case
def unknown_path(job: Job) -> Any:
    return raised(lambda: client(job).embeddings.create(model=job.backend, input="x"))


@case
def unknown_response(job: Job) -> Any:
    return raised(lambda: client(job).responses.retrieve("resp_none"))


@scripted
def rate_limited(job: Job) -> Any:
    error = {"status": 429, "retry_after": 7}
    return raised(lambda: ask(job, job.prompt("rate_limited", error=error)))


@scripted
def provider_broken(job: Job) -> Any:
    return raised(lambda: ask(job, job.prompt("provider_broken", error={"status": 500})))


@scripted
def broken_stream(job: Job) -> Any:
    prompt = job.prompt("broken_stream", words=6, fail_after=3)
    pieces: list[str] = []

    def read() -> None:
        for chunk in ask(job, prompt, stream=True):
            pieces.extend(choice.delta.content or "" for choice in chunk.choices)

    return [raised(read), "".join(pieces)]


@scripted
def too_slow(job: Job) -> Any:
    left = raised(lambda: ask(job, job.prompt("too_slow", silent=True), timeout=1.5))
    return [left, job.gets_quiet()]


if __name__ == "__main__":
    main()
