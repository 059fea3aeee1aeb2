"""What the gate knows of a request is right also where few requests come by."""

from __future__ import annotations

import pytest

from clinvkd.api import DIALECTS, dialect_of
from clinvkd.api.dialect import Dialect

from ..api.service import Service
from ..gate.stage import send

ROUTES = [
    pytest.param(dialect, dialect.prefix + route.path, id=f"{route.method} {route.path}")
    for dialect in DIALECTS
    for route in dialect.endpoints
]


@pytest.mark.parametrize(("dialect", "path"), ROUTES)
def test_a_route_is_of_the_dialect_that_its_path_is_of(dialect: type[Dialect], path: str) -> None:
    assert dialect_of(path) is dialect


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("path", ["/anthropic/v1/models", "/anthropic/v1/v1/models"])
async def test_an_answer_is_of_the_dialect_wherever_its_handler_stands(
    service: Service, path: str
) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    reply = await send(service.port, head.encode())
    assert reply.status == 200
    assert "request-id" in reply.headers
