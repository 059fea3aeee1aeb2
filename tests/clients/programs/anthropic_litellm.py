"""LiteLLM over the Anthropic dialect: a conversation, whole and streamed."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import os
from typing import Any

# Before it is imported: it would look for the newest prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from .cases import Job, case, main


def conversation(job: Job, marker: str) -> dict[str, Any]:
    return {
        "model": f"anthropic/{job.backend}",
        "api_base": f"{job.url}/anthropic",
        "api_key": "none",
        "num_retries": 0,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "I am called Ada."},
            {"role": "assistant", "content": "Hello Ada."},
            {"role": "user", "content": job.prompt(marker)},
        ],
    }


@case
def whole(job: Job) -> Any:
    answer = litellm.completion(**conversation(job, "whole"))
    return {"text": answer.choices[0].message.content, "usage": answer.usage.total_tokens}


@case
def streamed(job: Job) -> Any:
    chunks = litellm.completion(**conversation(job, "streamed"), stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@case
def unknown_model(job: Job) -> Any:
    try:
        litellm.completion(**{**conversation(job, "x"), "model": "anthropic/no-such-model"})
    except litellm.NotFoundError as error:
        return error.status_code


if __name__ == "__main__":
    main()
