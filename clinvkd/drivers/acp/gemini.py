"""What gemini needs beyond the protocol: a private home, settings files and chat files.

Facts (gemini 0.61.0): generation settings and excluded tools come from the settings of a
session's working directory when ``session/new`` opens it, and from those of the process's own
directory when ``session/load`` does. A conversation's history can only be given as a chat file
below gemini's home, under a project name that a marker file decides. The chat file's format is
gemini's own: `AcpScript` looks whether it was read and otherwise gives the history as text.

So each process gets a home in its private folder, in which everything of the user's home is
linked except gemini's own records: logins and settings stay the user's, conversations leave
nothing behind, and several processes do not wait for one another's lock files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json

from ...config import Backend
from ...errors import BackendRefused
from ...prompt import Audio, Block, Image, Message, OptionValue, Prompt, Text, ToolResult, ToolUse
from ..base import Abilities, Json, Launch, Option
from ..untrusted import GIT_ENVIRONMENT
from .client_tools import CALL_TIMEOUT_MSEC, SERVER, alias

OPTIONS: Final[Mapping[str, Option]] = {
    "thinking_budget": Option(kind="integer", help="most tokens of reasoning"),
}
_CHOOSING: Final = frozenset({"temperature", "top_p", "top_k", "seed", "thinking_tokens", "effort"})
"""Sampling fields that can stand in a settings file; its cut at ``stop`` is not told, so ours."""

_BUDGETS: Final[Mapping[str, int]] = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 24576,
    "max": 24576,
}
"""Effort as tokens of reasoning, as Google's OpenAI-compatible endpoint counts it."""

_BUILT_IN_TOOLS: Final = (
    "activate_skill", "ask_user", "complete_task", "enter_plan_mode", "exit_plan_mode",
    "get_internal_docs", "glob", "google_web_search", "grep_search", "invoke_agent",
    "list_background_processes", "list_directory", "list_mcp_resources",
    "read_background_output", "read_file", "read_many_files", "read_mcp_resource", "replace",
    "run_shell_command", "save_memory", "take_snapshot", "tracker_add_dependency",
    "tracker_create_task", "tracker_get_task", "tracker_list_tasks", "tracker_update_task",
    "tracker_visualize", "update_topic", "web_fetch", "write_file", "write_todos",
)  # fmt: skip

_QUIET: Final[Json] = {
    "general": {
        # Its own retries are silent, take minutes and could repeat a text.
        "maxAttempts": 1,
        "retryFetchErrors": False,
        "enableAutoUpdate": False,
        "enableAutoUpdateNotification": False,
    },
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
}

_CHAT: Final[Json] = {
    **_QUIET,
    "tools": {"exclude": list(_BUILT_IN_TOOLS)},
    "context": {"includeDirectoryTree": False, "fileName": "clinvk-reads-no-context-file"},
    "skills": {"enabled": False},
    "experimental": {"enableAgents": False},
    "hooksConfig": {"enabled": False},
}

_PRIVATE_HOME: Final = """\
theirs="${GEMINI_CLI_HOME:-$HOME}/.gemini"
ours="$1/.gemini"
mkdir -p "$ours"
for entry in "$theirs"/* "$theirs"/.env; do
  case "${entry##*/}" in
    tmp|history|projects.json*) ;;
    *) if [ -e "$entry" ]; then ln -s "$entry" "$ours/"; fi ;;
  esac
done
# Else it looks for this file in the directories above, where others may write.
mkdir -p "${1%/*}/.gemini"
if [ -e "$theirs/.env" ]; then
  ln -s "$theirs/.env" "${1%/*}/.gemini/"
else
  : >"${1%/*}/.gemini/.env"
fi
# Whoever switched the question for trust off did not mean directories that callers name.
if [ -n "$GEMINI_CLI_TRUSTED_FOLDERS_PATH" ] && [ -e "$theirs/settings.json" ]; then
  rm "$ours/settings.json"
  sed 's/"folderTrust"/"folderTrustAtTheTerminal"/g' "$theirs/settings.json" >"$ours/settings.json"
fi
export GEMINI_CLI_HOME="$1"
shift
exec "$@"
"""
"""Links the user's files into a private home and becomes gemini; run by ``sh -c``."""

SHOWN_TOOL: Final = "mcp_{server}_{name}"
"""How the model knows a tool of an MCP server."""

_LONG_AGO: Final = "2000-01-01T00:00:00.000Z"
"""Time of seeded messages: gemini erases a chat file of the current minute when it loads it."""


def launch(backend: Backend, prompt: Prompt) -> Launch:
    """How a gemini for `prompt` is started; chats differ only by their system prompt.

    The process's own directory holds the settings that ``session/load`` uses, ``chat`` those of
    conversations without a workdir.
    """
    chat = not prompt.permissions.tools
    environment = {"GEMINI_CLI_NO_RELAUNCH": "true"}
    files = {_marker("chat"): "{scratch}/chat"}
    arguments: tuple[str, ...] = ()
    if chat:
        # No servers and extensions of the user's either, and no questions about our own server's.
        arguments = ("--allowed-mcp-server-names", SERVER, "--extensions", "none")
        files["work/.gemini/settings.json"] = files["chat/.gemini/settings.json"] = _json(_CHAT)
    else:
        files["work/.gemini/settings.json"] = files["chat/.gemini/settings.json"] = _json(_QUIET)
    if chat or prompt.permissions.trusted:
        environment["GEMINI_CLI_TRUST_WORKSPACE"] = "true"
    else:
        # Whoever uses gemini in scripts has it set.
        environment["GEMINI_CLI_TRUST_WORKSPACE"] = ""
        environment |= GIT_ENVIRONMENT
        environment["GEMINI_CLI_TRUSTED_FOLDERS_PATH"] = "{scratch}/trusted-folders.json"
        files["trusted-folders.json"] = _json({"{scratch}": "TRUST_FOLDER"})
    if chat or prompt.system is not None:
        environment["GEMINI_SYSTEM_MD"] = "{scratch}/system.md"
        files["system.md"] = prompt.system or ""
    return Launch(
        argv=(
            "/bin/sh",
            "-c",
            _PRIVATE_HOME,
            "gemini",
            "{scratch}/home",
            *backend.command,
            *arguments,
            *backend.extra_flags,
        ),
        environment=tuple(sorted(environment.items())),
        files=tuple(sorted(files.items())),
    )


def abilities(general: Abilities, prompt: Prompt | None) -> Abilities:
    """What gemini can do beyond `general`, in a chat or as `prompt` asks.

    The settings stand in a file, and nothing is ever written into a caller's directory. They are
    read when a session is new, not when one is loaded: a history goes before settings, because
    it must reach the model natively. The provider gives no JSON to a request that has tools.
    """
    able = replace(general, history="native", options=OPTIONS)
    if prompt is not None and (prompt.workdir is not None or prompt.history):
        return able
    tools = prompt is not None and _has_tools(prompt)
    return replace(
        able,
        tool_choice=able.tool_choice | {"required", "named"},
        honours=_CHOOSING if tools else _CHOOSING | {"output"},
    )


def generation(prompt: Prompt) -> Json:
    """What `prompt` asks of the generation, as gemini names it; empty when nothing can be done.

    Raises:
        BackendRefused: the effort has no known name.
    """
    if prompt.workdir is not None:
        return {}
    sampling = prompt.sampling
    asked: Json = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "seed": sampling.seed,
    }
    if (calling := _calling(prompt)) is not None:
        asked["toolConfig"] = {"functionCallingConfig": calling}
    if prompt.output is not None and not _has_tools(prompt):
        asked["responseMimeType"] = "application/json"
        asked["responseJsonSchema"] = prompt.output.schema
    if (budget := _thinking_budget(prompt)) is not None:
        asked["thinkingConfig"] = {
            "thinkingBudget": budget,
            "includeThoughts": budget != 0,
            # gemini asks newer models for a level, and their provider takes only one of the two.
            "thinkingLevel": None,
        }
    return {name: value for name, value in asked.items() if value is not None}


def _has_tools(prompt: Prompt) -> bool:
    return prompt.permissions.tools or bool(prompt.tools)


def _calling(prompt: Prompt) -> Json | None:
    """Which tools have to be called, or None when the model may choose."""
    match prompt.tool_choice.mode:
        case "required" if prompt.tools:
            names = [tool.name for tool in prompt.tools]
        case "named" if prompt.tools:
            names = [prompt.tool_choice.name]
        case _:
            return None
    shown = [SHOWN_TOOL.format(server=SERVER, name=alias(name)) for name in names]
    return {"mode": "ANY", "allowedFunctionNames": shown}


def _thinking_budget(prompt: Prompt) -> OptionValue | None:
    """Tokens of reasoning: gemini's own option goes before a number, a number before a word."""
    if (budget := prompt.option("thinking_budget")) is not None:
        return budget
    sampling = prompt.sampling
    if sampling.thinking_tokens is not None or not sampling.effort:
        return sampling.thinking_tokens
    if sampling.effort not in _BUDGETS:
        raise BackendRefused(
            f"gemini has no effort {sampling.effort!r}; it has {', '.join(_BUDGETS)}",
            param="effort",
        )
    return _BUDGETS[sampling.effort]


def conversation_settings(prompt: Prompt, servers: Sequence[Json]) -> bytes:
    """Settings file of the private folder of a conversation: its generation and MCP servers.

    Only a server in a settings file can have a time limit for its calls; one that is given with
    a session gets gemini's own, 10 minutes.

    Args:
        servers: as ``session/new`` would take them.
    """
    override = {
        "match": {"overrideScope": "core"},
        "modelConfig": {"generateContentConfig": generation(prompt)},
    }
    described = {
        server["name"]: {
            "httpUrl": server["url"],
            "headers": {header["name"]: header["value"] for header in server["headers"]},
            "timeout": CALL_TIMEOUT_MSEC,
        }
        for server in servers
    }
    base = _QUIET if prompt.permissions.tools else _CHAT
    return to_json(
        {**base, "modelConfigs": {"customOverrides": [override]}, "mcpServers": described}
    )


def project_marker(scratch: Path, workdir: Path) -> tuple[Path, bytes]:
    """The file that fixes the name of `workdir`'s project before gemini invents one."""
    return scratch / _marker(_project(scratch, workdir)), str(workdir).encode()


def chat_file(
    scratch: Path, workdir: Path, session: str, history: Sequence[Message]
) -> tuple[Path, bytes]:
    """The file from which ``session/load`` reads `history` as the session `session`."""
    chats = scratch / "home/.gemini/tmp" / _project(scratch, workdir) / "chats"
    head = {
        "sessionId": session,
        "projectHash": hashlib.sha256(str(workdir).encode()).hexdigest(),
        "startTime": _LONG_AGO,
        "lastUpdated": _LONG_AGO,
        "kind": "main",
    }
    records = [
        {"id": f"m{index}", "timestamp": _LONG_AGO, **record}
        for index, record in enumerate(_records(history))
    ]
    lines = b"".join(to_json(record) + b"\n" for record in (head, *records))
    return chats / f"session-{_LONG_AGO[:16].replace(':', '-')}-{session[:8]}.jsonl", lines


def repeated(history: Sequence[Message]) -> tuple[list[str], frozenset[str]]:
    """What gemini repeats while it loads `history`: texts of answers, and ids of tool calls."""
    records = [record for record in _records(history) if record["type"] == "gemini"]
    texts = [record["content"] for record in records if record["content"].strip()]
    calls = (call["id"] for record in records for call in record.get("toolCalls", ()))
    return texts, frozenset(calls)


def _marker(project: str) -> str:
    return f"home/.gemini/tmp/{project}/.project_root"


def _project(scratch: Path, workdir: Path) -> str:
    if workdir == scratch / "chat":
        return "chat"
    return "workdir-" + hashlib.sha256(str(workdir).encode()).hexdigest()[:16]


def _records(history: Sequence[Message]) -> Iterator[Json]:
    """Messages as records of a chat file: results stand with the calls they answer."""
    results = {
        block.tool_use_id: block
        for message in history
        for block in message.content
        if isinstance(block, ToolResult)
    }
    called = {
        block.id for message in history for block in message.content if isinstance(block, ToolUse)
    }
    for message in history:
        if message.role == "user":
            parts = [
                part
                for block in message.content
                if not (isinstance(block, ToolResult) and block.tool_use_id in called)
                for part in _parts(block)
            ]
            if parts:
                yield {"type": "user", "content": parts}
            continue
        record: Json = {"type": "gemini", "content": message.text}
        calls = [_call(block, results) for block in message.content if isinstance(block, ToolUse)]
        if calls:
            record["toolCalls"] = calls
        if calls or message.text:
            yield record


def _call(use: ToolUse, results: Mapping[str, ToolResult]) -> Json:
    result = results.get(use.id, ToolResult(use.id, (Text("no result"),), is_error=True))
    text = "".join(block.text for block in result.content if isinstance(block, Text))
    response = {
        "id": use.id,
        "name": use.name,
        "response": {"error" if result.is_error else "output": text},
    }
    images = [
        part for block in result.content if isinstance(block, Image) for part in _parts(block)
    ]
    return {
        "id": use.id,
        "name": use.name,
        "args": use.input,
        "status": "error" if result.is_error else "success",
        "result": [{"functionResponse": response}, *images],
    }


def _parts(block: Block) -> Iterator[Json]:
    match block:
        case Text(text) if text:
            # gemini leaves out messages that begin like one of its commands.
            yield {"text": "\u200b" + text if text.lstrip()[:1] in ("/", "?", "<") else text}
        case Image(media_type, data) | Audio(media_type, data):
            yield {"inlineData": {"mimeType": media_type, "data": data}}
        case ToolResult(_, content):
            for part in content:
                yield from _parts(part)


def _json(value: Any) -> str:
    return to_json(value).decode()
