"""The request id, and what the log tells of a request."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from clinvkd.api.endpoint import body_of
from clinvkd.api.native.models import PromptRequest
from clinvkd.config import Settings
from clinvkd.server import create_app

from ..api.service import PROMPT, SSE, Service, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ID = "X-Request-Id"


@pytest.mark.parametrize("given", ["abc", "A-b_c.d:9", "x" * 128])
@pytest.mark.parametrize("accept", [{}, SSE], ids=["json", "sse"])
async def test_the_callers_id_is_kept(service: Service, given: str, accept: dict[str, str]) -> None:
    answer = await service.post(prompt="hi", headers={ID: given, **accept})
    assert (answer.status, answer.headers[ID]) == (200, given)


@pytest.mark.parametrize("given", ["", " ", "a b", "x" * 129, "é", "a;b", '"', "\uff11"])
async def test_an_id_that_is_not_well_formed_is_replaced(service: Service, given: str) -> None:
    answer = await service.post(prompt="hi", headers={ID: given})
    assert len(answer.headers[ID]) == 16
    assert set(answer.headers[ID]) <= set("0123456789abcdef")


async def test_every_answer_has_an_id_of_its_own(service: Service) -> None:
    ids = set()
    for answer in (
        await service.post(prompt="hi"),
        await service.post(prompt="hi", headers=SSE),
        await service.post(prompt=""),
        await service.post(prompt="[[fail no]]"),
        await service.post(prompt="said [[fail no]]", headers=SSE),
        await service.post(prompt="hi", headers={"Host": "evil.example"}),
    ):
        ids.add(answer.headers[ID])
    async with service.client.get("/nothing") as response:
        ids.add(response.headers[ID])
    assert len(ids) == 7


async def test_one_line_without_content_for_every_request(service: Service) -> None:
    with capture_logs() as lines:
        await service.post(prompt="SECRET", headers=SSE)
        await service.post(prompt="SECRET", workdir="SECRET")
        await service.client.get("/SECRET?SECRET")
    assert [
        (line["method"], line["route"], line["status"])
        for line in lines
        if line["event"] == "request"
    ] == [("POST", PROMPT, 200), ("POST", PROMPT, 400), ("GET", "unknown", 404)]
    assert "SECRET" not in str(lines)


async def test_a_caller_that_left_is_logged_as_such(service: Service) -> None:
    body = {"backend": "echo", "prompt": "[[slow 600]]one two"}
    with capture_logs() as lines:
        async with service.client.post(PROMPT, json=body, headers=SSE):
            pass
        await until(lambda: any(line["event"] == "request" for line in lines))
    (line,) = [line for line in lines if line["event"] == "request"]
    assert line["status"] == 499
    assert not [line for line in lines if line["log_level"] in ("error", "critical")]


async def test_a_defect_of_ours_is_a_500_with_the_id(tmp_path: Path) -> None:
    """A route that reads a body it never declared stands for any defect in a handler."""

    async def explode(request: web.Request) -> web.Response:
        return web.Response(text=str(1 / len(request.headers.getall("X-None", []))))

    async def without_body(request: web.Request) -> web.Response:
        return web.Response(text=body_of(request, PromptRequest).model)

    async def leave(request: web.Request) -> web.Response:
        raise ConnectionResetError

    app = create_app(Settings(default_backend="echo"), {})
    app.router.add_get("/leave", leave)
    app.router.add_get("/explode", explode)
    app.router.add_get("/without-body", without_body)
    async with TestClient(TestServer(app)) as client:
        with capture_logs() as lines:
            response = await client.get("/explode", headers={ID: "find-me"})
            error = (await response.json())["error"]
        assert (response.status, error["code"], error["type"]) == (
            500, "internal_error", "server_error",
        )  # fmt: skip
        assert error["message"] == "an internal error occurred; the log has it under find-me"
        (defect,) = [line for line in lines if line["event"] == "request failed"]
        assert defect["exc_info"]
        response = await client.get("/without-body")
        assert (response.status, (await response.json())["error"]["message"]) == (
            500, "the body was not read",
        )  # fmt: skip
        with capture_logs() as lines, pytest.raises(ClientConnectionError):
            await client.get("/leave")
        assert [line["status"] for line in lines] == [499]
