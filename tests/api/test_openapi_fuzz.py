"""Requests made of the OpenAPI document, right ones and wrong ones, sent to the daemon."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from .service import serving

EXAMPLES = 8
"""Requests to each operation, about; one of them takes a millisecond, to be made up some more."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.mark.timeout(300)
async def test_nothing_that_is_sent_makes_it_fail(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        async with service.client.get("/openapi.json") as response:
            document = await response.json()
        del document["paths"]["/api/v1/live"]  # it does not end
        file = tmp_path / "openapi.json"
        file.write_text(json.dumps(without_streams(document)))
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            "run", file, "--url", f"http://127.0.0.1:{service.port}",
            "--checks", ",".join(CHECKS), "--phases", "examples,fuzzing",
            "--max-examples", str(EXAMPLES), "--generation-deterministic",
            "--suppress-health-check", "all",
            "--warnings", "off", "--no-color",
            cwd=tmp_path, env={"HOME": str(tmp_path), "LANG": "C.UTF-8"},
            stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        told = (await process.communicate())[0].decode()
        assert process.returncode == 0, told
        assert "Test cases:" in told


def without_streams(document: object) -> object:
    """The document without the schemas of streams: it takes them for those of their events."""
    match document:
        case dict():
            kept = {name: without_streams(value) for name, value in document.items()}
            if "x-itemSchema" in kept:
                del kept["schema"]
            return kept
        case list():
            return [without_streams(value) for value in document]
        case _:
            return document
