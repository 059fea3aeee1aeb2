"""What a driver is: one agent wire protocol as straight-line scripts without any I/O.

A `Driver` stands for one agent process, a `Script` for one conversation in it.
Their methods are *exchanges*: generators that yield what is to be done and are sent what came.

    yield Send({...})            write one message to the agent
    message = yield RECEIVE      wait for the next message of this conversation
    message = yield Receive(secs)  the same, but None when the agent is silent for so long
    yield WriteFile(path, data)  have a small private file written first
    text = yield RunProgram(...) have the agent's program asked something beside the protocol
    place = yield ServeTools(..) serve the caller's tools to the agent by MCP
    yield AnswerTool(id, result) give the agent the result of such a call
    yield AskApproval(id, ...)   ask whoever owns the turn whether the agent may act
    yield WithdrawApproval(id)   the agent waits for that decision no more
    yield TextDelta("...")       tell the caller something (any `Event`)

An exchange reads like the protocol, is tested by playing recorded lines at it, and never
awaits, so cancelling a request cannot lose its place: whoever plays it can send
`Script.interrupt()` and play it on to its end. It fails by raising a `ClinvkError`.
Messages of kinds it does not know are ignored, so newer agents do not break older clinvk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar

from ..config import Backend
from ..errors import InvalidRequest
from ..events import Action, Event
from ..prompt import Message, OptionValue, Prompt
from .decoding import decoded

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Send:
    """Write one message, as one line of JSON."""

    message: Json


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for the next message.

    Attributes:
        within: seconds after which the exchange is sent None instead, where an agent does not
            tell what its silence means; None to wait on. The budgets of a turn need none of it.
    """

    within: float | None = None


RECEIVE: Final = Receive()


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write a private file (mode 0600, folders 0700) before the exchange goes on.

    `data` None removes the file or the whole folder, if it is there.
    """

    path: Path
    data: bytes | None


@dataclass(frozen=True, slots=True)
class RunProgram:
    """Run the agent's program beside this process, once per version of it; only in `start`.

    The exchange is sent back what it printed on stdout, as bytes, or None when that failed.

    Attributes:
        arguments: what follows the program's name.
    """

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServeTools:
    """Serve tools of the caller's to this conversation alone, by the daemon's own MCP server.

    The exchange is sent back where: ``{"url": ..., "headers": {name: value}}``. It may be done
    once in a conversation. Calls come as messages `TOOL_CALLED` and wait without a limit.

    Attributes:
        definitions: what ``tools/list`` answers: ``name``, ``description``, ``inputSchema``.
    """

    definitions: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class AnswerTool:
    """Give the agent the result of a call; nothing happens when it waits no longer.

    Attributes:
        call: the id the call came with.
        result: a ``CallToolResult`` of the Model Context Protocol.
    """

    call: str
    result: Json


@dataclass(frozen=True, slots=True)
class AskApproval:
    """Ask whoever owns the turn; the exchange goes on meanwhile.

    The decision comes as a message `APPROVAL_DECIDED`, at the latest when the limit is reached.
    The turn must not be completed before. Only for prompts with `Permissions.asks`.

    Attributes:
        question: the driver's own id of it, unique among those open in the conversation.
        action: what is to be decided.
    """

    question: str
    action: Action


@dataclass(frozen=True, slots=True)
class WithdrawApproval:
    """Take back an `AskApproval`; no decision comes. Nothing happens when it is decided."""

    question: str


APPROVAL_DECIDED: Final = "clinvk/approval_decided"
"""Method of the message with a decision; params: ``question``, ``allowed``, ``message``.

When it is denied, `message` says why, for the agent.
"""

TOOL_CALLED: Final = "clinvk/tool_called"
"""Method of the message for a call through `ServeTools`; params: ``id``, ``name``, ``arguments``.

Like the next one it also comes while no turn runs, by `Script.unsolicited`.
"""

TOOL_WITHDRAWN: Final = "clinvk/tool_withdrawn"
"""Method of the message that the agent waits no longer for a result; params: ``id``."""

_T = TypeVar("_T")
Step: TypeAlias = (
    Send
    | Receive
    | WriteFile
    | RunProgram
    | ServeTools
    | AnswerTool
    | AskApproval
    | WithdrawApproval
    | Event
)
Exchange: TypeAlias = Generator[Step, Any, _T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All that is fixed when an agent's process starts; equal launches are interchangeable.

    In `argv` and in the values of `environment` and `files` the text ``{scratch}`` stands for
    the private folder that the agent's process gets (and that is removed with it).

    Attributes:
        argv: the command line; never contains a caller's text, prompts go over stdin.
        environment: variables set for this agent, over what the backend passes on.
        cwd: the directory it runs in; None for an empty folder of its own.
        files: small files written below the private folder before the start, by name.
    """

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    cwd: Path | None = None
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One typed option a caller may give in ``extra``.

    Attributes:
        kind: how the text of the value is read.
        choices: the values allowed when `kind` is ``choice``.
        minimum: smallest number allowed.
        help: what it does, for the error message and the reference.
    """

    kind: Literal["choice", "integer", "number", "flag"]
    choices: tuple[str, ...] = ()
    minimum: float = 0
    help: str = ""

    def parse(self, text: str | None, where: str) -> OptionValue:
        """Read a value. Raises InvalidRequest, naming the field `where`."""
        match self.kind, text:
            case "flag", None:
                return True
            case "choice", str() if text in self.choices:
                return text
            case "integer" | "number", str():
                try:
                    number = int(text) if self.kind == "integer" else float(text)
                except ValueError:
                    pass
                else:
                    if self.minimum <= number < float("inf"):
                        return number
        raise InvalidRequest(f"{where} takes {self.allowed}", param=where)

    @property
    def allowed(self) -> str:
        """What values are allowed, for people."""
        match self.kind:
            case "flag":
                return "no value"
            case "choice":
                return "one of " + ", ".join(self.choices)
            case kind:
                return f"one {kind} from {self.minimum:g}"


class Script(ABC):
    """One conversation in an agent. Turns run one at a time; the pool sees to that.

    Attributes:
        reusable: whether another turn may follow. A script clears it when its context no longer
            equals the canonical history (an interrupted answer, a repaired stream, an error).
    """

    reusable: bool = True

    @abstractmethod
    def bind(self, prompt: Prompt) -> Exchange[None]:
        """Give the conversation its system prompt, model, permissions and workdir, once, first."""

    @abstractmethod
    def seed(self, history: tuple[Message, ...]) -> Exchange[None]:
        """Put earlier messages into the context natively, without a model call."""

    @abstractmethod
    def turn(self, prompt: Prompt) -> Exchange[None]:
        """Send `prompt.new` and yield what the agent tells; the last event is `Completed`."""

    @abstractmethod
    def interrupt(self) -> Iterable[Send]:
        """What to send so that the running turn ends soon; its exchange then sees the end.

        It may come before the exchange has sent the turn, while it binds, seeds or waits for a
        file: then the turn must not be sent any more.
        """

    def serves(self, prompt: Prompt) -> bool:
        """Whether the conversation can be continued as `prompt` asks.

        The prompt has the key of the conversation, so only what is not part of `Prompt.key` may
        differ: `max_tokens`, `max_turns` and all sampling but effort.
        """
        return True

    def close(self) -> Iterable[Send]:
        """What to send so that the agent forgets the conversation. Nothing by default."""
        return ()

    def unsolicited(self, message: Json) -> Iterable[Send]:
        """Answer a message that came while no turn runs. Ignored by default."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a driver can do with a prompt; what it cannot is reported to the caller, not hidden.

    Attributes:
        conversations: how many conversations one process may hold; 1 means used once.
        agents: how many processes a backend has at most, when the configuration says nothing.
        history: ``native`` when earlier messages keep their roles and images, ``flattened`` when
            they are given as one text.
        images: whether user messages may hold images.
        audio: whether user messages may hold recordings.
        messages_api: whether it takes the Messages API's documents and handed-back reasoning.
        client_tools: whether the model can be given the caller's tools.
        tool_choice: which of ``none``, ``required``, ``named`` and ``parallel`` (whether several
            calls at once can be ruled out) it honours; ``auto`` always is.
        options: what callers may give in ``extra``, by name.
        ignores: fields of a prompt the agent has no counterpart for.
        honours: which of the sampling fields (``temperature``, ``stop``, ``effort``, ...) and of
            ``output`` the driver passes on natively.
    """

    conversations: int
    agents: int
    history: Literal["native", "flattened"] = "native"
    images: bool = True
    audio: bool = False
    messages_api: bool = False
    client_tools: bool = False
    tool_choice: frozenset[str] = frozenset()
    options: Mapping[str, Option] = field(default_factory=dict)
    ignores: frozenset[str] = frozenset()
    honours: frozenset[str] = frozenset()


class Driver(ABC):
    """One agent process, as its protocol sees it.

    Args:
        backend: the configuration of the backend.
        scratch: the private folder of this process; it exists and is removed with it.

    Attributes:
        version: the agent's version once it told it, else None.
        warnings: what this agent cannot do that a newer one can, for ``/health``.
    """

    abilities: ClassVar[Abilities]

    def __init__(self, backend: Backend, scratch: Path) -> None:
        self.backend = backend
        self.scratch = scratch
        self.version: str | None = None
        self.warnings: tuple[str, ...] = ()

    @classmethod
    @abstractmethod
    def launch(cls, backend: Backend, prompt: Prompt) -> Launch:
        """How a process that can serve `prompt` is started.

        Only what cannot be bound later may differ from prompt to prompt.
        """

    @classmethod
    def abilities_of(cls, backend: Backend) -> Abilities:
        """What an agent of this backend can do; the class's own unless configuration matters."""
        return cls.abilities

    @classmethod
    def abilities_for(cls, backend: Backend, prompt: Prompt) -> Abilities:
        """What of `abilities_of` holds for `prompt`: `ignores` and `honours` may differ."""
        return cls.abilities_of(backend)

    @abstractmethod
    def start(self) -> Exchange[None]:
        """The handshake, once per process. Raises BackendUnavailable, e.g. when not logged in."""

    @abstractmethod
    def open(self) -> Script:
        """A new conversation."""

    @abstractmethod
    def route(self, message: Json) -> Script | None:
        """Whose message this is; None for the process itself. Called once per message."""

    def decode(self, line: bytes) -> Json | None:
        """One line of stdout as a message; None to ignore it. Raises ValueError when not JSON.

        Drivers override it to skip lines they never look at without decoding them.
        """
        message = decoded(line)
        return message if isinstance(message, dict) else None

    def unrouted(self, message: Json) -> Iterable[Send]:
        """Answer a message that belongs to no conversation. Ignored by default."""
        return ()

    @abstractmethod
    def rehearse(self, message: Json) -> Json | None:
        """A minimal answer an agent could give to `message`, or None when it gives none.

        Used to show what would be sent without an agent (``dry_run``).
        """
