"""The real agents in a booted Debian, each set up for a fake provider in its network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...install_agents import cache_directory
from ...providers import PROVIDERS
from ...real_agents import AGENTS, prepare
from .container import Container
from .machine import Machine

_ROOT = Path(__file__).parents[3]
_FOLDER = "/opt/agents"
_ARGUMENTS = {"gemini": ["--acp"]}
_OF_THE_SERVICE = ("HOME", "TMPDIR")
"""Variables that agents have from the service, as everywhere but in tests."""


def visible_agents() -> dict[str, Path]:
    """What a container is to see so that it has the agents that are installed, if any are."""
    folder = cache_directory()
    return {_FOLDER: folder} if folder.is_dir() else {}


@contextmanager
def provider(container: Container, name: str) -> Iterator[str]:
    """The fake provider of an agent, in the container's network; its URL."""
    (dialect,) = (each for each, provider in PROVIDERS.items() if provider is AGENTS[name])
    argv = container.beside(sys.executable, "-m", "tests.providers", dialect)
    with subprocess.Popen(argv, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, f"the provider of {name} has not started"
            yield url
        finally:
            process.kill()


def set_up(machine: Machine, name: str, url: str, home: str, scratch: Path) -> dict[str, Any]:
    """Write an agent's settings into a home; what the configuration says of its backend.

    Skips or fails the running test if the agent is not installed, as `real_agents.require` does.

    Args:
        url: of its provider.
        home: in the machine; the files in there still have to be given to their owner.
        scratch: a folder out here, in which the settings are made.
    """
    agent = prepare(name, url, scratch)
    shutil.copytree(agent.home, machine.container.path(home), dirs_exist_ok=True)
    described = json.dumps([agent.command, agent.environment])
    for outer, inner in ((agent.home, home), (cache_directory(), _FOLDER)):
        described = described.replace(str(outer), inner)
    command, environment = json.loads(described)
    return {
        "command": [*command, *_ARGUMENTS.get(name, [])],
        "environment": {k: v for k, v in environment.items() if k not in _OF_THE_SERVICE},
    }
