"""LiteLLM: a conversation, whole and streamed, and its way to the responses API."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import os
from typing import Any

# It would look for newer prices on the network while it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from .cases import Job, case, main


def conversation(job: Job, marker: str) -> dict[str, Any]:
    return {
        "model": f"openai/{job.backend}",
        "api_base": job.base_url,
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
def responses(job: Job) -> Any:
    answer = litellm.responses(
        model=f"openai/{job.backend}",
        api_base=job.base_url,
        api_key="none",
        instructions="Be brief.",
        input=job.prompt("responses"),
    )
    return answer.output[0].content[0].text


@case
def unknown_model(job: Job) -> Any:
    try:
        litellm.completion(**{**conversation(job, "x"), "model": "openai/no-such-model"})
    except litellm.NotFoundError as error:
        return error.status_code


if __name__ == "__main__":
    main()
