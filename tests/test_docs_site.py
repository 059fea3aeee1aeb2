"""The documentation as a site: it is built without a warning, whole, and needs no other site."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.timeout(300)


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """What `make docs` runs."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"),
            *("--conf-dir", str(source / "docs"), "--doctree-dir", str(target / "doctrees")),
            *(str(source), str(target / "site")),
        ],
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("documentation")
    done = build(ROOT, target)
    assert (done.returncode, done.stderr) == (0, "")
    return target / "site"


class Page(HTMLParser):
    """What a page links to, what it loads, and what can be linked to in it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        match tag, given:
            case "a", {"href": href}:
                self.links.append(href)
            case "link", {"href": href, "rel": rel} if "stylesheet" in rel or "icon" in rel:
                self.loaded.append(href)
            case (("script" | "img" | "iframe" | "source"), {"src": source}):
                self.loaded.append(source)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in sorted(site.rglob("*.html"))}


def test_every_page_is_in_the_site(pages: dict[Path, Page], site: Path) -> None:
    sources = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    expected = {site / source.relative_to(ROOT).with_suffix(".html") for source in sources}
    made_besides = {site / name for name in ("index.html", "search.html", "genindex.html")}
    assert pages.keys() == expected | made_besides


def test_every_link_and_anchor_in_it_leads_somewhere(pages: dict[Path, Page]) -> None:
    followed = 0
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.is_file(), (file.name, link)
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].ids, (file.name, link)
            followed += 1
    assert followed > 1000


def texts(site: Path) -> Iterator[tuple[Path, str]]:
    for file in site.rglob("*"):
        if file.suffix in {".css", ".svg"}:
            yield file, file.read_text(encoding="utf-8")


def test_it_loads_nothing_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    for file, page in pages.items():
        for loaded in page.loaded:
            parts = urlsplit(loaded)
            assert (parts.scheme, parts.netloc) == ("", ""), (file.name, loaded)
            assert (file.parent / parts.path).is_file(), (file.name, loaded)
    for file, text in texts(site):
        assert not re.search(r"(?:url\(|@import |href=)[\"' ]*(?:https?:)?//", text), file


def test_it_can_be_searched_and_is_light_and_dark(site: Path) -> None:
    assert "pool.spares" in (site / "searchindex.js").read_text(encoding="utf-8")
    assert "prefers-color-scheme" in (site / "_static" / "styles" / "furo.css").read_text()
    assert 'class="theme-toggle"' in (site / "docs" / "index.html").read_text()


def test_its_side_bar_is_the_index(pages: dict[Path, Page], site: Path) -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[[^\]]+\]\(([^)#]+)\.md\)", index, re.MULTILINE)
    start = site / "docs" / "index.html"
    links = {(start.parent / link).resolve() for link in pages[start].links}
    assert {(start.parent / f"{name}.html").resolve() for name in listed} <= links


MISTAKES = {
    "[a page](gone.md)": "gone.md",
    "[an anchor](index.md#nowhere)": "nowhere",
    "![an image](gone.svg)": "gone.svg",
    "{nobody}`knows`": "nobody",
}


def test_mistakes_fail_the_build(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "conf.py", source / "docs")
    for name in ("templates", "static"):
        shutil.copytree(ROOT / "docs" / name, source / "docs" / name)
    (source / "docs" / "index.md").write_text("# Index\n\n## Part\n\n- [A page](page.md): good.\n")
    (source / "docs" / "page.md").write_text("# A page\n")
    assert build(source, tmp_path / "good").stderr == ""
    (source / "docs" / "page.md").write_text("\n\n".join(["# A page", *MISTAKES]))
    done = build(source, tmp_path / "bad")
    assert done.returncode != 0
    for warning in MISTAKES.values():
        assert warning in done.stderr
