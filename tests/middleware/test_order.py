"""The order of the rules: a request that breaks all of them is told of the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinvkd.keys import Key, KeyRing

from ..api.service import serving
from ..gate.stage import send

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "clinvk_" + "o" * 43


async def test_one_rule_after_the_other(tmp_path: Path) -> None:
    server = {
        "max_request_body_bytes": 100, "rate_limit_enabled": True, "rate_limit_rps": 0.001,
        "rate_limit_burst": 1,
    }  # fmt: skip
    async with serving(tmp_path, KeyRing([Key.of(KEY)]), server=server) as service:

        async def told(**changes: str) -> tuple[int, str]:
            """Status and answer of a request that is wrong but for these changes."""
            parts = {
                "method": "TRACE", "host": "evil.example", "origin": "https://evil.example",
                "type": "text/plain", "length": "1000", "key": "wrong", "body": "{",
            } | changes  # fmt: skip
            head = (
                f"{parts['method']} /api/v1/prompt HTTP/1.1\r\nHost: {parts['host']}\r\n"
                f"Origin: {parts['origin']}\r\nContent-Type: {parts['type']}\r\n"
                f"Content-Length: {parts['length']}\r\nX-Api-Key: {parts['key']}\r\n"
                "Connection: close\r\n\r\n"
            )
            reply = await send(service.port, (head + parts["body"]).encode())
            return reply.status, reply.body

        right: dict[str, str] = {}
        for part, value, status, says in (
            ("", "", 403, "the Host header"),
            ("host", "localhost", 403, "web pages of another origin"),
            ("origin", "http://localhost", 405, "TRACE is not allowed"),
            ("method", "POST", 415, "Content-Type"),
            ("type", "application/json", 413, "larger than 100 bytes"),
            ("length", "1", 401, "a valid API key"),
            ("key", KEY, 400, "not valid JSON"),
            ("", "", 429, "too many requests"),
            ("body", " ", 429, "too many requests"),
        ):
            right |= {part: value} if part else {}
            found, text = await told(**right)
            assert (found, says in text) == (status, True), (part, text)
