"""The files of the dashboard: all are served, small, and load nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clinvkd.api.dashboard import PAGE
from clinvkd.api.pages import PAGE_POLICY

from ..api.service import serving

SCRIPTS = sorted(PAGE.folder.glob("*.js"))
LARGEST = 200_000
"""Bytes of all files together."""


def test_every_file_is_served() -> None:
    assert {file.name for file in PAGE.folder.iterdir()} == {*PAGE.assets, "index.html"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.name))
def test_scripts_import_what_is_there_and_make_no_markup(script: Path) -> None:
    text = script.read_text()
    imported = set(re.findall(r'from "([^"]+)"', text))
    assert {f"./{name}" for name in PAGE.assets} >= imported
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text)
    assert not re.search(r"localStorage|sessionStorage|document\.cookie|indexedDB", text)
    assert len(text.splitlines()) < 400
    assert [line for line in text.splitlines() if len(line) > 100] == []


def test_every_script_is_used() -> None:
    texts = [(PAGE.folder / "index.html").read_text(), *(each.read_text() for each in SCRIPTS)]
    for script in SCRIPTS:
        assert any(f"/{script.name}" in text for text in texts), script.name


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = (PAGE.folder / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", page)
    files = [*SCRIPTS, *PAGE.folder.glob("*.css"), PAGE.folder / "index.html"]
    for file in files:
        addresses = re.findall(r"(?:https?:)?//[a-z0-9][^\s\"']*\.[^\s\"']+", file.read_text())
        assert [each for each in addresses if "www.w3.org" not in each] == [], file.name


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in PAGE.folder.iterdir()) < LARGEST


async def test_files_are_served_with_a_strict_policy_and_asked_for_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for path in ("/", *(f"/dashboard/{name}" for name in PAGE.assets)):
            async with service.client.get(path) as response:
                assert response.status == 200
                policy = response.headers["Content-Security-Policy"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                known = {"If-None-Match": response.headers["ETag"]}
            assert policy.startswith(PAGE_POLICY)
            assert "require-trusted-types-for 'script'" in policy
            assert "unsafe" not in policy
            async with service.client.get(path, headers=known) as response:
                assert (response.status, await response.read()) == (304, b"")
        for name in ("index.html", "none.js", "..%2freference%2freference.js", "%2fetc%2fpasswd"):
            async with service.client.get(f"/dashboard/{name}") as response:
                assert response.status == 404
