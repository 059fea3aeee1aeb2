"""Every route, with a request it accepts: a route that is not here fails the tests of the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clinvkd.api import DIALECTS

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
MESSAGE = {**CHAT, "max_tokens": 100}
PROMPT = {"backend": "echo", "prompt": "hi"}
RESPONSE = {"model": "echo", "input": "hi"}

BODIES: Mapping[tuple[str, str], Any] = {
    ("GET", "/health"): None,
    ("GET", "/metrics"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/openapi.yaml"): None,
    ("GET", "/"): None,
    ("GET", "/dashboard/{asset}"): None,
    ("GET", "/docs"): None,
    ("GET", "/docs/{asset}"): None,
    ("POST", "/api/v1/prompt"): PROMPT,
    ("GET", "/api/v1/backends"): None,
    ("POST", "/api/v1/parallel"): {"tasks": [PROMPT]},
    ("POST", "/api/v1/chain"): {"steps": [PROMPT]},
    ("POST", "/api/v1/compare"): {"backends": ["echo"], "prompt": "hi"},
    ("GET", "/api/v1/sessions"): None,
    ("GET", "/api/v1/sessions/{id}"): None,
    ("PATCH", "/api/v1/sessions/{id}"): {"title": "Hi"},
    ("DELETE", "/api/v1/sessions/{id}"): None,
    ("POST", "/api/v1/sessions/{id}/fork"): None,
    ("GET", "/api/v1/jobs"): None,
    ("GET", "/api/v1/jobs/{id}"): None,
    ("GET", "/api/v1/jobs/{id}/events"): None,
    ("DELETE", "/api/v1/jobs/{id}"): None,
    ("POST", "/api/v1/jobs/{id}/resume"): None,
    ("POST", "/api/v1/jobs/{id}/approvals/{approval}"): {"decision": "deny"},
    ("POST", "/api/v1/approvals/{approval}"): {"decision": "deny"},
    ("GET", "/api/v1/usage"): None,
    ("GET", "/api/v1/live"): None,
    ("GET", "/api/v1/requests"): None,
    ("GET", "/api/v1/requests/{id}"): None,
    ("HEAD", "/openai/v1"): None,
    ("OPTIONS", "/openai/v1"): None,
    ("GET", "/openai/v1/models"): None,
    ("GET", "/openai/v1/models/{model:.+}"): None,
    ("POST", "/openai/v1/chat/completions"): CHAT,
    ("POST", "/openai/v1/completions"): {"model": "echo", "prompt": "hi"},
    ("POST", "/openai/v1/responses"): RESPONSE,
    ("GET", "/openai/v1/responses/{response}"): None,
    ("DELETE", "/openai/v1/responses/{response}"): None,
    ("GET", "/openai/v1/responses/{response}/input_items"): None,
    ("POST", "/openai/v1/responses/{response}/cancel"): None,
    ("HEAD", "/anthropic"): None,
    ("HEAD", "/anthropic/"): None,
    ("HEAD", "/anthropic/v1"): None,
    ("HEAD", "/anthropic/v1/"): None,
    ("HEAD", "/anthropic/v1/v1"): None,
    ("POST", "/anthropic/v1/messages"): MESSAGE,
    ("POST", "/anthropic/v1/messages/count_tokens"): CHAT,
    ("GET", "/anthropic/v1/models"): None,
    ("GET", "/anthropic/v1/models/{model:.+}"): None,
    ("POST", "/anthropic/v1/v1/messages"): MESSAGE,
    ("POST", "/anthropic/v1/v1/messages/count_tokens"): CHAT,
    ("GET", "/anthropic/v1/v1/models"): None,
    ("GET", "/anthropic/v1/v1/models/{model:.+}"): None,
}
"""The body of each route, None where it takes none."""

QUERIES = {"/api/v1/live": "?once=true"}
"""What a path is asked with; the feed would not end without."""

UNKNOWN: Mapping[tuple[str, str], Any] = {
    ("GET", "/nothing"): None,
    ("POST", "/api/v1/nothing"): PROMPT,
    ("GET", "/openai/v1/nothing"): None,
    ("POST", "/openai/v1/nothing"): CHAT,
    ("GET", "/anthropic/v1/nothing"): None,
    ("POST", "/anthropic/v1/nothing"): MESSAGE,
}
"""Places where there is no route: every rule holds there, too."""


@dataclass(frozen=True, slots=True)
class Route:
    """A place that can be asked.

    Attributes:
        body: what it takes, or None.
        headers: what else a request to it carries.
    """

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] | None = None

    @property
    def target(self) -> str:
        """The path, with something in the place of each parameter, and its query."""
        parts = self.path.split("/")
        path = "/".join("echo" if part.startswith("{") else part for part in parts)
        return path + QUERIES.get(self.path, "")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def declared() -> set[tuple[str, str]]:
    """The routes of the program."""
    return {
        (endpoint.method, dialect.prefix + endpoint.path)
        for dialect in DIALECTS
        for endpoint in dialect.endpoints
    }


def every_route() -> list[Route]:
    """All that is listed, those that stream in both ways, and places without a route."""
    routes = [Route(*key, body) for key, body in {**BODIES, **UNKNOWN}.items()]
    for (method, path), body in BODIES.items():
        match body:
            case {"prompt": _, "backend": _} | {"tasks": _} | {"steps": _} | {"backends": _}:
                routes.append(Route(method, path, body, {"Accept": "text/event-stream"}))
            case {"max_tokens": _} | {"input": _} | {"messages": _} if "count" not in path:
                routes.append(Route(method, path, {**body, "stream": True}))
    return routes
