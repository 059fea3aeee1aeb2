"""Pages of the configured origins may ask and read; all others get no header that lets them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import ClientResponse
from pydantic import ValidationError

from clinvkd.config import Settings

from ..api.service import PROMPT, SSE, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP, EVIL = "http://app.example:3000", "http://evil.example"
BODY = {"backend": "echo", "prompt": "hi"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def open_to_app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    server = {"cors_allowed_origins": [APP], "cors_max_age": 7}
    async with serving(tmp_path_factory.mktemp("cors"), server=server) as service:
        yield service


async def ask(service: Service, method: str, path: str, **headers: str) -> ClientResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = BODY if method == "POST" else None
    response = await service.client.request(method, path, json=body, headers=named)
    await response.read()
    return response


def cors_of(response: ClientResponse) -> dict[str, str]:
    named = ((name.lower(), value) for name, value in response.headers.items())
    return {name: value for name, value in named if name.startswith("access-control-")}


async def test_by_default_there_are_no_headers_at_all(service: Service) -> None:
    own = f"http://127.0.0.1:{service.port}"
    for headers in ({}, {"Origin": own}, {"Origin": EVIL}):
        response = await ask(service, "GET", "/health", **headers)
        assert cors_of(response) == {}
        assert "Vary" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/health", 200), ("GET", "/nothing", 404), ("DELETE", "/health", 405),
     ("POST", PROMPT, 200), ("POST", "/openai/v1/chat/completions", 400)],
)  # fmt: skip
async def test_an_allowed_page_may_read_every_answer(
    open_to_app: Service, method: str, path: str, status: int
) -> None:
    response = await ask(open_to_app, method, path, Origin=APP, Sec_Fetch_Site="cross-site")
    assert response.status == status
    told = cors_of(response)
    assert told["access-control-allow-origin"] == APP
    assert "X-RateLimit-Remaining" in told["access-control-expose-headers"]
    assert set(told) == {"access-control-allow-origin", "access-control-expose-headers"}
    assert response.headers["Vary"] == "Origin"


async def test_a_stream_may_be_read_too(open_to_app: Service) -> None:
    response = await ask(open_to_app, "POST", PROMPT, Origin=APP, **SSE)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["Access-Control-Allow-Origin"] == APP


async def test_others_get_no_header_but_vary(open_to_app: Service) -> None:
    for headers in ({"Origin": EVIL}, {"Origin": "null"}, {}):
        response = await ask(open_to_app, "GET", "/health", **headers)
        assert cors_of(response) == {}
        assert response.headers["Vary"] == "Origin"


async def test_a_preflight_lists_what_may_be_sent(open_to_app: Service) -> None:
    asked = (
        "authorization, X-Api-Key,content-type, anthropic-version, x-stainless-os, x-evil, cookie"
    )
    response = await ask(
        open_to_app, "OPTIONS", "/openai/v1/chat/completions", Origin=APP,
        Access_Control_Request_Method="POST", Access_Control_Request_Headers=asked,
    )  # fmt: skip
    assert response.status == 204
    told = cors_of(response)
    assert told["access-control-allow-headers"] == (
        "authorization, x-api-key, content-type, anthropic-version, x-stainless-os"
    )
    assert "POST" in told["access-control-allow-methods"]
    assert told["access-control-max-age"] == "7"
    assert "access-control-allow-private-network" not in told


async def test_a_private_network_is_opened_only_to_who_asks_and_may(open_to_app: Service) -> None:
    asks = {
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Private_Network": "true",
    }
    allowed = cors_of(await ask(open_to_app, "OPTIONS", PROMPT, Origin=APP, **asks))
    assert allowed["access-control-allow-private-network"] == "true"
    assert cors_of(await ask(open_to_app, "OPTIONS", PROMPT, Origin=EVIL, **asks)) == {}


async def test_options_without_a_preflight_reaches_its_route(open_to_app: Service) -> None:
    response = await ask(open_to_app, "OPTIONS", "/openai/v1", Origin=APP)
    assert (response.status, "POST" in response.headers["Allow"]) == (204, True)


async def test_credentials_and_every_origin(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("credentials")
    server = {"cors_allowed_origins": [APP], "cors_allow_credentials": True}
    async with serving(folder, server=server) as service:
        told = cors_of(await ask(service, "GET", "/health", Origin=APP))
        assert told["access-control-allow-credentials"] == "true"


async def test_any_origin_is_still_no_opaque_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = {"cors_allowed_origins": ["*"]}
    async with serving(tmp_path_factory.mktemp("any"), server=server) as service:
        assert cors_of(await ask(service, "GET", "/health", Origin=EVIL))
        assert (await ask(service, "GET", "/health", Origin="null")).status == 403


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000/", "localhost:3000", "http://LOCALHOST", "http://a:80", "https://a:443",
     "null", "http://", "http://*.example", "http://user@a", "*.example", ""],
)  # fmt: skip
async def test_an_origin_is_written_as_browsers_do(origin: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"server": {"cors_allowed_origins": [origin]}})


@pytest.mark.parametrize(
    "origin", ["http://a", "https://a:8443", "http://[::1]:3000", "chrome-extension://abc", "*"]
)
async def test_these_are_origins(origin: str) -> None:
    Settings.model_validate({"server": {"cors_allowed_origins": [origin]}})


async def test_credentials_are_not_for_everybody() -> None:
    with pytest.raises(ValidationError, match="cors_allowed_origins holds"):
        Settings.model_validate(
            {"server": {"cors_allowed_origins": ["*"], "cors_allow_credentials": True}}
        )
