"""What single ACP agents do differently, as data.

A record is found by the backend's command (or, when a wrapper hides it, by the name the agent
tells in its handshake) and may be corrected key by key with ``backends.<name>.quirks``.
An agent without a record gets the defaults, which hold for any agent that obeys the schema.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any, Final, Literal, TypeAlias

from ...config import Backend
from ...errors import ConfigError
from ...prompt import Approval

Launcher: TypeAlias = Literal["plain", "gemini", "opencode", "qwen"]
History: TypeAlias = Literal["flattened", "gemini-chat", "extension"]
CallerTools: TypeAlias = Literal["mcp", "extension", "none"]
_Rule: TypeAlias = tuple[Callable[[Any], bool], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How one agent deviates from the protocol.

    Attributes:
        launcher: who prepares its start: settings, system prompt, tools (see `launching`).
        history: how earlier messages get in: as text before the first prompt, as a chat file
            of gemini, or by the ``_meta.clinvk`` extension of the embedded agents.
        conversations: most sessions of one process, where the pool's settings leave it open.
        parallel_opening: most ``session/new`` and ``session/load`` under way at once.
        spare_session: keep one session open in advance, so that a new conversation saves a
            round trip and a start without a login is noticed at once.
        any_model: ``session/set_model`` takes names the agent does not list.
        chat_mode: the session mode for conversations without tools; "" leaves the agent's.
        modes: the session mode per approval, for conversations with tools.
        guarded: first characters of a prompt that the agent would take for a command of its own.
        noise: beginnings of answer chunks that are no answer.
        name_in_tool_id: a tool call's id is its tool's name, ``__`` and a number.
        images: prompts may hold images.
        audio: prompts may hold recordings.
        client_tools: how the caller's tools get in: by our MCP server, if the agent takes servers
            over HTTP; by the ``_meta.clinvk`` extension; or not at all.
        announces_tools: each call through MCP is told by a ``tool_call`` update too, and before.
        parses_results: the first text of a result that is JSON must be an object.
        servers_need_trust: it connects to MCP servers in trusted folders only.
        shares_servers: MCP servers belong to a folder, not to a session: whoever works in the same
            folder could call the tools of another.
        tool_choice: what of `Abilities.tool_choice` holds.
        honours: fields of the sampling, and ``output``, that the extension takes.
        login: what a person runs or sets to log in.
    """

    launcher: Launcher = "plain"
    history: History = "flattened"
    conversations: int = 32
    parallel_opening: int = 32
    spare_session: bool = True
    any_model: bool = False
    chat_mode: str = ""
    modes: Mapping[Approval, str] = field(default_factory=dict)
    guarded: str = "/"
    noise: tuple[str, ...] = ()
    name_in_tool_id: bool = False
    images: bool = True
    audio: bool = True
    client_tools: CallerTools = "mcp"
    announces_tools: bool = False
    parses_results: bool = False
    shares_servers: bool = False
    servers_need_trust: bool = False
    tool_choice: tuple[str, ...] = ("none",)
    honours: tuple[str, ...] = ()
    login: str = ""


_GEMINI = Quirks(
    launcher="gemini",
    servers_need_trust=True,
    history="gemini-chat",
    # Ten at once contend for a lock file with growing pauses: 52 s; one by one 0.05 s each.
    parallel_opening=1,
    any_model=True,
    chat_mode="default",
    # Every other mode needs a trusted folder; permission answers do the same without it.
    modes={"default": "default", "auto": "default", "none": "default", "always": "default"},
    guarded="/$",
    noise=("[MODE_UPDATE]",),
    name_in_tool_id=True,
    announces_tools=True,
    parses_results=True,
    # Calls of one answer are run one after the other, so the caller gets one at a time.
    tool_choice=("none", "parallel"),
    login="run `gemini` once and log in, or set GEMINI_API_KEY",
)
_OPENCODE = Quirks(
    launcher="opencode",
    chat_mode="build",
    audio=False,
    announces_tools=True,
    shares_servers=True,
    login="run `opencode auth login`",
)
_QWEN = Quirks(
    launcher="qwen",
    chat_mode="default",
    modes={"default": "default", "auto": "auto-edit", "none": "yolo", "always": "default"},
    # It says that it takes audio, and without a voice model of its own gives a note instead.
    audio=False,
    announces_tools=True,
    tool_choice=("none", "parallel"),
    login="run `qwen` once and log in, or set OPENAI_API_KEY",
)
_EXTENSION = ("temperature", "top_p", "top_k", "seed", "stop", "output")
_TOOL_CHOICE = ("none", "required", "named", "parallel")
_EMBEDDED = Quirks(history="extension", spare_session=False, guarded="", audio=False)

RECORDS: Final[Mapping[str, Quirks]] = {
    "gemini": _GEMINI,
    "gemini-cli": _GEMINI,
    "opencode": _OPENCODE,
    "qwen": _QWEN,
    "qwen-code": _QWEN,
    "clinvkd.agents.echo": replace(
        _EMBEDDED,
        conversations=512,  # one costs it next to nothing
        any_model=True,
        client_tools="extension",
        tool_choice=_TOOL_CHOICE,
        honours=("stop", "output"),
    ),
    "clinvkd.agents.local": replace(
        _EMBEDDED,
        images=False,
        client_tools="extension",
        tool_choice=_TOOL_CHOICE,
        honours=_EXTENSION,
    ),
}
"""Records by the name of the program, of its package, of its module, or of its ``agentInfo``."""

_INTERPRETERS = ("node", "nodejs", "bun", "bunx", "deno", "npx", "env", "python", "python3")


def quirks_of(backend: Backend) -> Quirks:
    """The record of a backend's command, corrected by its configuration.

    Raises:
        ConfigError: ``backends.<name>.quirks`` has an unknown key or a wrong value.
    """
    return _corrected(RECORDS.get(_program(backend.command), Quirks()), backend)


def quirks_of_agent(backend: Backend, agent_name: str) -> Quirks:
    """The record once the agent told its name; the command's own record goes before it.

    How an agent was started cannot change any more, so a record found only now says nothing
    about `Quirks.launcher` and what depends on it.
    """
    if _program(backend.command) in RECORDS or (found := RECORDS.get(agent_name.lower())) is None:
        return quirks_of(backend)
    history: History = "flattened" if found.history == "gemini-chat" else found.history
    return _corrected(replace(found, launcher="plain", history=history), backend)


def _program(command: tuple[str, ...]) -> str:
    """The name of the program behind interpreters and package runners."""
    module = False
    for word in command:
        if module:
            return word
        if word == "-m":
            module = True
            continue
        name = PurePath(word).name.removesuffix(".js").removesuffix(".exe")
        if word.startswith("-") or name.rstrip("0123456789.") in _INTERPRETERS:
            continue
        return name.partition("@")[0]
    return ""


def _corrected(record: Quirks, backend: Backend) -> Quirks:
    known = {entry.name: getattr(record, entry.name) for entry in fields(Quirks)}
    changes: dict[str, Any] = {}
    for key, value in backend.quirks.items():
        where = f"backends.{backend.name}.quirks.{key}"
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"{where}: unknown key, known are {', '.join(known)}{hint}")
        changes[key] = _checked(key, value, where)
    return replace(record, **changes)


def _one_of(*choices: str) -> _Rule:
    return (lambda value: value in choices), "one of " + ", ".join(choices)


def _any_of(*choices: str) -> _Rule:
    return (lambda value: _is_list(value, choices)), "any of " + ", ".join(choices)


def _is_list(value: object, choices: tuple[str, ...]) -> bool:
    return isinstance(value, list | tuple) and all(entry in choices for entry in value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(text, str) and text for text in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1024


def _is_modes(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        name in ("default", "auto", "none", "always") and isinstance(mode, str)
        for name, mode in value.items()
    )


_FLAG: Final[_Rule] = (lambda value: isinstance(value, bool)), "true or false"
_COUNT: Final[_Rule] = _is_count, "an integer from 1 to 1024"
_TEXT: Final[_Rule] = (lambda value: isinstance(value, str)), "a text"
_RULES: Final[Mapping[str, _Rule]] = {
    "launcher": _one_of("plain", "gemini", "opencode", "qwen"),
    "history": _one_of("flattened", "gemini-chat", "extension"),
    "conversations": _COUNT,
    "parallel_opening": _COUNT,
    "spare_session": _FLAG,
    "any_model": _FLAG,
    "modes": (_is_modes, "a mode's name for any of default, auto, none, always"),
    "noise": (_is_texts, "a list of texts"),
    "name_in_tool_id": _FLAG,
    "images": _FLAG,
    "audio": _FLAG,
    "client_tools": _one_of("mcp", "extension", "none"),
    "announces_tools": _FLAG,
    "parses_results": _FLAG,
    "servers_need_trust": _FLAG,
    "shares_servers": _FLAG,
    "tool_choice": _any_of(*_TOOL_CHOICE),
    "honours": _any_of(*_EXTENSION),
}
"""What a configuration may say of a quirk, and that in words; of the others, any text."""


def _checked(key: str, value: object, where: str) -> object:
    fits, allowed = _RULES.get(key, _TEXT)
    if not fits(value):
        raise ConfigError(f"{where}: {value!r} is wrong, allowed is {allowed}")
    return tuple(value) if isinstance(value, list) else value
