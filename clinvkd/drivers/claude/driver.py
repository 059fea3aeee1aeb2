"""Claude Code: persistent stream-json processes, one conversation each.

A process is started without knowing the request and bound late; after its conversation it is
thrown away, because neither its system prompt nor its context can be changed cleanly.
Measured with 2.1.197 and 2.1.330.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

from ...config import Backend
from ...errors import BackendUnavailable
from ...prompt import Prompt
from ..base import RECEIVE, Abilities, Driver, Exchange, Json, Launch, Option
from .launch import launch
from .lines import control_request
from .script import ClaudeScript
from .settings import EFFORTS, EXTRA_BODY, provider_stops
from .tools import CHOICES, choices

COMPOSING: Final = (2, 1, 248)
"""The first version that takes a `client_composed` message literally."""

_LIMITS_BEFORE_COMPOSING = (
    "a message that starts with / is sent with a line break before it; 2.1.248 takes it literally",
    "choosing a model leaves a note about it in the conversation; newer versions do not",
)


class ClaudeDriver(Driver):
    """One Claude Code process."""

    abilities: ClassVar[Abilities] = Abilities(
        conversations=1,
        agents=8,
        messages_api=True,
        client_tools=True,
        tool_choice=CHOICES,
        options={
            "effort": Option(
                kind="choice",
                choices=EFFORTS,
                help="how much the model thinks before it answers",
            )
        },
        # The provider refuses temperature and the like while the model thinks, as it always may.
        honours=frozenset({"effort", "output", "stop", "thinking_tokens"}),
    )

    def __init__(self, backend: Backend, scratch: Path) -> None:
        super().__init__(backend, scratch)
        self._composed = True
        self._script: ClaudeScript | None = None

    @classmethod
    def abilities_for(cls, backend: Backend, prompt: Prompt) -> Abilities:
        """The agent is not given every stop text and choice of tools."""
        abilities = replace(cls.abilities_of(backend), tool_choice=choices(prompt))
        if provider_stops(prompt) == prompt.sampling.stop:
            return abilities
        return replace(abilities, honours=abilities.honours - {"stop"})

    @classmethod
    def launch(cls, backend: Backend, prompt: Prompt) -> Launch:
        """All chats start the same way, agents by folder and permissions."""
        return launch(backend, prompt)

    def start(self) -> Exchange[None]:
        """Learn the version; nothing that binds the process may be sent yet."""
        yield control_request(0, {"subtype": "get_binary_version"})
        while self.version is None:
            match (yield RECEIVE):
                case {
                    "type": "control_response",
                    "response": {"subtype": "success", "response": {"version": str(version)}},
                }:
                    self.version = version
                case {"type": "control_response" | "result"} as answer:
                    raise BackendUnavailable(f"claude did not start: {_reported(answer)}")
        numbers = tuple(int(number) for number in re.findall(r"\d+", self.version))
        self._composed = numbers >= COMPOSING
        if not self._composed:
            self.warnings = _LIMITS_BEFORE_COMPOSING

    def open(self) -> ClaudeScript:
        """The conversation; a process holds one."""
        self._script = ClaudeScript(
            composed=self._composed,
            folder=self.scratch / "work",
            extra_body=self.backend.environment.get(EXTRA_BODY, ""),
        )
        return self._script

    def route(self, message: Json) -> ClaudeScript | None:
        """All is for the one conversation, once it is open."""
        return self._script

    def rehearse(self, message: Json) -> Json | None:
        """Answer as an agent that takes everything."""
        match message:
            case {"type": "control_request", "request_id": number}:
                version = ".".join(str(part) for part in COMPOSING)
                response = {
                    "subtype": "success",
                    "request_id": number,
                    "response": {"version": version},
                }
                return {"type": "control_response", "response": response}
            case {"type": "user"}:
                return {
                    "type": "result",
                    "subtype": "success",
                    "is_error": False,
                    "result": "",
                    "structured_output": {},
                }
        return None


def _reported(answer: Json) -> str:
    match answer:
        case {"response": {"error": error}} | {"errors": [error, *_]} | {"result": str(error)}:
            return str(error)
    return "no reason given"
