"""Tasks that take several rounds of tools, and the model that carries them out.

The model is the fake provider behind the agent.  It calls a program's tools by the names under
which the agent offers them, and takes its next step when it has the result of the one before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...providers import RecordedRequest, Reply, ScriptError, ToolCall
from ..scenes import exchanges

_MARKER = re.compile(r"marker=(?P<marker>[\w-]+)")

FIRST_WORDS = "I read it first."
LAST_WORDS = "The file is edited."


@dataclass(frozen=True, slots=True)
class Step:
    """One round: the model calls a tool, by the program's name of it."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """The script of a provider: plays the task whose marker the prompt holds.

    What a program asks beside the task, without tools, gets a title.
    """

    tasks: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    """The steps by marker."""

    def __call__(self, request: RecordedRequest) -> Reply:
        if not offered(request):
            return Reply(text="A title")
        done = len(exchanges(request))
        steps = self.tasks[self._marker(request)]
        if done == len(steps):
            return Reply(text=LAST_WORDS)
        step = steps[done]
        call = ToolCall(_agents_name(step.tool, request), dict(step.arguments))
        return Reply(text=FIRST_WORDS if done == 0 else None, tools=(call,))

    def turns(self, marker: str, requests: list[RecordedRequest]) -> list[RecordedRequest]:
        """The requests that belong to a task."""
        return [one for one in requests if offered(one) and self._marker(one) == marker]

    def _marker(self, request: RecordedRequest) -> str:
        said = (one.text for one in request.conversation.utterances if one.role == "user")
        if (found := _MARKER.search(" ".join(said))) is None:
            raise ScriptError("the prompt has no marker of a task")
        return found["marker"]


def offered(request: RecordedRequest) -> list[str]:
    """The names of the tools that the model may call."""
    names = []
    for tool in request.body.get("tools", ()):
        match tool:
            case {"functionDeclarations": declarations}:
                names += [declaration["name"] for declaration in declarations]
            case {"name": str(name)}:
                names.append(name)
    return names


def _agents_name(tool: str, request: RecordedRequest) -> str:
    """The name under which the agent offers a tool: the program's, or with a prefix."""
    for name in offered(request):
        if name == tool or name.endswith(f"_{tool}"):
            return name
    raise ScriptError(f"{tool} is not offered, only {', '.join(offered(request))}")
