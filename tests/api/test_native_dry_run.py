"""`dry_run`: what would be started and sent, without starting or sending it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from .service import Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENTS = {"claude": [], "codex": [], "gemini": ["--acp"]}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def installed(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Service, Path]]:
    """Programs that leave a mark when somebody starts them, and no spares that would."""
    folder = tmp_path_factory.mktemp("agents")
    marker = folder / "was-started"
    backends = {}
    for name, arguments in AGENTS.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\necho $0 >> {marker}\n")
        program.chmod(0o755)
        backends[name] = {"command": [str(program), *arguments]}
    async with serving(folder, backends=backends, pool={"spares": 0}) as service:
        yield service, marker


async def test_echo(service: Service) -> None:
    before = service.turns()
    answer = await service.post(
        prompt="hello",
        system_prompt="Be brief.",
        messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        dry_run=True,
    )
    body = answer.json
    assert answer.status == 200
    assert (body["dry_run"], body["exit_code"], body["duration_ms"]) == (True, 0, 0)
    assert "session_id" not in body
    assert body["command"][1:] == ["-P", "-m", "clinvkd.agents.echo"]
    assert body["output"] == "Would execute: " + " ".join(body["command"])
    assert body["workdir"] == "a private empty folder"
    assert [line["method"] for line in body["lines"]] == [
        "initialize", "session/new", "session/prompt",
    ]  # fmt: skip
    extension = body["lines"][1]["params"]["_meta"]["clinvk"]
    assert extension["system"] == "Be brief."
    assert [message["role"] for message in extension["history"]] == ["user", "assistant"]
    assert body["lines"][2]["params"]["prompt"] == [{"type": "text", "text": "hello"}]
    assert service.turns() == before


@pytest.mark.parametrize("backend", AGENTS)
@pytest.mark.parametrize("history", [False, True], ids=["plain", "history"])
async def test_an_installed_agent_is_not_started(
    installed: tuple[Service, Path], backend: str, history: bool, tmp_path: Path
) -> None:
    service, marker = installed
    messages = [
        {"role": "user", "content": "EARLIER-QUESTION"},
        {"role": "assistant", "content": "EARLIER-ANSWER"},
    ]
    answer = await service.post(
        backend=backend,
        prompt="THE-PROMPT",
        workdir=str(tmp_path),
        messages=messages if history else [],
        dry_run=True,
    )
    assert answer.status == 200, answer.text
    body = answer.json
    assert any(word.endswith(f"/{backend}") for word in body["command"])
    assert body["workdir"] == str(tmp_path)
    assert "THE-PROMPT" in str(body["lines"])
    assert not any("THE-PROMPT" in word for word in body["command"])
    assert ("EARLIER-ANSWER" in str(body["lines"])) == history or backend == "gemini"
    assert service.figures(backend).agents == 0
    assert not marker.exists()


@pytest.mark.parametrize("backend", AGENTS)
async def test_the_placeholder_of_the_private_folder_is_not_shown(
    installed: tuple[Service, Path], backend: str
) -> None:
    service, _ = installed
    body = (await service.post(backend=backend, prompt="hi", dry_run=True)).json
    assert "{scratch}" not in str(body)


async def test_configured_for_all_requests(tmp_path: Path) -> None:
    async with serving(tmp_path, unified_flags={"dry_run": True}) as service:
        answer = await service.post(prompt="hi", headers={"Accept": "text/event-stream"})
        assert answer.json["dry_run"] is True
        assert service.turns() == 0


async def test_of_a_backend_that_is_not_installed(service: Service) -> None:
    answer = await service.post(backend="claude", prompt="hi", dry_run=True)
    assert (answer.status, answer.error["param"]) == (503, "backend")
    assert "'claude' was not found (looked in " in answer.error["message"]


async def test_it_refuses_what_a_real_run_would(service: Service) -> None:
    answer = await service.post(prompt="hi", workdir="relative", dry_run=True)
    assert (answer.status, answer.error["param"]) == (400, "workdir")


@pytest.mark.parametrize(
    ("backend", "extra", "shown"),
    [
        ("claude", "--effort=low", True),
        ("codex", "--effort=low", True),
        ("gemini", "--thinking_budget=128", False),  # it stands in a settings file
    ],
)
async def test_listed_options_are_taken(
    installed: tuple[Service, Path], backend: str, extra: str, shown: bool
) -> None:
    service, _ = installed
    answer = await service.post(backend=backend, prompt="hi", extra=[extra], dry_run=True)
    assert answer.status == 200, answer.text
    assert (extra.partition("=")[2] in str([answer.json["command"], answer.json["lines"]])) == shown


async def test_what_looks_like_an_option_stays_text(installed: tuple[Service, Path]) -> None:
    service, _ = installed
    for backend in AGENTS:
        for prompt in ("--help", "-rf", "@/etc/passwd", "!ls"):
            body = (await service.post(backend=backend, prompt=prompt, dry_run=True)).json
            assert prompt not in body["command"]
            assert prompt in str(body["lines"])
