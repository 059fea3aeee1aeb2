"""What callers write never becomes part of a command line, and what an agent's process is given.

The CLIs are programs that write down how they were started, and end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from clinvkd.config import Settings
from clinvkd.errors import InvalidRequest
from clinvkd.intake import Asked, Intake
from clinvkd.keys import OWNER
from clinvkd.prompt import Message, Text

from .daemon import PATIENCE, Daemon, daemon

RECORDER = f"""\
#!{sys.executable} -SE
import json, os, pathlib, sys
scratch = pathlib.Path(os.environ["TMPDIR"]).parent
record = {{
    "argv": [word.replace(str(scratch), "SCRATCH") for word in sys.argv[1:]],
    "environment": dict(os.environ),
    "directory": os.getcwd(),
    "holds": os.listdir("."),
    "mode": os.stat(".").st_mode & 0o777,
    "files": sorted(int(fd) for fd in os.listdir("/dev/fd"))[:-1],
}}
target = pathlib.Path(os.environ["RECORDS"], str(os.getpid()))
target.with_suffix(".new").write_text(json.dumps(record))
target.with_suffix(".new").rename(target.with_suffix(".json"))
"""
OWN_NAMES = {
    "claude": ("ANTHROPIC_", "CLAUDE_"),
    "codex": ("OPENAI_", "CODEX_"),
    "gemini": ("GEMINI_", "GOOGLE_"),
}
"""Prefixes of the variables each backend takes over from the daemon's environment."""

GIVEN = {
    "ANTHROPIC_API_KEY": "of-claude",
    "OPENAI_API_KEY": "of-codex",
    "GEMINI_API_KEY": "of-gemini",
    "AWS_SECRET_ACCESS_KEY": "of-nobody",
    "GNUPGHOME": "/of/nobody",
    "INVOCATION_ID": "of-nobody",
    "SYSTEMD_EXEC_PID": "1",
    "LD_PRELOAD": "",
    "https_proxy": "http://proxy.invalid:3128",
    "LC_TIME": "C",
    "TZ": "Europe/Oslo",
}
FOR_ALL = {"https_proxy", "LC_TIME", "TZ", "LANG", "HOME", "PATH"}
OF_OURS = ("DISABLE_", "NO_PROXY", "OPENCODE_", "QWEN_", "GIT_CONFIG_", "PWD", "OLDPWD", "_")
"""What clinvk sets itself, or a shell on the way."""

COMMANDS = (
    '--settings={"apiKeyHelper":"touch PROOF"}',
    "-c mcp_servers.x.command=touch -c mcp_servers.x.args=['PROOF']",
    "--version",
    "--dangerously-skip-permissions",
    "-p",
    "--",
    "$(touch PROOF)`touch PROOF`; touch PROOF",
    "{scratch}",
    "/exit",
    "@/etc/passwd",
)
"""Texts that do harm where they become an argument, or part of a shell's line."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A daemon whose only CLI is the program that writes things down."""

    daemon: Daemon
    name: str
    records: Path

    async def start(self, **fields: Any) -> list[dict[str, Any]]:
        """How the processes were started that a request made necessary."""
        known = set(self.records.glob("*.json"))
        body = {"backend": self.name, "prompt": "hello", **fields}
        async with (
            ClientSession() as client,
            client.post(f"{self.daemon.url}/api/v1/prompt", json=body) as response,
        ):
            # The program ends at once, so there is no answer; all else would be a refusal.
            assert response.status == 503, await response.text()
        new = set(self.records.glob("*.json")) - known
        assert new
        records = [json.loads(record.read_text()) for record in new]
        return sorted(records, key=lambda record: list(record["argv"]))


@asynccontextmanager
async def recorded(name: str, folder: Path) -> AsyncIterator[Recorded]:
    program, records = folder / name, folder / "records"
    program.write_text(RECORDER)
    program.chmod(0o755)
    records.mkdir()
    pool = {"spares": 0, "warm_keys": 0, "crash_budget": 1000}
    backends: dict[str, Any] = {
        other: {"enabled": False} for other in (*OWN_NAMES, "local") if other != name
    }
    backends[name] = {
        "command": [str(program)],
        "environment": {"RECORDS": str(records)},
        "pool": pool,
    }
    config = json.dumps({"default_backend": "echo", "backends": backends})
    async with daemon(folder / "home", config, PATH="/usr/bin:/bin", **GIVEN) as running:
        yield Recorded(running, name, records)


@pytest.mark.parametrize("name", OWN_NAMES)
async def test_no_text_of_a_caller_is_part_of_a_command_line(name: str, tmp_path: Path) -> None:
    workdir = tmp_path / "--settings={} $(touch PROOF)"
    workdir.mkdir()
    async with recorded(name, tmp_path) as cli:
        plain = await cli.start()
        working = await cli.start(workdir=str(tmp_path))
        for text in COMMANDS:
            hostile = await cli.start(prompt=text, model="x;touch")
            assert argv_of(hostile) == argv_of(plain)
        odd = await cli.start(workdir=str(workdir), prompt=COMMANDS[0])
        assert argv_of(odd) == argv_of(working)
        for record in odd:
            if name == "claude":
                assert (record["directory"], record["holds"]) == (str(workdir), [])
            else:  # which are told of it by a message
                assert Path(record["directory"]).is_relative_to(cli.daemon.temporary)
        assert not any(file.name == "PROOF" for file in cli.records.parent.rglob("*"))


def argv_of(records: list[dict[str, Any]]) -> list[list[str]]:
    """The command lines, without a question that codex is asked only now and then."""
    return [record["argv"] for record in records if record["argv"] != ["debug", "models"]]


@pytest.mark.parametrize("name", OWN_NAMES)
async def test_a_process_gets_an_allow_list_and_a_private_empty_directory(
    name: str, tmp_path: Path
) -> None:
    async with recorded(name, tmp_path) as cli:
        for fields in ({}, {"approval_mode": "auto"}):
            for record in await cli.start(**fields):
                await check(record, name, cli.daemon.temporary)


async def check(record: dict[str, Any], name: str, temporary: Path) -> None:
    environment = record["environment"]
    own = {key for key in GIVEN if key.startswith(OWN_NAMES[name])}
    assert environment.keys() & GIVEN.keys() == own | (FOR_ALL & GIVEN.keys())
    expected = (*OWN_NAMES[name], *OF_OURS, "TMPDIR", "RECORDS", "AGENT_SUPERVISOR_ID")
    assert {key for key in environment if not key.startswith(expected)} <= FOR_ALL
    assert record["files"] == [0, 1, 2]
    directory = Path(record["directory"])
    assert directory.is_relative_to(temporary)
    assert directory.parent == Path(environment["TMPDIR"]).parent
    assert record["mode"] == 0o700
    assert record["holds"] in ([], [".gemini"])
    async with asyncio.timeout(PATIENCE):
        while directory.parent.exists():  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.01)


DANGEROUS = {
    "claude": (
        "settings", "setting-sources", "mcp-config", "plugin-dir", "plugin-url", "agents",
        "add-dir", "permission-mode", "dangerously-skip-permissions",
        "allow-dangerously-skip-permissions", "allowedTools", "allowed-tools", "debug-file",
        "worktree", "chrome", "ide", "remote-control", "system-prompt-file", "resume",
    ),
    "codex": (
        "c", "config", "enable", "disable", "p", "profile", "C", "cd", "add-dir", "s", "sandbox",
        "o", "i", "output-schema", "oss", "local-provider", "trust", "ignore-rules",
        "dangerously-bypass-approvals-and-sandbox", "dangerously-bypass-hook-trust",
    ),
    "gemini": (
        "y", "yolo", "approval-mode", "policy", "admin-policy", "e", "extensions",
        "include-directories", "session-file", "skip-trust", "acp", "allowed-tools",
    ),
}  # fmt: skip
"""Flags by which a caller could take more than it was given."""


@pytest.mark.parametrize(
    ("name", "flag"), [(name, flag) for name, flags in DANGEROUS.items() for flag in flags]
)
def test_no_flag_that_gives_rights_can_be_an_extra(name: str, flag: str) -> None:
    intake = Intake(Settings(), lambda: name)
    message = Message("user", (Text("hi"),))
    dashes = "-" if len(flag) == 1 else "--"
    for extra in ((f"{dashes}{flag}=x",), (f"{dashes}{flag}",), (f"{dashes}{flag}", "x"), (flag,)):
        with pytest.raises(InvalidRequest) as caught:
            intake.approve(Asked(backend=name, messages=(message,), extra=extra), OWNER)
        assert caught.value.param == "extra[0]"
