"""Makes an approved `Prompt` of what a dialect decoded: defaults, names, options, policy.

Every request of every dialect passes here before it can reach an agent.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from .config import Backend, BackendSettings, Settings
from .drivers import DRIVERS
from .drivers.base import Abilities
from .errors import ConfigError, InvalidRequest, NotFound
from .keys import OWNER, Caller
from .keys.rights import check_rights
from .prompt import (
    Approval,
    Audio,
    Block,
    Document,
    Image,
    Message,
    OptionValue,
    OutputSchema,
    Permissions,
    Prompt,
    Sampling,
    Sandbox,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from .workdir import WorkdirPolicy

SHAPED = ("max_tokens",)
"""What clinvk makes true by itself where the agent cannot."""

_MODEL = re.compile(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]{0,255}")

_ALIASES: Mapping[str, Mapping[str, str]] = {
    "claude": {
        "fast": "haiku", "quick": "haiku",
        "balanced": "sonnet", "default": "sonnet",
        "best": "opus", "powerful": "opus",
    },
    "codex": {
        "fast": "gpt-4.1-mini", "quick": "gpt-4.1-mini",
        "balanced": "gpt-5.2", "default": "gpt-5.2",
        "best": "gpt-5-codex", "powerful": "gpt-5-codex",
    },
    "gemini": {
        "fast": "gemini-2.5-flash", "quick": "gemini-2.5-flash",
        "balanced": "gemini-2.5-pro", "default": "gemini-2.5-pro",
        "best": "gemini-2.5-pro", "powerful": "gemini-2.5-pro",
    },
}  # fmt: skip
"""Published names for a class of model, by backend; any other name passes unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it was asked, free of any dialect; None means the caller did not say.

    Attributes:
        messages: earlier messages and, last, the new user message.
        chat: the agent's own tools are on only if the backend's configuration says `tools: on`.
        field: name of the request's field that holds all messages, for errors; None where the new
            one, results and earlier ones have a field each.
    """

    messages: tuple[Message, ...]
    backend: str | None = None
    model: str | None = None
    system: str | None = None
    workdir: str | None = None
    approval: Approval | None = None
    sandbox: Sandbox | None = None
    max_tokens: int | None = None
    max_turns: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    output: OutputSchema | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    chat: bool = False
    raw_events: bool = False
    extra: tuple[str, ...] = ()
    ephemeral: bool = False
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Approved:
    """A prompt that may run.

    Attributes:
        prompt: for the engine.
        ignored: names of what was asked and this backend cannot honour, in order.
    """

    prompt: Prompt
    ignored: tuple[str, ...] = field(default=())


class Intake:
    """The rules of one configuration.

    Args:
        settings: the configuration.
        default_backend: gives the backend of a request that names none.
        own: directories that no request may name, whatever the configuration says.
    """

    def __init__(
        self,
        settings: Settings,
        default_backend: Callable[[], str],
        own: Iterable[Path] = (),
    ) -> None:
        self._settings = settings
        self._default_backend = default_backend
        server = settings.server
        self._workdirs = WorkdirPolicy(
            server.allowed_workdir_prefixes,
            server.blocked_workdir_prefixes,
            own=own,
            trust=server.workdir_trust,
        )

    def approve(self, asked: Asked, caller: Caller) -> Approved:
        """Check a request and complete it from the configuration. Blocking: looks at the disk.

        Args:
            caller: who asks; what its scopes do not cover is refused.

        Raises:
            InvalidRequest, Forbidden, NotFound: with the field at fault.
        """
        name = self.backend_name(asked.backend)
        section = self._settings.backends[name]
        backend = Backend.of(name, section, self._settings.pool_of(name))
        driver = DRIVERS[backend.driver]
        abilities = driver.abilities_of(backend)
        asked = replace(asked, messages=tuple(map(_without_nul, asked.messages)))
        _check_messages(asked, name, abilities)
        _check_results(asked)
        workdir, trusted = None, None
        if asked.workdir is not None:
            workdir = self._workdirs.approve(asked.workdir, caller.scopes.workdirs)
            trusted = self._workdirs.trusts(workdir)
        if trusted is None:
            trusted = section.trusted
        flags = self._settings.unified_flags
        system = asked.system or section.system_prompt or None
        if system is not None and "\0" in system:
            raise InvalidRequest("system_prompt holds a NUL character", param="system_prompt")
        prompt = Prompt(
            backend=name,
            messages=asked.messages if abilities.messages_api else _plain(asked, name),
            system=system,
            model=_model(name, asked.model or section.model),
            workdir=workdir,
            permissions=self._permissions(asked, section, trusted),
            max_tokens=asked.max_tokens or flags.max_tokens or None,
            max_turns=asked.max_turns or flags.max_turns or None,
            sampling=asked.sampling,
            output=asked.output,
            tools=_tools(asked, name, abilities),
            tool_choice=asked.tool_choice,
            raw_events=asked.raw_events,
            options=_options(asked.extra, name, abilities),
            ephemeral=asked.ephemeral,
            client=caller.name,
        )
        check_rights(caller, prompt, asked.model)
        return Approved(prompt, _ignored(asked, driver.abilities_for(backend, prompt)))

    def backend_name(self, asked: str | None) -> str:
        """The enabled backend a request means.

        Raises:
            NotFound: there is none of that name.
        """
        if asked is None:
            return self._default_backend()
        names = self._settings.enabled_backends()
        if asked in names:
            return asked
        shown = asked[:80]
        near = difflib.get_close_matches(shown, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise NotFound(
            f"there is no backend {shown!r}; {hint}configured: {', '.join(names)}", param="backend"
        )

    def default_prompt(self, name: str) -> Prompt:
        """A prompt as most callers of the backend send it, for spares.

        Raises:
            ConfigError: the backend's section holds what no prompt may hold.
        """
        asked = Asked(backend=name, messages=(Message("user", (Text("-"),)),))
        try:
            return self.approve(asked, OWNER).prompt
        except InvalidRequest as error:
            raise ConfigError(f"backends.{name}.{error.param}: {error.message}") from None

    def _permissions(self, asked: Asked, section: BackendSettings, trusted: bool) -> Permissions:
        flags = self._settings.unified_flags
        approval = asked.approval or section.approval_mode or flags.approval_mode
        sandbox = asked.sandbox or section.sandbox_mode or flags.sandbox_mode
        tools = section.tools == "on"
        if section.tools == "auto" and not asked.chat:
            # Without a place to work and without a word about rights it is a conversation:
            # it must not touch the disk by surprise, and it is far cheaper.
            tools = asked.workdir is not None or (approval, sandbox) != ("default", "default")
        if asked.chat and approval == "ask":
            approval = "always"  # those APIs have no way to tell the caller of a question
        return Permissions(
            tools=tools,
            approval=approval,
            sandbox=sandbox,
            allowed_tools=section.allowed_tools,
            trusted=trusted,
        )


def _without_nul(message: Message) -> Message:
    """The message with U+FFFD for each NUL in what models, tools and files say.

    A caller cannot mend it there, and it would come again with every later request; in the
    user's own words it is refused.
    """
    clean = tuple(
        block if message.role == "user" and isinstance(block, Text) else _clean(block)
        for block in message.content
    )
    return message if clean == message.content else Message(message.role, clean)


def _clean(block: Block) -> Block:
    match block:
        case Text(text) if "\0" in text:
            return Text(text.replace("\0", "\ufffd"))
        case Document("text/plain", data) if "\0" in data:
            return replace(block, data=data.replace("\0", "\ufffd"))
        case ToolResult(content=content):
            parts = tuple(
                Text(part.text.replace("\0", "\ufffd")) if isinstance(part, Text) else part
                for part in content
            )
            return block if parts == content else replace(block, content=parts)
        case _:
            return block


def _check_messages(asked: Asked, backend: str, abilities: Abilities) -> None:
    field = asked.field or "prompt"
    if not asked.messages or asked.messages[-1].role != "user":
        raise InvalidRequest("the last message must be the user's", param=field)
    last = asked.messages[-1]
    if all(isinstance(block, Text) and not block.text.strip() for block in last.content):
        raise InvalidRequest(f"{field} is empty", param=field)
    for message in asked.messages:
        where = field if message is last else asked.field or "messages"
        if "\0" in message.text:
            raise InvalidRequest(f"{where} holds a NUL character", param=where)
        if not abilities.images and any(isinstance(block, Image) for block in message.content):
            raise InvalidRequest(f"{where}: backend {backend!r} does not take images", param=where)
        if not abilities.audio and any(isinstance(block, Audio) for block in message.content):
            raise InvalidRequest(f"{where}: backend {backend!r} does not take audio", param=where)


def _check_results(asked: Asked) -> None:
    """Every call of the caller's tools has exactly one result, in the message after it."""
    field = asked.field or "tool_results"
    called: set[str] = set()
    for message in asked.messages:
        results = [b.tool_use_id for b in message.content if isinstance(b, ToolResult)]
        for identity in results:
            if identity not in called:
                raise InvalidRequest(
                    f"there is a result for {identity[:80]!r}, which is no call of the message"
                    " before it, or has its result already",
                    param=field,
                )
            called.remove(identity)
        if called:
            missing = ", ".join(sorted(called))[:200]
            raise InvalidRequest(
                f"calls without a result in the message after them: {missing}", param=field
            )
        called = {block.id for block in message.content if isinstance(block, ToolUse)}


def _tools(asked: Asked, backend: str, abilities: Abilities) -> tuple[Tool, ...]:
    if asked.tools and not abilities.client_tools:
        raise InvalidRequest(
            f"backend {backend!r} cannot call tools of the caller; leave tools out", param="tools"
        )
    choice = asked.tool_choice
    if choice.mode in ("required", "named") and not asked.tools:
        raise InvalidRequest("tool_choice needs tools", param="tool_choice")
    if choice.mode == "named" and choice.name not in {tool.name for tool in asked.tools}:
        raise InvalidRequest(
            f"tool_choice names {choice.name[:80]!r}, which is none of the tools",
            param="tool_choice",
        )
    return asked.tools


def _plain(asked: Asked, backend: str) -> tuple[Message, ...]:
    """The messages for an agent that knows text and media: reasoning is left out."""
    return tuple(
        Message(
            message.role,
            tuple(
                _plain_block(block, asked.field or "prompt", backend)
                for block in message.content
                if not isinstance(block, Thinking)
            ),
        )
        for message in asked.messages
    )


def _plain_block(block: Block, field: str, backend: str) -> Block:
    match block:
        case Document("text/plain", text, title):
            return Text(f"<document title={title or ''!r}>\n{text}\n</document>\n\n")
        case Document():
            raise InvalidRequest(f"backend {backend!r} does not take PDF documents", param=field)
        case _:
            return block


def _model(backend: str, asked: str) -> str | None:
    if not asked:
        return None
    if not _MODEL.fullmatch(asked):
        raise InvalidRequest(
            "model must be at most 256 characters without blanks, and not begin with '-'",
            param="model",
        )
    return _ALIASES.get(backend, {}).get(asked, asked)


def _options(
    extra: tuple[str, ...], backend: str, abilities: Abilities
) -> tuple[tuple[str, OptionValue], ...]:
    """Read ``--name=value`` items by the backend's allow-list."""
    allowed = abilities.options
    options: dict[str, OptionValue] = {}
    for index, item in enumerate(extra):
        where = f"extra[{index}]"
        name, equals, value = item.removeprefix("--").partition("=")
        option = allowed.get(name) if item.startswith("--") else None
        if option is None:
            known = ", ".join(f"--{key} ({value.allowed})" for key, value in allowed.items())
            raise InvalidRequest(
                f"{where} {item[:80]!r} is not an option of backend {backend!r}; allowed: "
                + (known or "none"),
                param=where,
            )
        options[name] = option.parse(value if equals else None, where)
    return tuple(sorted(options.items()))


def _ignored(asked: Asked, abilities: Abilities) -> tuple[str, ...]:
    given = {
        "model": asked.model,
        "system_prompt": asked.system,
        "approval_mode": asked.approval if asked.approval != "default" else None,
        "sandbox_mode": asked.sandbox if asked.sandbox != "default" else None,
        "max_tokens": asked.max_tokens,
        "max_turns": asked.max_turns,
        "ephemeral": asked.ephemeral,
    }
    ignored = [name for name, value in given.items() if value and name in abilities.ignores]
    ignored += [
        name
        for name in ("temperature", "top_p", "top_k", "seed", "thinking_tokens", "effort")
        if getattr(asked.sampling, name) is not None and name not in abilities.honours
    ]
    if asked.tools:
        choice = asked.tool_choice
        if choice.mode != "auto" and choice.mode not in abilities.tool_choice:
            ignored.append("tool_choice")
        if not choice.parallel and "parallel" not in abilities.tool_choice:
            ignored.append("parallel_tool_calls")
    return tuple(name for name in ignored if name not in SHAPED)
