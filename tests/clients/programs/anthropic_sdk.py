"""What the programs with the official Anthropic SDK share."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic

from .cases import Job


def client(job: Job, *, base: str = "/anthropic") -> Any:
    """A client that neither retries nor waits for long."""
    return anthropic.Anthropic(base_url=job.url + base, api_key="none", max_retries=0, timeout=60)


def request(job: Job, text: str, **fields: Any) -> dict[str, Any]:
    """Arguments of `messages.create`."""
    messages = [{"role": "user", "content": text}]
    return {"model": job.backend, "max_tokens": 2000, "messages": messages, **fields}


def text_of(message: Any) -> str:
    """The text of all its blocks."""
    return "".join(block.text for block in message.content if block.type == "text")


def raised(call: Callable[[], Any]) -> Any:
    """The exception of the SDK as a caller sees it, or None."""
    try:
        call()
    except anthropic.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "message": error.message,
            "body": error.body,
            "request_id": error.request_id,
        }
    except anthropic.APIError as error:
        return {"class": type(error).__name__, "message": error.message}
    return None
