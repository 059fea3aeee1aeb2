"""The files of the API reference: those of others are unchanged, and all are served with care."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from clinvkd.api.pages import PAGE_POLICY
from clinvkd.api.reference import PAGE

from ..api.service import serving

FILES = PAGE.folder
SOURCES = tomllib.loads((FILES / "SOURCES.toml").read_text())
UNSERVED = {"index.html", "SOURCES.toml"}


@pytest.mark.parametrize("source", SOURCES)
def test_files_of_others_are_as_published(source: str) -> None:
    for name, digest in SOURCES[source]["sha256"].items():
        assert hashlib.sha256((FILES / name).read_bytes()).hexdigest() == digest, name


def test_the_pinned_version_is_the_one_that_is_there() -> None:
    version = SOURCES["swagger-ui"]["version"]
    assert f'"{version}"' in (FILES / "swagger-ui-bundle.js").read_text()


def test_every_file_is_served_or_known() -> None:
    assert {file.name for file in FILES.iterdir()} - UNSERVED == set(PAGE.assets)


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    directives = dict(part.split(" ", 1) for part in PAGE_POLICY.split("; "))
    assert directives["default-src"] == "'none'"
    sources = {source for allowed in directives.values() for source in allowed.split()}
    assert sources == {"'none'", "'self'", "data:"}


async def test_files_are_served_with_the_policy_and_asked_for_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for path in ("/docs", *(f"/docs/{name}" for name in PAGE.assets)):
            async with service.client.get(path) as response:
                assert response.status == 200
                assert response.headers["Content-Security-Policy"] == PAGE_POLICY
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                known = {"If-None-Match": response.headers["ETag"]}
            async with service.client.get(path, headers=known) as response:
                assert (response.status, await response.read()) == (304, b"")
        for name in ("index.html", "SOURCES.toml", "..%2f..%2fserver.py", "%2fetc%2fpasswd"):
            async with service.client.get(f"/docs/{name}") as response:
                assert response.status == 404
