"""The command line and environment of a Claude Code process.

Sources: `claude --help` and behaviour measured with 2.1.197 and 2.1.330 against a local provider.
"""

from __future__ import annotations

from ...config import Backend
from ...prompt import Permissions, Prompt
from ..base import Launch
from ..untrusted import GIT_ENVIRONMENT
from .permissions import EDITING, READING

_ENVIRONMENT: tuple[tuple[str, str], ...] = (
    # No "@path" in a prompt is read from the disk; the only defence that old versions have.
    ("CLAUDE_CODE_DISABLE_ATTACHMENTS", "1"),
    # A background command would go on acting, and start turns of its own, after its turn ended.
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    # Three ways in which text already given would be repeated or a request silently sent twice.
    ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
    ("CLAUDE_CODE_DISABLE_REFUSAL_RETRY", "1"),
    ("CLAUDE_CODE_MAX_RETRIES", "0"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_TELEMETRY", "1"),
)
_CHAT_ENVIRONMENT = (
    *_ENVIRONMENT,
    # The caller's tools keep their names, whatever they are: the agent has none of its own. It
    # must not tell the model of its agents either, as it does when a tool is called "Agent".
    ("CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS", "1"),
    ("CLAUDE_AGENT_SDK_MCP_NO_PREFIX", "1"),
)
_STREAM_JSON = (
    "-p",
    *("--input-format", "stream-json"),
    *("--output-format", "stream-json"),
    "--verbose",
    "--include-partial-messages",
    "--no-session-persistence",  # the store holds the one copy: what is deleted there is gone
)
_CHAT = (
    *("--tools", ""),
    *("--setting-sources", ""),
    "--strict-mcp-config",
    "--disable-slash-commands",
)
# `acceptEdits` leaves to the agent what it can judge better: edits and file commands in its folder.
_MODES = {"auto": "acceptEdits", "none": "acceptEdits", "always": "default", "ask": "default"}


def launch(backend: Backend, prompt: Prompt) -> Launch:
    """How a process for `prompt` starts; all chats of a backend start the same way."""
    permissions = prompt.permissions
    if permissions.tools:
        flags, cwd, environment = _agent_flags(permissions), prompt.workdir, _ENVIRONMENT
        if not permissions.trusted:
            environment = (*environment, *GIT_ENVIRONMENT.items())
    else:
        flags, cwd, environment = _CHAT, None, _CHAT_ENVIRONMENT
    return Launch(
        argv=(*backend.command, *_STREAM_JSON, *flags, *backend.extra_flags),
        environment=environment,
        cwd=cwd,
    )


def _agent_flags(permissions: Permissions) -> tuple[str, ...]:
    flags = ["--permission-prompt-tool", "stdio"]
    # A settings file or an MCP server of an untrusted folder runs any command it names.
    if not permissions.trusted:
        flags += ["--setting-sources=user", "--strict-mcp-config"]
    forbidden = ["AskUserQuestion"]
    allowed = permissions.allowed_tools
    mode = _MODES.get(permissions.approval)
    if permissions.sandbox == "read-only":
        mode = "default"
        forbidden += sorted(EDITING)
        allowed = tuple(rule for rule in allowed if rule.partition("(")[0] in READING)
    if mode is not None:
        flags.append(f"--permission-mode={mode}")
    flags.append("--disallowedTools=" + ",".join(forbidden))
    if allowed:
        flags.append("--allowedTools=" + ",".join(allowed))
    return tuple(flags)
