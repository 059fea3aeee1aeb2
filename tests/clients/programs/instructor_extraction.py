"""Instructor: a model filled in by a call of a tool, and by JSON of a form."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

import instructor

from .cases import Job, case, main
from .openai_sdk import Weather, client, weather


def extracted(job: Job, mode: Any, prompt: str) -> Any:
    patched = instructor.from_openai(client(job), mode=mode)
    answer = patched.chat.completions.create(
        model=job.backend,
        messages=[{"role": "user", "content": prompt}],
        response_model=Weather,
        max_retries=0,
    )
    return answer.model_dump(include={"city", "degrees"})


@case
def function(job: Job) -> Any:
    call = job.calling("Weather", city="Oslo", degrees=3)
    return extracted(job, instructor.Mode.TOOLS, job.prompt("function", **call))


@case
def schema(job: Job) -> Any:
    return extracted(job, instructor.Mode.JSON_SCHEMA, job.prompt("schema", **weather(job)))


if __name__ == "__main__":
    main()
