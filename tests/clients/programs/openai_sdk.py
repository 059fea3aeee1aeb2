"""What the programs with the official SDK share."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
from pydantic import BaseModel

from .cases import Job


class Weather(BaseModel):
    """What an answer is parsed into."""

    city: str
    degrees: int


def client(job: Job) -> Any:
    """A client that neither retries nor waits for long."""
    return openai.OpenAI(base_url=job.base_url, api_key="none", max_retries=0, timeout=60)


def asynchronous_client(job: Job) -> Any:
    """The same for asyncio."""
    return openai.AsyncOpenAI(base_url=job.base_url, api_key="none", max_retries=0, timeout=60)


def weather(job: Job) -> dict[str, Any]:
    """The scripted answer that is JSON: Claude Code has its model call a tool for that."""
    answer = '{"city": "Oslo", "degrees": 3}'
    if job.backend == "claude":
        return {"tools": [{"name": "StructuredOutput", "arguments": answer}]}
    return {"text": answer}


def raised(call: Callable[[], Any]) -> Any:
    """The exception of the SDK as a caller sees it, or None."""
    try:
        call()
    except openai.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "message": error.message,
            "type": error.type,
            "code": error.code,
            "param": error.param,
            "retry_after": error.response.headers.get("retry-after"),
            "request_id": error.request_id,
        }
    except openai.APIError as error:
        return {"class": type(error).__name__, "message": error.message, "code": error.code}
    return None
