"""The documentation against the code: what is documented exists, what exists is documented."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields as fields_of
from itertools import pairwise
from pathlib import Path
from types import FunctionType
from typing import Any

import click
import pytest
from pydantic import BaseModel

from clinvkd.agents.directives import ANSWERS, parse
from clinvkd.api import DIALECTS
from clinvkd.api.dialect import Dialect
from clinvkd.api.native import encoder
from clinvkd.api.native.models import DryRunAnswer, PromptAnswer, PromptRequest
from clinvkd.cli import main
from clinvkd.config import Backend, BackendSettings, Settings
from clinvkd.config.sources import built_in_backends
from clinvkd.drivers import DRIVERS
from clinvkd.drivers.acp.quirks import Quirks
from clinvkd.drivers.base import Driver, Script
from clinvkd.errors import ClinvkError
from clinvkd.intake import SHAPED
from clinvkd.metrics import DEFINITIONS
from clinvkd.server import _banner

from .api.service import Service, serving
from .markdown import (
    CODE,
    HEADING,
    LINK,
    anchors,
    blocks,
    first_column,
    headings,
    prose,
    section,
    tables,
)

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
API = REFERENCE / "api.md"
GUIDES = ROOT / "docs" / "guides"
BACKENDS = GUIDES / "backends.md"
QUICKSTART = ROOT / "docs" / "quickstart.md"


REQUEST_FIELDS = {field.alias or name for name, field in PromptRequest.model_fields.items()}


def every_block(language: str) -> list[Any]:
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{index}")
        for page in PAGES
        for index, text in enumerate(blocks(page, language))
    ]


# Pages and links.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {
        (index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(index))
    }
    assert set((ROOT / "docs").rglob("*.md")) - linked == {index}


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"\bmake ([a-z]+)\b", "\n".join(CODE.findall(prose(page))))
        named += re.findall(r"^make ([a-z]+)", "\n".join(blocks(page, "sh")), re.MULTILINE)
        assert set(named) <= targets, page


# Configuration.


def configuration_keys(model: type[BaseModel] = Settings, before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if not before and isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from configuration_keys(inner, f"{name}.")
        elif not before and name == "backends":
            yield from configuration_keys(BackendSettings, "backends.<name>.")
        else:
            yield before + name


def documented_keys() -> dict[str, str]:
    """Every key of the reference with what is said about it."""
    page = REFERENCE / "configuration.md"
    return {heading.strip("`"): section(page, heading) for heading in headings(page, 3)}


def test_every_configuration_key_is_documented_and_exists() -> None:
    assert sorted(documented_keys()) == sorted(configuration_keys())


def test_keys_without_effect_are_marked() -> None:
    read = {
        node.attr
        for source in (ROOT / "clinvkd").rglob("*.py")
        if source.parent.name != "config"
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Attribute)
    }
    marks = ("without effect in this version", "refuses to start")
    marked = {key for key, text in documented_keys().items() if any(m in text for m in marks)}
    # One is read by the settings themselves; the other shares its name with a request's field.
    read |= {"enabled"}
    read -= {"verbose"}
    assert marked == {key for key in configuration_keys() if key.rpartition(".")[2] not in read}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_keys_named_in_prose_exist(page: Path) -> None:
    names = "|".join(name for name in Settings.model_fields if name != "backends")
    named = re.findall(rf"`((?:{names})\.[a-z_]+)`", prose(page))
    assert set(named) <= set(configuration_keys())


@pytest.mark.parametrize("text", every_block("yaml"))
def test_yaml_is_a_configuration_that_is_accepted(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    settings = Settings.load(file, environ={})
    for name, backend in settings.backends.items():
        resolved = Backend.of(name, backend, settings.pool_of(name))
        DRIVERS[backend.driver].abilities_of(resolved)  # reads the quirks


# Command line.


def commands(command: click.Command, name: str) -> Iterator[str]:
    yield name
    if isinstance(command, click.Group):
        for part, inner in command.commands.items():
            yield from commands(inner, f"{name} {part}")


def test_every_command_is_documented_and_exists() -> None:
    documented = [h for h in headings(REFERENCE / "cli.md", 2) if h.startswith("clinvk")]
    assert documented == list(commands(main, "clinvk"))


# Backends.


def test_every_quirk_is_documented_and_exists() -> None:
    assert first_column(section(BACKENDS, "Quirks")) == {entry.name for entry in fields_of(Quirks)}


def backend(name: str) -> Backend:
    """A backend of the table of abilities."""
    added = {
        "opencode": {"driver": "acp", "command": ["opencode", "acp"]},
        "qwen": {"driver": "acp", "command": ["qwen", "--acp"]},
        "acp": {"driver": "acp", "command": ["another-agent"]},
    }
    settings = Settings.model_validate({"backends": {**built_in_backends(), **added}})
    return Backend.of(name, settings.backends[name], settings.pool_of(name))


def test_abilities_are_as_documented() -> None:
    rows = tables(section(BACKENDS, "What each can"))[0]
    shown = set()
    for names, history, images, audio, conversations, processes, ignored, options in rows:
        (name,) = CODE.findall(names)
        shown.add(name)
        resolved = backend(name)
        able = DRIVERS[resolved.driver].abilities_of(resolved)
        fields = REQUEST_FIELDS
        assert (name, history, images) == (name, able.history, "yes" if able.images else "no")
        assert audio == ("yes" if able.audio else "no")
        assert int(conversations) == able.conversations
        assert int(processes) == able.agents
        assert set(CODE.findall(ignored)) == (able.ignores & fields) - {*SHAPED}
        assert CODE.findall(options) == [f"--{option}" for option in able.options]
    assert shown == {*built_in_backends(), "opencode", "qwen", "acp"}


def test_options_are_as_documented() -> None:
    rows = tables(section(BACKENDS, "What each can"))[1]
    documented = {tuple(CODE.findall(row[0])): (row[1], row[2]) for row in rows}
    checked = set()
    for name in built_in_backends():
        resolved = backend(name)
        for option, described in DRIVERS[resolved.driver].abilities_of(resolved).options.items():
            keys = ((f"--{option}", name), (f"--{option}",))
            key = next(key for key in keys if key in documented)
            values, meaning = documented[key]
            assert meaning == described.help
            assert tuple(CODE.findall(values)) == described.choices
            assert described.choices or values.endswith(f"from {described.minimum:g}")
            checked.add(key)
    assert checked == set(documented)


def test_versions_are_those_that_are_tested() -> None:
    documented = set(re.findall(r"\d+\.\d+\.\d+", str(tables(prose(BACKENDS))[0])))
    pinned = tomllib.loads((ROOT / "tests" / "agents.toml").read_text())
    assert documented == {agent["version"] for agent in pinned.values()}


def test_every_directive_of_echo_is_documented_and_exists() -> None:
    rows = first_column(section(BACKENDS, "echo"))
    arguments = {"SECONDS": "1", "N": "1", "CODE": "1", "JSON": "{}", "NAME": "n"}
    for row in rows:
        written = re.sub("|".join(arguments), lambda match: arguments[match[0]], row)
        assert parse(written).text == "", row
    source = (ROOT / "clinvkd" / "agents" / "echo.py").read_text()
    known = set(re.findall(r"^``\[\[(\w+)", source, re.MULTILINE))
    assert {row.strip("[]").split()[0] for row in rows} == known >= set(ANSWERS)


# The API.


def documented_endpoints() -> set[str]:
    """The endpoints that have a heading in a reference page or a guide."""
    pages = [*REFERENCE.glob("*.md"), *GUIDES.glob("*.md")]
    titles = [h.strip("`") for page in pages for h in headings(page, 2)]
    return {title for title in titles if re.fullmatch(r"[A-Z]+ /.*", title)}


def endpoints(dialect: type[Dialect]) -> set[str]:
    """Those of a dialect; a root with a slash and a doubled version are the same one."""
    found = set()
    for route in dialect.endpoints:
        path = dialect.prefix + route.path.replace("/v1/v1", "/v1")
        path = re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path).rstrip("/") or "/"
        found.add(f"{route.method} {path}")
    return found


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.__name__)
def test_every_endpoint_is_documented(dialect: type[Dialect]) -> None:
    assert endpoints(dialect) <= documented_endpoints()


def test_every_documented_endpoint_exists() -> None:
    assert documented_endpoints() <= set().union(*map(endpoints, DIALECTS))


def test_every_field_is_documented_and_exists() -> None:
    fields = section(API, "Fields")
    assert first_column(fields) == REQUEST_FIELDS
    answer = section(API, "Answer")
    assert first_column(answer) == set(PromptAnswer.model_fields)
    (example,) = (b for b in map(json.loads, blocks(API, "json")) if "dry_run" in b)
    assert set(example) == set(DryRunAnswer.model_fields)


def test_every_event_is_documented_and_exists() -> None:
    """The types stand in the encoder as first words of pairs and as arguments of `_event`."""
    kinds = set()
    for node in ast.walk(ast.parse(Path(encoder.__file__).read_text())):
        match node:
            case ast.Return(ast.Tuple([ast.Constant(str(kind)), _])):
                kinds.add(kind)
            case ast.Call(ast.Attribute(attr="_event"), [_, ast.Constant(str(kind)), _]):
                kinds.add(kind)
    events = section(API, "Events")
    assert {text.strip("`") for _, text in HEADING.findall(events)} == kinds
    assert {"message", "error", "complete"} <= kinds


def errors(kind: type[ClinvkError] = ClinvkError) -> Iterator[type[ClinvkError]]:
    yield kind
    for derived in kind.__subclasses__():
        yield from errors(derived)


def test_every_error_is_documented_and_exists() -> None:
    rows = tables(section(API, "Errors"))[0]
    documented = {tuple(cell.strip("`") for cell in row[:3]) for row in rows}
    assert documented == {(str(e.status), e.code, e.type) for e in errors()}


def told_by(dialect: int) -> set[tuple[str, frozenset[str]]]:
    """Status and words of every error, by the column of the page that is made from the code."""
    rows = tables(section(REFERENCE / "errors.md", "All errors"))[0]
    return {(row[dialect][:3], frozenset(CODE.findall(row[dialect]))) for row in rows}


def test_every_error_of_the_openai_dialect_is_documented_and_exists() -> None:
    """Where a row says so, the code is that of the native API."""
    rows = tables(section(REFERENCE / "openai.md", "What an error looks like"))[0]
    documented = {
        (status, frozenset(CODE.findall(row[1] + row[2])))
        for row in rows
        for status in row[0].split(", ")
        if "native" not in row[2]
    }
    as_native = {
        (status, CODE.findall(row[1])[0])
        for row in rows
        for status in row[0].split(", ")
        if "native" in row[2]
    }
    told = told_by(2)
    assert documented <= told
    for status, words in told - documented:
        assert {(status, word) for word in words} & as_native, (status, words)


def test_every_error_of_the_anthropic_dialect_is_documented_and_exists() -> None:
    rows = tables(section(REFERENCE / "anthropic.md", "Shape of an error"))[0]
    documented = {
        (status, frozenset(CODE.findall(row[1]))) for row in rows for status in row[0].split(", ")
    }
    assert documented == told_by(3)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_metrics_named_in_prose_exist(page: Path) -> None:
    existing = {definition.name for definition in DEFINITIONS}
    named = {code for code in CODE.findall(prose(page)) if re.fullmatch(r"clinvk_\w+[a-z]", code)}
    assert named <= existing | {"clinvk_process_"}


async def test_health_has_the_documented_members(tmp_path: Path) -> None:
    examples = [json.loads(text) for text in blocks(API, "json")]
    (documented,) = (e for e in examples if isinstance(e, dict) and "uptime_ms" in e)
    async with serving(tmp_path) as service, service.client.get("/health") as response:
        real = await response.json()
    assert list(real) == list(documented)
    assert list(real["backends"][0]) == list(documented["backends"][0])
    assert list(real["backends"][0]["pool"]) == list(documented["backends"][0]["pool"])
    assert list(real["session_store"]) == list(documented["session_store"])


# Examples.


@pytest.mark.parametrize("text", every_block("json"))
def test_json_is_json(text: str) -> None:
    json.loads(text)


@pytest.mark.parametrize("text", every_block("python"))
def test_python_is_python(text: str) -> None:
    compile(text, "documentation", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def calls(text: str) -> list[list[str]]:
    """The calls of curl in shell lines, as their words."""
    lines = [line.strip() for line in text.replace("\\\n", "").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("curl ")]


def curls() -> list[Any]:
    return [
        pytest.param(words, id=f"{page.relative_to(ROOT)}-{index}")
        for page in PAGES
        for index, words in enumerate(calls("".join(blocks(page, "sh"))))
    ]


def after(words: list[str], flag: str) -> list[str]:
    return [value for word, value in pairwise(words) if word == flag]


@pytest.mark.parametrize("words", curls())
def test_curl_examples_are_requests_that_exist(words: list[str]) -> None:
    (address,) = (word for word in words if word.startswith("http://127.0.0.1:8080"))
    path = address.removeprefix("http://127.0.0.1:8080")
    routes = ((dialect.prefix, route) for dialect in DIALECTS for route in dialect.endpoints)
    method = "POST" if after(words, "-d") else "GET"
    (route,) = (r for prefix, r in routes if (r.method, prefix + r.path) == (method, path))
    if method == "GET":
        return
    assert "Content-Type: application/json" in after(words, "-H")
    (body,) = after(words, "-d")
    assert route.body is not None
    route.body.model_validate_json(body)


@pytest.fixture
async def service(tmp_path: Path) -> Any:
    async with serving(tmp_path) as running:
        yield running


async def test_the_first_example_is_the_banners_and_works(service: Service) -> None:
    (printed,) = calls(_banner(service.engine, "127.0.0.1", 8080))
    words = calls(blocks(ROOT / "README.md", "sh")[1])[0]
    assert words == printed == calls(blocks(QUICKSTART, "sh")[1])[0]
    headers = dict(header.split(": ", 1) for header in after(words, "-H"))
    answer = await service.post(after(words, "-d")[0].encode(), headers)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.events[-1]["content"]["exit_code"] == 0


# How to add things.


def test_every_member_of_a_dialect_is_documented_and_exists() -> None:
    page = ROOT / "docs" / "development" / "adding-a-dialect.md"
    members = {*Dialect.__annotations__, *vars(Dialect)}
    assert first_column(section(page, "The dialect")) == {m for m in members if m[0] != "_"}


def test_every_method_of_drivers_and_scripts_is_documented_and_exists() -> None:
    page = ROOT / "docs" / "development" / "adding-a-backend.md"
    methods = {
        f"{kind.__name__}.{name}"
        for kind in (Driver, Script)
        for name, member in vars(kind).items()
        if isinstance(member, FunctionType | classmethod) and name[0] != "_"
    }
    assert first_column(section(page, "The idea")) == {*methods, "Driver.abilities"}


# The description of the tests.


def test_every_marker_is_documented_and_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    markers = project["tool"]["pytest"]["ini_options"]["markers"]
    page = ROOT / "docs" / "development" / "testing.md"
    assert first_column(section(page, "Markers")) == {m.partition(":")[0] for m in markers}
