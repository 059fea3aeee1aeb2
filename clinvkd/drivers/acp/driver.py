"""The generic driver of the Agent Client Protocol (ACP), protocol version 1: one process.

It does the handshake, knows whose message is whose, and queues the opening of sessions.
What an agent does differently is a record of `quirks`, what it needs at its start is in
`launch`, and a conversation is an `script.AcpScript`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

from ... import __version__
from ...config import Backend
from ...errors import BackendRefused, BackendUnavailable
from ...prompt import Audio, Image, Prompt
from ..base import Abilities, Driver, Exchange, Json, Launch, Send
from ..jsonrpc import METHOD_NOT_FOUND, Peer, RpcError, plain_call, result_of
from . import gemini
from .answers import failure
from .client_tools import offers_tools
from .launch import launch_of
from .openings import Opening, Openings
from .quirks import Quirks, quirks_of, quirks_of_agent
from .script import AcpScript

PROTOCOL_VERSION: Final = 1

_FLATTENED: Final = Abilities(
    conversations=32,
    agents=2,
    history="flattened",
    # The protocol has a field for neither; stop reasons of these kinds are the agent's own limits.
    ignores=frozenset({"max_tokens", "max_turns"}),
)


_MEDIA: Final = ((Image, "image", "images"), (Audio, "audio", "audio"))
"""Blocks that an agent may not take, the capability that says so, and their name for people."""

_TRUSTS: Final = (
    "clinvk knows no switch by which this agent leaves a workdir's own configuration alone:"
    " `trusted: false` does not keep it out"
)


class AcpDriver(Driver):
    """Any agent that speaks ACP, protocol version 1.

    Attributes:
        quirks: what this agent does differently.
        peer: our side of the connection; the owner None stands for the driver itself.
        openings: the sessions being opened.
        capabilities: ``agentCapabilities`` of the handshake.
    """

    abilities: ClassVar[Abilities] = _FLATTENED

    def __init__(self, backend: Backend, scratch: Path) -> None:
        super().__init__(backend, scratch)
        self.quirks: Quirks = quirks_of(backend)
        self.peer: Peer[AcpScript | None] = Peer({"jsonrpc": "2.0"})
        self.openings = Openings(self.peer, self.quirks.parallel_opening)
        self.capabilities: Json = {}
        self._sessions: dict[str, AcpScript] = {}
        self._spare: tuple[str, Json] | None = None

    @classmethod
    def launch(cls, backend: Backend, prompt: Prompt) -> Launch:
        """By the launcher of the agent's quirks; a plain agent's launch is always the same."""
        return launch_of(backend, quirks_of(backend), prompt)

    @classmethod
    def abilities_of(cls, backend: Backend) -> Abilities:
        """By the way the agent can be given a history."""
        return _abilities(backend, None)

    @classmethod
    def abilities_for(cls, backend: Backend, prompt: Prompt) -> Abilities:
        """Gemini can be told less in a workdir and with tools."""
        return _abilities(backend, prompt)

    def takes_form(self, prompt: Prompt) -> bool:
        """Whether the agent itself is told what form the answer must have."""
        return "output" in self.abilities_for(self.backend, prompt).honours

    def start(self) -> Exchange[None]:
        """``initialize``, and a session in advance where that pays."""
        try:
            greeting = yield from plain_call(
                self.peer,
                None,
                "initialize",
                {
                    "protocolVersion": PROTOCOL_VERSION,
                    # Agents then do file and shell work themselves.
                    "clientCapabilities": {
                        "fs": {"readTextFile": False, "writeTextFile": False},
                        "terminal": False,
                    },
                    "clientInfo": {"name": "clinvk", "version": __version__},
                },
            )
            self._read_greeting(greeting)
            if self.quirks.spare_session:
                opening = self._plain_opening()
                answer = yield from plain_call(self.peer, None, opening.method, opening.params)
                self._keep_spare(answer)
        except RpcError as error:
            trouble = failure(error, self.backend.name, self.quirks.login)
            raise BackendUnavailable(trouble.message) from error

    def open(self) -> AcpScript:
        """A conversation; it has no session yet."""
        return AcpScript(self)

    def route(self, message: Json) -> AcpScript | None:
        """By session for what the agent starts, by request for what it answers."""
        match message:
            case {"params": {"sessionId": str(session)}}:
                return self._sessions.get(session)
            case {"method": _}:
                return None
        claimed = self.peer.claim(message)
        match message:
            case {"id": int(number)} if number in self.openings:
                return self.openings.owner(number)
        return None if claimed is None else claimed[0]

    def unrouted(self, message: Json) -> Iterable[Send]:
        """Keep sessions opened in advance, refuse requests nobody waits for."""
        match message:
            case {"id": _, "method": _}:
                yield self.refused(message)
            case {"id": int(number)} if number in self.openings:
                yield from self.opened_in_vain(message)

    def refused(self, request: Json) -> Send:
        """The answer to a request of the agent that nobody here serves."""
        if request.get("method") == "session/request_permission":
            return self.peer.answer(request, {"outcome": {"outcome": "cancelled"}})
        return self.peer.refuse(request, METHOD_NOT_FOUND, "Method not found")

    def check(self, prompt: Prompt) -> None:
        """What the agent's handshake says against a prompt.

        Raises:
            BackendRefused: it takes no images, no audio, or no tools of the caller's, or not in
                such a workdir.
        """
        taken = self.capabilities.get("promptCapabilities") or {}
        given = {type(part) for said in prompt.messages for part in said.content}
        for kind, capability, name in _MEDIA:
            if kind in given and taken.get(capability) is not True:
                raise BackendRefused(
                    f"backend {self.backend.name!r} takes no {name}", param="messages"
                )
        if self.quirks.client_tools != "mcp" or not offers_tools(prompt):
            return
        match self.capabilities:
            case {"mcpCapabilities": {"http": True}}:
                pass
            case _:
                raise BackendRefused(
                    f"backend {self.backend.name!r} cannot call tools of the caller: its agent"
                    " takes no MCP server over HTTP",
                    param="tools",
                )
        rights = prompt.permissions
        distrusted = prompt.workdir is not None and rights.tools and not rights.trusted
        if self.quirks.servers_need_trust and distrusted:
            raise BackendRefused(
                f"backend {self.backend.name!r} cannot call tools of the caller in a workdir that"
                " is not trusted (server.workdir_trust)",
                param="tools",
            )
        if self.quirks.shares_servers and prompt.workdir is not None:
            raise BackendRefused(
                f"backend {self.backend.name!r} cannot call tools of the caller in a workdir: its"
                " agent would show them to everybody who works there",
                param="tools",
            )

    # Sessions.

    @property
    def plain_folder(self) -> Path:
        """Where conversations without a workdir live."""
        return self.scratch / ("chat" if self.quirks.launcher == "gemini" else "work")

    def register(self, session: str, script: AcpScript) -> None:
        """From now on messages of `session` are `script`'s."""
        self._sessions[session] = script

    def release(self, script: AcpScript, session: str | None) -> None:
        """`script` is over, or goes on with another session."""
        if session is not None:
            self._sessions.pop(session, None)
        self.peer.forget(script)
        self.openings.release(script)

    def take_spare(self) -> tuple[str, Json] | None:
        """The session opened in advance and the agent's answer to it, if there is one."""
        spare, self._spare = self._spare, None
        return spare

    def refill(self) -> Iterable[Send]:
        """Open the next session in advance, when one is missing and nothing else is opened."""
        if self.quirks.spare_session and self._spare is None and not self.openings:
            yield from self.openings.request(None, self._plain_opening())

    def opened_in_vain(self, message: Json) -> Iterable[Send]:
        """A session is there that nobody waits for any more; keep it when it fits."""
        opening, sends = self.openings.answered(message["id"])
        yield from sends
        if opening == self._plain_opening():
            with suppress(RpcError):  # the next conversation asks again and then tells
                self._keep_spare(result_of(message))

    def _plain_opening(self) -> Opening:
        """How a conversation that needs nothing special is opened."""
        return Opening("session/new", {"cwd": str(self.plain_folder), "mcpServers": []})

    def _keep_spare(self, offered: Json) -> None:
        match offered:
            case {"sessionId": str(session)} if self.quirks.spare_session and self._spare is None:
                self._spare = (session, offered)

    def _read_greeting(self, greeting: Json) -> None:
        if greeting.get("protocolVersion") != PROTOCOL_VERSION:
            raise BackendUnavailable(
                f"backend {self.backend.name!r} speaks version {greeting.get('protocolVersion')!r}"
                f" of the Agent Client Protocol, clinvk version {PROTOCOL_VERSION}"
            )
        self.capabilities = greeting.get("agentCapabilities") or {}
        match greeting.get("agentInfo"):
            case {"name": str(name), **rest}:
                self.quirks = quirks_of_agent(self.backend, name)
                self.openings = Openings(self.peer, self.quirks.parallel_opening)
                self.version = str(rest["version"]) if "version" in rest else None
        if self.quirks.launcher == "plain" and self.quirks.history != "extension":
            self.warnings = (_TRUSTS,)

    def rehearse(self, message: Json) -> Json | None:
        """See `Driver.rehearse`."""
        match message.get("method"):
            case "initialize":
                result: Json = {
                    "protocolVersion": PROTOCOL_VERSION,
                    "agentCapabilities": {
                        "promptCapabilities": {"image": True, "audio": True},
                        "mcpCapabilities": {"http": True},
                    },
                }
            case "session/new":
                result = {"sessionId": "rehearsal"}
            case "session/prompt":
                result = {
                    "stopReason": "end_turn",
                    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
                }
            case str() if "id" in message:
                result = {}
            case _:
                return None
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _abilities(backend: Backend, prompt: Prompt | None) -> Abilities:
    """What an agent of `backend` can do, in general or with `prompt`."""
    quirks = quirks_of(backend)
    abilities = replace(
        _FLATTENED,
        conversations=quirks.conversations,
        images=quirks.images,
        audio=quirks.audio,
        client_tools=quirks.client_tools != "none",
        tool_choice=frozenset(quirks.tool_choice),
    )
    if quirks.launcher == "plain" and quirks.history != "extension":
        # What it keeps of a conversation, and where, only the agent knows.
        abilities = replace(abilities, ignores=abilities.ignores | {"ephemeral"})
    match quirks.history:
        case "extension":
            return replace(
                abilities,
                history="native",
                ignores=frozenset({"max_turns"}),
                honours=frozenset(quirks.honours),
            )
        case "gemini-chat":
            return gemini.abilities(abilities, prompt)
        case _:
            return abilities
