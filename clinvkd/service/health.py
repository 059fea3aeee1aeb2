"""Asks the daemon how it is, and makes sure that it is clinvk who answers."""

from __future__ import annotations

import json
import secrets
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any

from ..config import ServerSettings

_STATUSES = ("ok", "degraded", "unhealthy")
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def address(server: ServerSettings) -> tuple[str, int]:
    """Host and port at which this machine reaches the daemon."""
    return _EVERY_ADDRESS.get(server.host, server.host), server.port


def ask(host: str, port: int, patience: float) -> dict[str, Any] | None:
    """What `/health` says; None if another program answers.

    Who shows no key may learn nothing but the status, and many a server says that it is "ok". So
    ours is known by the id of the request, too, which it sends back.

    Raises:
        OSError: there is no answer.
    """
    request_id = secrets.token_hex(8)
    with closing(HTTPConnection(host, port, timeout=patience)) as connection:
        try:
            connection.request("GET", "/health", headers={"X-Request-Id": request_id})
            response = connection.getresponse()
            answer = json.loads(response.read(1 << 20))
        except (HTTPException, ValueError):
            return None
    if response.getheader("X-Request-Id") != request_id or not isinstance(answer, dict):
        return None
    return answer if answer.get("status") in _STATUSES else None
