"""How the claude driver starts its processes, answers permissions and names failures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinvkd.config import Backend
from clinvkd.drivers.claude import ClaudeDriver
from clinvkd.drivers.claude.errors import failure_of
from clinvkd.drivers.claude.permissions import refusal
from clinvkd.errors import BackendError, BackendRefused, BackendUnavailable, RateLimited
from clinvkd.prompt import Approval, Image, Message, Permissions, Prompt, Sandbox, Text

BACKEND = Backend(
    name="claude", driver="claude", command=("claude",), extra_flags=("--debug", "api")
)
STREAM_JSON = (
    *("-p", "--input-format", "stream-json", "--output-format", "stream-json"),
    *("--verbose", "--include-partial-messages", "--no-session-persistence"),
)


def prompt(**options: Any) -> Prompt:
    return Prompt(backend="claude", messages=(Message("user", (Text("hi"),)),), **options)


def flags(prompt: Prompt) -> list[str]:
    """What the command line has beyond what all have."""
    argv = ClaudeDriver.launch(BACKEND, prompt).argv
    assert argv[: 1 + len(STREAM_JSON)] == ("claude", *STREAM_JSON)
    assert argv[-2:] == ("--debug", "api")
    return list(argv[1 + len(STREAM_JSON) : -2])


def test_a_chat_has_no_tools_no_settings_and_leaves_nothing_on_the_disk() -> None:
    assert flags(prompt()) == [
        *("--tools", ""),
        *("--setting-sources", ""),
        "--strict-mcp-config",
        "--disable-slash-commands",
    ]


def test_all_chats_start_the_same_way() -> None:
    plain = ClaudeDriver.launch(BACKEND, prompt())
    other = Prompt(
        backend="claude",
        messages=(Message("user", (Image("image/png", "iVBO"),)),),
        system="You are terse.",
        model="opus",
        workdir=Path("/project"),
        permissions=Permissions(approval="auto", sandbox="full", allowed_tools=("Bash",)),
        max_tokens=5,
        max_turns=1,
        options=(("effort", "low"),),
        ephemeral=True,
        client="someone",
    )
    assert ClaudeDriver.launch(BACKEND, other) == plain
    assert plain.cwd is None


def test_nothing_is_repeated_interpreted_or_left_running() -> None:
    environment = dict(ClaudeDriver.launch(BACKEND, prompt()).environment)
    assert environment["CLAUDE_CODE_MAX_RETRIES"] == "0"
    for name in (
        "CLAUDE_CODE_DISABLE_ATTACHMENTS",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
        "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK",
        "CLAUDE_CODE_DISABLE_REFUSAL_RETRY",
    ):
        assert environment[name] == "1"


UNTRUSTED = ["--setting-sources=user", "--strict-mcp-config"]
ASKING = ["--permission-prompt-tool", "stdio"]
NO_PERSON = "--disallowedTools=AskUserQuestion"


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        ({}, [*ASKING, *UNTRUSTED, NO_PERSON]),
        ({"trusted": True}, [*ASKING, NO_PERSON]),
        ({"approval": "auto"}, [*ASKING, *UNTRUSTED, "--permission-mode=acceptEdits", NO_PERSON]),
        ({"approval": "none"}, [*ASKING, *UNTRUSTED, "--permission-mode=acceptEdits", NO_PERSON]),
        ({"approval": "always"}, [*ASKING, *UNTRUSTED, "--permission-mode=default", NO_PERSON]),
        (
            {"allowed_tools": ("Bash(git:*)", "Read", "Edit")},
            [*ASKING, *UNTRUSTED, NO_PERSON, "--allowedTools=Bash(git:*),Read,Edit"],
        ),
        (
            {
                "approval": "none",
                "sandbox": "read-only",
                "allowed_tools": ("Bash(git:*)", "WebFetch(domain:a.b)", "Edit"),
            },
            [
                *ASKING,
                *UNTRUSTED,
                "--permission-mode=default",
                f"{NO_PERSON},Edit,NotebookEdit,Write",
                "--allowedTools=WebFetch(domain:a.b)",
            ],
        ),
    ],
)
def test_permissions_of_an_agent(permissions: dict[str, Any], expected: list[str]) -> None:
    asked = prompt(workdir=Path("/project"), permissions=Permissions(tools=True, **permissions))
    assert flags(asked) == expected
    assert ClaudeDriver.launch(BACKEND, asked).cwd == Path("/project")


def test_no_agent_keeps_a_session_of_its_own() -> None:
    for asked in (prompt(), prompt(permissions=Permissions(tools=True))):
        assert "--no-session-persistence" in ClaudeDriver.launch(BACKEND, asked).argv
        ephemeral = replace(asked, ephemeral=True)
        assert ClaudeDriver.launch(BACKEND, ephemeral) == ClaudeDriver.launch(BACKEND, asked)


def test_no_mode_skips_the_permissions() -> None:
    approvals: tuple[Approval, ...] = ("default", "auto", "none", "always")
    sandboxes: tuple[Sandbox, ...] = ("default", "read-only", "workspace", "full")
    for approval in approvals:
        for sandbox in sandboxes:
            permissions = Permissions(tools=True, approval=approval, sandbox=sandbox)
            argv = " ".join(flags(prompt(permissions=permissions)))
            assert "bypass" not in argv
            assert "dangerously" not in argv


# Permission questions

SHELL = ("Bash", {"command": "touch x"})
READ = ("Read", {"file_path": "/etc/hostname"})
INSIDE = ("Write", {"file_path": "notes/new.txt", "content": "x"})
NOTEBOOK = ("NotebookEdit", {"notebook_path": "a.ipynb", "new_source": "x"})
OUTSIDE = ("Edit", {"file_path": "/etc/passwd"})
UPWARD = ("Write", {"file_path": "../x"})
THROUGH_LINK = ("Write", {"file_path": "link/x"})
NOWHERE = ("Write", {"content": "x"})
EVERYTHING = (SHELL, READ, INSIDE, NOTEBOOK, OUTSIDE, UPWARD, THROUGH_LINK, NOWHERE)


@pytest.mark.parametrize(
    ("approval", "sandbox", "allowed"),
    [
        ("default", "default", ()),
        ("default", "full", ()),
        ("always", "full", ()),
        ("auto", "default", (INSIDE, NOTEBOOK)),
        ("auto", "workspace", (INSIDE, NOTEBOOK)),
        ("auto", "full", (INSIDE, NOTEBOOK, OUTSIDE, UPWARD, THROUGH_LINK, NOWHERE)),
        ("auto", "read-only", ()),
        ("none", "default", EVERYTHING),
        ("none", "full", EVERYTHING),
        ("none", "workspace", (READ, INSIDE, NOTEBOOK)),
        ("none", "read-only", (READ,)),
    ],
)
def test_what_is_allowed(
    tmp_path: Path,
    approval: Approval,
    sandbox: Sandbox,
    allowed: tuple[tuple[str, dict[str, Any]], ...],
) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "link").symlink_to(elsewhere)
    permissions = Permissions(tools=True, approval=approval, sandbox=sandbox)
    for question in EVERYTHING:
        reason = refusal(permissions, folder, *question)
        assert (reason is None) == (question in allowed), question
        assert reason is None or question[0] in reason


def test_a_folder_reached_through_a_link_is_the_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "folder")
    permissions = Permissions(tools=True, approval="auto")
    target = {"file_path": str(tmp_path / "folder" / "x")}
    assert refusal(permissions, tmp_path / "alias", "Write", target) is None


# Failures


def failed(text: str = "told", **fields: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": True, "result": text, **fields}


@pytest.mark.parametrize(
    ("fields", "kind", "error", "param"),
    [
        ({"terminal_reason": "prompt_too_long", "api_error_status": 400}, "invalid_request",
         BackendRefused, "prompt"),
        ({"terminal_reason": "blocking_limit"}, "invalid_request", BackendRefused, "prompt"),
        ({"terminal_reason": "image_error", "api_error_status": 413}, "invalid_request",
         BackendRefused, "prompt"),
        ({"api_error_status": 413}, "invalid_request", BackendRefused, None),
        ({"api_error_status": 400}, "unknown", BackendRefused, None),
        ({"api_error_status": 401}, "authentication_failed", BackendUnavailable, None),
        ({"api_error_status": 401}, None, BackendUnavailable, None),
        ({"api_error_status": 403}, "authentication_failed", BackendUnavailable, None),
        ({}, "authentication_failed", BackendUnavailable, None),
        ({}, "billing_error", BackendUnavailable, None),
        ({"api_error_status": 404}, "model_not_found", BackendRefused, "model"),
        ({"api_error_status": 404}, None, BackendRefused, "model"),
        ({"api_error_status": 429}, "rate_limit", RateLimited, None),
        ({}, "rate_limit", RateLimited, None),
        ({"api_error_status": 500}, "server_error", BackendError, None),
        ({"api_error_status": 503}, "server_error", BackendUnavailable, None),
        ({"api_error_status": 529}, "server_error", BackendUnavailable, None),
        ({"api_error_status": None}, "server_error", BackendUnavailable, None),
        ({}, "unknown", BackendError, None),
        ({"subtype": "error_max_budget_usd"}, None, BackendError, None),
    ],
)  # fmt: skip
def test_kinds_of_failures(
    fields: dict[str, Any], kind: str | None, error: type[Exception], param: str | None
) -> None:
    failure = failure_of(failed(**fields), kind, streaming=False)
    assert type(failure) is error
    assert failure.param == param
    assert "told" in failure.message


def test_a_connection_lost_in_the_stream_is_no_matter_of_availability() -> None:
    failure = failure_of(failed(), "server_error", streaming=True)
    assert type(failure) is BackendError
    assert "ended early" in failure.message


def test_a_failure_without_text_is_still_told() -> None:
    bare = failed("", subtype="error_during_execution")
    assert "error_during_execution" in failure_of(bare, None, streaming=False).message
    listed = failed("", errors=["one", "two"])
    assert failure_of(listed, None, streaming=False).message == "one; two"


def test_a_failure_shows_no_key_and_no_novel() -> None:
    shown = failure_of(failed("bad key sk-ant-api03-Ab_c-9 given"), None, streaming=False).message
    assert shown == "bad key [key] given"
    assert len(failure_of(failed("x" * 9000), None, streaming=False).message) <= 501
