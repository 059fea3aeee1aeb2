"""The official Anthropic SDK: which exception it raises for what goes wrong."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

from .anthropic_sdk import client, raised, request
from .cases import Job, case, main, scripted


def ask(job: Job, text: str, /, timeout: float = 60, **fields: Any) -> Any:
    asking = client(job).with_options(timeout=timeout)
    return asking.messages.create(**request(job, text, **fields))


@case
def no_messages(job: Job) -> Any:
    return raised(lambda: ask(job, "", messages=[]))


@case
def wrong_type(job: Job) -> Any:
    return raised(lambda: ask(job, "x", extra_body={"temperature": "hot"}))


@case
def prefill(job: Job) -> Any:
    said = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "Well,"}]
    return raised(lambda: ask(job, "", messages=said))


@case
def unknown_model(job: Job) -> Any:
    return raised(lambda: ask(job, "x", model="no-such-model"))


@case
def model_missing(job: Job) -> Any:
    return raised(lambda: client(job).models.retrieve("no-such-model"))


@case
def unknown_path(job: Job) -> Any:
    return raised(lambda: client(job).messages.batches.list())


@case
def from_a_page(job: Job) -> Any:
    headers = {"Origin": "http://evil.example"}
    return raised(lambda: ask(job, "x", extra_headers=headers))


@case
def too_large(job: Job) -> Any:
    return raised(lambda: ask(job, "x" * 20_000_000))


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
        with client(job).messages.stream(**request(job, prompt)) as helper:
            pieces.extend(helper.text_stream)

    return [raised(read), "".join(pieces)]


@scripted
def too_slow(job: Job) -> Any:
    return raised(lambda: ask(job, job.prompt("too_slow", silent=True), timeout=1.5))


if __name__ == "__main__":
    main()
