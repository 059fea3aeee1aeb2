"""The real agents and their sandboxes under what the units forbid.

What a sandbox forbids is told from what the unit forbids by the same command without a sandbox; and
each command says that it ran, since one that cannot start writes nothing either. It ends with
success: of a command that fails in its sandbox codex tells its model, but sends no item.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ...providers import DEFAULT_TEXT
from .agents import provider, set_up
from .machine import SERVICE, SOCKET, Machine

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

AGENTS = ("claude", "codex", "gemini")
PLAIN_TOOLS = "fake-1"
"""codex gives a model it does not know its plain tools; for its newest it writes JavaScript."""
WALLED = {"sandbox": {"enabled": True, "allowUnsandboxedCommands": False}}
"""Settings with which claude runs all commands in its sandbox, of bubblewrap and socat."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A running service with the real agents.

    Attributes:
        user: as whom it runs, and who asks.
        home: of that user.
        project: a folder to work in.
    """

    machine: Machine
    user: str
    home: str
    project: str

    def events(self, prompt: str, **fields: Any) -> list[dict[str, Any]]:
        return self.machine.events(prompt, user=self.user, **fields)


def configuration(machine: Machine, urls: dict[str, str], home: str, scratch: Path) -> str:
    """Has all agents, `claude` and `walled` with a shell that they need not ask for."""
    backends = {name: set_up(machine, name, url, home, scratch) for name, url in urls.items()}
    backends["codex"]["model"] = PLAIN_TOOLS
    backends["claude"] |= {"driver": "claude", "allowed_tools": ["Bash"]}
    backends["walled"] = {**backends["claude"], "extra_flags": ["--settings", json.dumps(WALLED)]}
    pool = {"spares": 0, "start_timeout_secs": 90}
    return json.dumps({"default_backend": "echo", "backends": backends, "pool": pool})


@contextmanager
def of_the_machine(machine: Machine, urls: dict[str, str], scratch: Path) -> Iterator[Stage]:
    stage = Stage(machine, "clinvk", "/var/lib/clinvk", "/srv/project")
    machine.configure(configuration(machine, urls, stage.home, scratch))
    machine.run("mkdir", stage.project)
    machine.run("chown", "--recursive", "clinvk:", stage.home, stage.project)
    with machine.drop_in(f"ReadWritePaths={stage.project}"):
        machine.systemctl("restart", SERVICE)
        yield stage
        machine.systemctl("stop", SERVICE, SOCKET)


def prepared(machine: Machine, urls: dict[str, str], scratch: Path, user: str) -> Stage:
    """The stage of a user, who has no service yet."""
    stage = Stage(machine, user, f"/home/{user}", f"/home/{user}/project")
    machine.systemctl("stop", SERVICE, SOCKET)  # the same port
    machine.run("mkdir", stage.project, f"{stage.home}/.clinvk")
    text = configuration(machine, urls, stage.home, scratch)
    machine.container.path(f"{stage.home}/.clinvk/config.yaml").write_text(text)
    machine.run("chown", "--recursive", f"{user}:", stage.home)
    return stage


@contextmanager
def of_a_user(machine: Machine, urls: dict[str, str], scratch: Path) -> Iterator[Stage]:
    stage = prepared(machine, urls, scratch, "ada")
    with machine.lingering("ada"):
        machine.run("systemctl", "--user", "--machine=ada@", "start", "clinvk")
        yield stage


@contextmanager
def as_a_user(machine: Machine, urls: dict[str, str], scratch: Path) -> Iterator[Stage]:
    stage = prepared(machine, urls, scratch, "bob")
    machine.systemctl("start", "clinvk@bob")
    yield stage
    machine.systemctl("stop", "clinvk@bob")


STAGES = {"clinvk": of_the_machine, "clinvk of a user": of_a_user, "clinvk@": as_a_user}


@pytest.fixture(scope="module", params=STAGES)
def stage(
    request: pytest.FixtureRequest, unshared: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Each of the three units, one after the other."""
    unshared.restore()
    with ExitStack() as stack:
        urls = {name: stack.enter_context(provider(unshared.container, name)) for name in AGENTS}
        scratch = tmp_path_factory.mktemp("agents")
        yield stack.enter_context(STAGES[request.param](unshared, urls, scratch))


@pytest.mark.parametrize("name", AGENTS)
def test_it_answers_token_by_token(stage: Stage, name: str) -> None:
    events = stage.events("hello", backend=name)
    pieces = [event["content"]["text"] for event in events if event["type"] == "message"]
    assert "".join(pieces) == DEFAULT_TEXT, events
    assert len(pieces) > 1
    assert events[-1]["content"]["exit_code"] == 0


@pytest.mark.parametrize(
    ("backend", "sandbox", "done"),
    [
        ("codex", "read-only", set[str]()),
        ("codex", "workspace", {"inside"}),
        ("walled", "default", {"inside"}),
        ("claude", "default", {"inside", "outside", "network"}),
    ],
    ids=["codex reads", "codex in its workspace", "claude in its sandbox", "claude without it"],
)
def test_its_shell_works_and_its_sandbox_holds(
    stage: Stage, backend: str, sandbox: str, done: set[str]
) -> None:
    inside, outside = f"{stage.project}/inside", f"{stage.home}/outside"
    stage.machine.run("rm", "--force", inside, outside)
    command = (
        f"touch inside && echo did inside; touch {outside} && echo did outside; "
        "(: <>/dev/tcp/127.0.0.1/8080) && echo did network; echo it ran"
    )
    events = stage.events(
        calling(backend, command), backend=backend, sandbox_mode=sandbox, workdir=stage.project
    )
    results = [event["content"] for event in events if event["type"] == "tool_result"]
    lines = "".join(result["output"] for result in results).splitlines()
    assert "it ran" in lines, events
    assert {line.removeprefix("did ") for line in lines if line.startswith("did ")} == done, lines
    exist = {path for path in (inside, outside) if stage.machine.container.path(path).exists()}
    assert exist == {path for path in (inside, outside) if path.rpartition("/")[2] in done}


def calling(backend: str, command: str) -> str:
    """A prompt that has the fake provider call the shell of an agent."""
    call: dict[str, Any] = {"name": "Bash", "arguments": {"command": command}}
    if backend == "codex":
        call = {"name": "exec_command", "arguments": {"cmd": command}}
    return f"%%{json.dumps({'tools': [call], 'then': {'text': 'Done.'}})}%%"
