"""The installed real agent CLIs, each with a private home that points it at a fake provider.

    agent = prepare("codex", provider.url, tmp_path)
    subprocess.run([*agent.command, "exec", "hi"], env=agent.environment, cwd=agent.directory)

Environments are built from nothing, so neither a login nor a setting of this machine can leak into
a test.  They switch off everything that would look for the network; retries and time limits stay as
the agents ship them, because taming those is the work of the code under test.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from .install_agents import AgentsUnsupported, cache_directory, npm_command, pins
from .providers import (
    AnthropicProvider,
    ChatProvider,
    FakeProvider,
    GeminiProvider,
    ResponsesProvider,
)

AGENTS: dict[str, type[FakeProvider]] = {
    "claude": AnthropicProvider,
    "claude-old": AnthropicProvider,
    "codex": ResponsesProvider,
    "gemini": GeminiProvider,
    "opencode": ChatProvider,
    "qwen": ChatProvider,
}
"""Every agent by its name in `agents.toml`, and the provider it speaks to."""

MODEL = "fake-1"
"""The only model of the chat provider; the other providers answer under any name."""

_KEY = "fake-key"


@dataclass(frozen=True, slots=True)
class RealAgent:
    """One agent CLI, ready to be started."""

    name: str
    version: str
    command: tuple[str, ...]
    """The start of the command line: an absolute path; append the agent's own arguments."""
    environment: dict[str, str]
    """The whole environment."""
    home: Path
    """The private home; settings below it may be changed before the start."""
    directory: Path
    """An empty directory to work in, below `home`."""


def installed() -> dict[str, tuple[str, ...]]:
    """The command of every agent that is installed, by name; empty if there can be none."""
    try:
        return {name: _command(name) for name in pins() if _command_path(name).exists()}
    except AgentsUnsupported:
        return {}


def require(name: str) -> None:
    """Make sure that an agent is installed.

    Skips the running test if this machine cannot have the agent (no npm, an unusual processor), and
    fails it, saying what to run, if the agent only was not installed yet.
    """
    try:
        wanted = pins()[name]
        present = _command_path(name).exists()
        if not present:
            npm_command()
    except AgentsUnsupported as reason:
        pytest.skip(f"NOT TESTED against the real {name}: {reason}")
    if not present:
        _fail(f"{name} {wanted.version} is not installed: run `python tests/install_agents.py`")


def prepare(name: str, provider_url: str, parent: Path | None = None) -> RealAgent:
    """Make a new private home for agent `name` below `parent` (default: the temporary directory).

    `provider_url` is the `url` of a provider of the class `AGENTS[name]`.  Skips or fails the
    running test as `require` does.
    """
    require(name)
    home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent)).resolve()
    directory, temporary = home / "work", home / "tmp"
    directory.mkdir()
    temporary.mkdir()
    command = _command(name)
    environment = {
        "PATH": f"{Path(command[0]).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        **_POINTERS[name](home, provider_url),
    }
    return RealAgent(name, pins()[name].version, command, environment, home, directory)


def _fail(reason: str) -> NoReturn:
    pytest.fail(reason, pytrace=False)


def _command_path(name: str) -> Path:
    return cache_directory() / name / "bin" / name.removesuffix("-old")


def _command(name: str) -> tuple[str, ...]:
    return (str(_command_path(name)),)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# Each of these writes an agent's settings into its home and returns its environment variables.


def _point_claude(home: Path, url: str) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": _KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
    }


def _point_codex(home: Path, url: str) -> dict[str, str]:
    _write(
        home / ".codex" / "config.toml",
        f"""\
model_provider = "fake"
check_for_update_on_startup = false

[analytics]
enabled = false

[otel]
exporter = "none"

[model_providers.fake]
name = "Fake"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "FAKE_PROVIDER_KEY"
""",
    )
    return {"CODEX_HOME": str(home / ".codex"), "FAKE_PROVIDER_KEY": _KEY}


def _point_gemini(home: Path, url: str) -> dict[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
    _write(home / ".gemini" / "settings.json", json.dumps(settings))
    return {
        "GEMINI_API_KEY": _KEY,
        "GOOGLE_GEMINI_BASE_URL": url,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }


def _point_opencode(home: Path, url: str) -> dict[str, str]:
    settings = {
        "model": f"fake/{MODEL}",
        "small_model": f"fake/{MODEL}",
        "autoupdate": False,
        "share": "disabled",
        "provider": {
            "fake": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": f"{url}/v1", "apiKey": _KEY},
                "models": {MODEL: {"limit": {"context": 200_000, "output": 32_000}}},
            }
        },
    }
    _write(home / ".config" / "opencode" / "opencode.json", json.dumps(settings))
    return {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }


def _point_qwen(home: Path, url: str) -> dict[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "openai"}},
        "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
    _write(home / ".qwen" / "settings.json", json.dumps(settings))
    return {"OPENAI_API_KEY": _KEY, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_MODEL": MODEL}


_POINTERS: dict[str, Callable[[Path, str], dict[str, str]]] = {
    "claude": _point_claude,
    "claude-old": _point_claude,
    "codex": _point_codex,
    "gemini": _point_gemini,
    "opencode": _point_opencode,
    "qwen": _point_qwen,
}
