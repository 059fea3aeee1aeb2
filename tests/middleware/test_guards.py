"""Who may ask at all: the Host and Origin of a request, and how its body must be declared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ..api.service import PROMPT, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"prompt": "hi", "backend": "echo"}'


async def get(service: Service, *lines: str, target: str = "/health") -> tuple[int, str]:
    """GET with exactly these header lines."""
    head = "".join(f"{line}\r\n" for line in (*lines, "Connection: close"))
    return await service.raw(f"GET {target} HTTP/1.1\r\n{head}\r\n".encode())


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost", "localhost:{port}", "127.0.0.1", "127.0.0.1:{port}", "[::1]:{port}"],
)
async def test_our_names_are_accepted(service: Service, host: str) -> None:
    status, text = await get(service, f"Host: {host.format(port=service.port)}")
    assert status == 200, text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.io",
        "evil.example:localhost", "localhost@evil.example", "http://localhost", "localhost/",
        "localhost:", "localhost:123456", "localhost:x", "", "::1", "0.0.0.0", "127.0.0.2",
        "localhost, evil.example", "localhost.", "localhost:1", "[::1]:80",
    ],
)  # fmt: skip
async def test_other_names_are_refused(service: Service, host: str) -> None:
    status, text = await get(service, f"Host: {host}")
    assert status == 403, text
    assert '"code":"forbidden"' in text
    assert "server.allowed_hosts" in text


@pytest.mark.parametrize(
    "lines",
    [(), ("Host: localhost", "Host: localhost"), ("Host: localhost", "Host: evil.example")],
    ids=["none", "twice", "two"],
)
async def test_a_request_has_one_host(service: Service, lines: tuple[str, ...]) -> None:
    status, _ = await get(service, *lines)
    assert status in (400, 403)  # 400 where the parser itself refuses it


async def test_an_absolute_target_does_not_replace_the_host(service: Service) -> None:
    for host in ("evil.example", "localhost"):
        status, _ = await get(service, f"Host: {host}", target="http://localhost/health")
        assert status == 400


async def test_the_host_is_checked_before_anything_else(service: Service) -> None:
    status, _ = await get(service, "Host: evil.example", target="/nothing")
    assert status == 403


async def test_configured_names_are_accepted(tmp_path: Path) -> None:
    hosts = ["clinvk.lan", "proxy.lan:9000", "[FD00::1]"]
    async with serving(tmp_path, server={"allowed_hosts": hosts, "host": "127.0.0.5"}) as service:
        for host, wanted in {
            "clinvk.lan": 200,
            "CLINVK.lan:1": 200,
            "proxy.lan:9000": 200,
            "proxy.lan": 403,
            "proxy.lan:9001": 403,
            "127.0.0.5": 200,
            "127.0.0.5:8080": 403,
            "[fd00::1]:8080": 200,
            "localhost": 200,
            "other.lan": 403,
        }.items():
            assert (await get(service, f"Host: {host}"))[0] == wanted, host


async def ask(service: Service, headers: Mapping[str, str], data: bytes = BODY) -> tuple[int, Any]:
    async with service.client.post(
        PROMPT, data=data, headers=headers, skip_auto_headers=("Content-Type",)
    ) as response:
        body = await response.json()
        return response.status, body.get("error", body)


JSON = {"Content-Type": "application/json"}


async def test_our_own_page_may_ask(service: Service) -> None:
    origin = f"http://127.0.0.1:{service.port}"
    for headers in (
        {"Origin": origin},
        {"Origin": origin, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert (await ask(service, {**JSON, **headers}))[0] == 200, headers


async def test_behind_a_proxy_with_tls_our_own_page_has_the_scheme_it_tells(
    tmp_path: Path,
) -> None:
    server = {"allowed_hosts": ["clinvk.lan"], "trusted_proxies": ["127.0.0.1"]}
    async with serving(tmp_path, server=server) as service:
        page = {**JSON, "Host": "clinvk.lan", "Origin": "https://clinvk.lan"}
        assert (await ask(service, {**page, "X-Forwarded-Proto": "https"}))[0] == 200
        assert (await ask(service, page))[0] == 403
        other = {**page, "Origin": "http://clinvk.lan", "X-Forwarded-Proto": "https"}
        assert (await ask(service, other))[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_pages_of_other_origins_are_refused(
    service: Service, headers: dict[str, str]
) -> None:
    before = service.turns()
    status, error = await ask(service, {**JSON, **headers})
    assert (status, error["code"], error["type"]) == (403, "forbidden", "permission_error")
    assert service.turns() == before
    async with service.client.get("/health", headers=headers) as response:
        assert response.status == 403


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", 'APPLICATION/JSON;charset="Utf-8"'],
)
async def test_json_is_accepted(service: Service, content_type: str) -> None:
    assert (await ask(service, {"Content-Type": content_type}))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "nonsense"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
async def test_other_bodies_are_a_415(service: Service, headers: dict[str, str]) -> None:
    before = service.turns()
    status, error = await ask(service, headers)
    assert (status, error["code"]) == (415, "unsupported_media_type")
    assert service.turns() == before


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n{}\r\n0\r\n\r\n", b"5\r\n{}", b"2\r\n{}garbage\r\n0\r\n\r\n"],
    ids=["no size", "cut", "longer than its size"],
)
async def test_a_broken_transfer_encoding_is_no_defect_of_ours(
    service: Service, body: bytes
) -> None:
    before = service.turns()
    status = 400
    with suppress(ConnectionError):  # closed without a word, as HTTP allows
        status, _ = await service.raw(
            b"POST /api/v1/prompt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + body,
            end=True,
        )
    assert status == 400
    assert service.turns() == before


async def test_a_body_that_breaks_off_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """By the parser or, where that says nothing, by the time limit: never with a 500."""
    async with serving(tmp_path, server={"read_timeout_secs": 0.3}) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(
            b"POST /api/v1/prompt HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"no size\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))
