"""A conversation with codex: one thread of its app-server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ...errors import BackendError, BackendUnavailable, ClinvkError
from ...events import Completed, Opened, Usage
from ...prompt import Message, Prompt
from ..base import RECEIVE, Exchange, Json, Script, Send, WriteFile
from ..jsonrpc import METHOD_NOT_FOUND, Peer, RpcError, plain_call, result_of
from .errors import call_error, cut_short, told, turn_error
from .items import response_items, user_input
from .settings import HostSettings, thread_parameters, turn_parameters
from .turn import TurnReader


class CodexThread(Script):
    """One thread.

    Args:
        peer: our side of the process's connection.
        host: what the user's configuration of codex says.
        private: a directory for this conversation alone; made when it is needed.
        forget: called with the thread's id once it is of no interest any more.
    """

    def __init__(
        self,
        peer: Peer[CodexThread | None],
        host: HostSettings,
        private: Path,
        forget: Callable[[str], None],
    ) -> None:
        self._peer = peer
        self._host = host
        self._private = private
        self._forget = forget
        self._id: str | None = None
        self._model: str | None = None
        self._tools = False
        self._calls: set[int] = set()
        self._turn_id = ""
        self._running = False
        self._interrupted = False
        self._counted = Usage()

    def bind(self, prompt: Prompt) -> Exchange[None]:
        """Start the thread. Its id has to be known before anything else can be said."""
        self._tools = prompt.permissions.tools
        if self._tools and prompt.workdir is None:
            marker = self._private / "empty"
            yield WriteFile(marker, b"")
            yield WriteFile(marker, None)
        parameters = thread_parameters(prompt, self._host, self._private)
        try:
            result = yield from plain_call(self._peer, self, "thread/start", parameters)
        except RpcError as error:
            raise BackendUnavailable(
                f"codex could not start a thread: {told(error.message)}"
            ) from error
        match result:
            case {"thread": {"id": str(thread_id)}}:
                self._id = thread_id
                self._model = result.get("model")
            case _:
                raise BackendError("codex started a thread without an id")

    def seed(self, history: tuple[Message, ...]) -> Exchange[None]:
        """Inject the history. The app-server keeps the order of calls, so nothing is awaited."""
        if not self._interrupted:
            yield self._inject(history)

    def turn(self, prompt: Prompt) -> Exchange[None]:
        """Send the new messages and read the answer.

        In a chat the messages are injected too: what `turn/start` is given, codex searches for
        names of skills, and it takes no more than 1,048,576 characters.
        """
        if self._interrupted:
            yield Completed(stop_reason="interrupted")
            return
        injected = prompt.new
        given = user_input(injected[-1]) if self._tools and injected else None
        if given is not None:
            injected = injected[:-1]
        if injected:
            yield self._inject(injected)
        self._turn_id = ""
        self._running = True
        parameters = {"threadId": self._id, "input": given or [], **turn_parameters(prompt)}
        yield self._call("turn/start", parameters)
        # An agent asked for JSON writes JSON between its tool calls too: the last one counts.
        yield from self._read(last_only=self._tools and prompt.output is not None)

    def interrupt(self) -> Iterable[Send]:
        """Stop the running turn and the commands it left in the background.

        An empty turn id means the turn that runs, also one that is just being started.
        """
        self._interrupted = True
        self.reusable = False
        if not self._running:
            return
        yield self._request("turn/interrupt", {"threadId": self._id, "turnId": self._turn_id})
        if self._tools:
            yield self._request("thread/backgroundTerminals/clean", {"threadId": self._id})

    def close(self) -> Iterable[Send]:
        """Leave the thread, so that codex unloads it. A turn would run on: it is stopped first."""
        yield from self.interrupt()
        self._peer.forget(self)
        if self._id is not None:
            self._forget(self._id)
            _, send = self._peer.request(None, "thread/unsubscribe", {"threadId": self._id})
            yield send

    def unsolicited(self, message: Json) -> Iterable[Send]:
        """Refuse what is asked between turns and notice the end of a turn nobody reads."""
        match message:
            case {"method": "turn/completed"}:
                self._running = False
            case {"method": str(), "id": _}:
                yield self._refusal(message)

    def _read(self, *, last_only: bool) -> Exchange[None]:
        reader = TurnReader(self._counted, may_compact=self._tools, last_only=last_only)
        while True:
            match (yield RECEIVE):
                case {
                    "method": "item/agentMessage/delta",
                    "params": {"itemId": str(item), "delta": str(piece)},
                }:
                    yield from reader.text(item, piece)
                case {"method": "turn/completed", "params": {"turn": dict(turn)}}:
                    self._running = False
                    self._calls.clear()
                    self._counted = reader.counted
                    yield from reader.end()
                    yield self._ended(turn, reader.usage)
                    return
                case {"method": "turn/started", "params": {"turn": {"id": str(turn_id)}}}:
                    self._turn_id = turn_id
                    yield Opened(self._id, self._model)
                case {"method": str(), "id": _} as request:
                    yield self._refusal(request)
                case {"method": str(method), "params": dict(parameters)}:
                    yield from self._reported(reader, method, parameters)
                case {"id": int(number)} as answer if number in self._calls:
                    self._answered(number, answer)

    def _reported(self, reader: TurnReader, method: str, parameters: Json) -> Exchange[None]:
        try:
            yield from reader.events(method, parameters)
        except ClinvkError:
            self.reusable = False
            raise

    def _answered(self, number: int, answer: Json) -> None:
        self._calls.discard(number)
        try:
            result_of(answer)
        except RpcError as error:
            self.reusable = False
            raise call_error(error) from error

    def _ended(self, turn: Json, usage: Usage) -> Completed:
        match turn:
            case {"status": "completed"}:
                return Completed(usage=usage)
            case {"status": "interrupted"}:
                self.reusable = False
                return Completed(stop_reason="interrupted", usage=usage)
        self.reusable = False
        error = turn.get("error") or {}
        if (reason := cut_short(error)) is not None:
            return Completed(stop_reason=reason, usage=usage)
        raise turn_error(error)

    def _inject(self, messages: tuple[Message, ...]) -> Send:
        return self._call(
            "thread/inject_items", {"threadId": self._id, "items": response_items(messages)}
        )

    def _call(self, method: str, parameters: Json) -> Send:
        """A request whose failure fails the turn."""
        number, send = self._peer.request(self, method, parameters)
        self._calls.add(number)
        return send

    def _request(self, method: str, parameters: Json) -> Send:
        """A request whose answer does not matter."""
        _, send = self._peer.request(self, method, parameters)
        return send

    def _refusal(self, request: Json) -> Send:
        """The answer to a question of codex: never yes.

        What may be done is settled by the thread's approval policy and sandbox; codex asks only
        for more than they allow, and there is nobody to grant it.
        """
        match request["method"]:
            case "item/commandExecution/requestApproval" | "item/fileChange/requestApproval":
                return self._peer.answer(request, {"decision": "decline"})
            case "mcpServer/elicitation/request":
                return self._peer.answer(request, {"action": "decline", "content": None})
            case "item/permissions/requestApproval":
                return self._peer.answer(request, {"permissions": {}, "scope": "turn"})
            case "item/tool/requestUserInput":
                return self._peer.answer(request, {"answers": {}})
            case method:
                return self._peer.refuse(request, METHOD_NOT_FOUND, f"{method} is not offered")
