"""What a fake provider remembers of one request, in words common to all four vendors' APIs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
"""A decoded JSON object as a client sent it."""

Role = Literal["system", "user", "assistant", "tool"]

_CLIENT_NOTE = re.compile(
    r"\s*<(system-reminder|session_context|environment_context|turn_aborted)>.*?</\1>\s*",
    re.DOTALL,
)


class Kind(StrEnum):
    """Why the client sent a request.

    `TURN` requests carry a conversation that a person (or a test) started.
    Everything else is the client's own idea and gets a harmless default, never a scripted answer.
    """

    TURN = "turn"
    COUNT = "count"
    """Counting tokens."""
    PROBE = "probe"
    """A look at whether server, model or key are there."""
    DECISION = "decision"
    """A question the client puts to a model: which model to take, is this tool call safe."""
    BACKGROUND = "background"
    """The client's own work beside the turn: a title, a summary, memory, a suggestion."""
    UNKNOWN = "unknown"
    """No such path: answered 404."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One message of a conversation, reduced to who spoke and the plain text."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request's body says, whatever the dialect.

    `utterances` keep the order of the body; tool calls have no utterance, a tool's result is one
    with the role `tool`.  System and developer texts are in `system`, wherever they stood.  Notes
    that a client adds to what the user said (date, directory, reminders) are left out: look for
    those in `RecordedRequest.body`.
    """

    system: str = ""
    utterances: tuple[Utterance, ...] = ()
    model: str = ""
    streaming: bool = True

    @classmethod
    def of(
        cls, spoken: Iterable[Utterance], *, model: str, streaming: bool, system: str = ""
    ) -> Conversation:
        """Sort the messages of a body, system texts among them, into a conversation."""
        systems, utterances = [system], []
        for utterance in spoken:
            match utterance:
                case Utterance("system", text):
                    systems.append(text)
                case Utterance("user", text):
                    if said := _CLIENT_NOTE.sub("", text):
                        utterances.append(Utterance("user", said))
                case Utterance("tool", _):
                    utterances.append(utterance)
                case Utterance(_, text) if text:
                    utterances.append(utterance)
        return cls("\n".join(filter(None, systems)), tuple(utterances), model, streaming)

    @property
    def last_user_text(self) -> str:
        """The newest text of the role `user`, or ``""``."""
        return next((spoken.text for spoken in self.utterances[::-1] if spoken.role == "user"), "")

    @property
    def tool_rounds(self) -> int:
        """How often tool results were sent back since the newest user text; 0 if none were."""
        rounds = 0
        previous: Role = "user"
        for spoken in self.utterances[::-1]:
            if spoken.role == "user":
                break
            if spoken.role == "tool" and previous != "tool":
                rounds += 1
            previous = spoken.role
        return rounds


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One HTTP request as it arrived."""

    method: str
    path: str
    """Path with the query string."""
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: JsonObject
    """The decoded body; ``{}`` when there was none."""
    received_at: float
    """`time.monotonic()`; on one machine it can be compared with that of other processes."""
    kind: Kind
    conversation: Conversation = field(default_factory=Conversation)

    @property
    def model(self) -> str:
        """The model the client asked for."""
        return self.conversation.model

    @property
    def last_user_text(self) -> str:
        """See `Conversation.last_user_text`."""
        return self.conversation.last_user_text
