"""A conversation with codex: one thread of its app-server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from ...errors import BackendError, ClinvkError
from ...events import Completed, Event, Opened, Usage
from ...prompt import Block, Message, Permissions, Prompt, ToolResult
from ..base import (
    APPROVAL_DECIDED,
    RECEIVE,
    Exchange,
    Json,
    Receive,
    Script,
    Send,
    WriteFile,
)
from ..jsonrpc import Peer, RpcError, is_answer, plain_call, result_of
from .errors import call_error, cut_short, start_error, turn_error
from .items import response_items, user_input
from .questions import Questions
from .settings import CATALOG, HostSettings, thread_parameters, turn_parameters
from .tools import (
    ClientCalls,
    NameOf,
    callers_names,
    failure,
    native_names,
    offered,
    settled,
)
from .turn import TurnReader, usage_of

_LIMITED = Receive(within=5.0)
"""Of a response that holds calls: the silence after which it counts as ended."""


class CodexThread(Script):
    """One thread.

    Args:
        peer: our side of the process's connection.
        host: what the user's configuration of codex says.
        private: a directory for this conversation alone; made when it is needed.
        forget: called with the thread's id once it is of no interest any more.
        drop_catalog: called when codex does not take the catalog for chats.
    """

    def __init__(
        self,
        peer: Peer[CodexThread | None],
        host: HostSettings,
        private: Path,
        forget: Callable[[str], None],
        drop_catalog: Callable[[], None],
    ) -> None:
        self._peer = peer
        self._host = host
        self._private = private
        self._forget = forget
        self._drop_catalog = drop_catalog
        self._id: str | None = None
        self._model: str | None = None
        self._tools = False
        self._requests: set[int] = set()
        self._turn_id = ""
        self._running = False
        self._interrupted = False
        self._counted = Usage()
        self._name_of: NameOf = str
        self._offered = False
        self._calls = ClientCalls({})
        self._parked = False
        self._meanwhile: deque[Json] = deque()
        self._questions = Questions(peer, Permissions(), private)

    def bind(self, prompt: Prompt) -> Exchange[None]:
        """Start the thread. Its id has to be known before anything else can be said."""
        self._tools = prompt.permissions.tools
        self._name_of = native_names(prompt)
        self._offered = offered(prompt)
        self._calls = ClientCalls(callers_names(prompt))
        folder = prompt.workdir or self._private
        self._questions = Questions(self._peer, prompt.permissions, folder)
        if self._tools and prompt.workdir is None:
            marker = self._private / "empty"
            yield WriteFile(marker, b"")
            yield WriteFile(marker, None)
        parameters = thread_parameters(prompt, self._host, self._private)
        try:
            result = yield from self._start(parameters)
        except RpcError as error:
            raise start_error(error) from error
        match result:
            case {"thread": {"id": str(thread_id)}}:
                self._id = thread_id
                self._model = result.get("model")
            case _:
                raise BackendError("codex started a thread without an id")

    def _start(self, parameters: Json) -> Exchange[Json]:
        try:
            return (yield from plain_call(self._peer, self, "thread/start", parameters))
        except RpcError:
            if CATALOG not in parameters["config"]:
                raise
        # A version of codex may want more in a catalog than we leave in it.
        config = {key: value for key, value in parameters["config"].items() if key != CATALOG}
        parameters = {**parameters, "config": config}
        result = yield from plain_call(self._peer, self, "thread/start", parameters)
        self._drop_catalog()
        return result

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
        # An agent asked for JSON writes JSON between its tool calls too: the last one counts.
        last_only = self._tools and prompt.output is not None
        if self._parked:
            yield from self._bring_results(prompt)
            yield from self._read(last_only=last_only)
            return
        injected = settled(prompt)
        given = user_input(injected[-1]) if self._tools and injected else None
        if given is not None:
            injected = injected[:-1]
        if injected:
            yield self._inject(injected)
        self._turn_id = ""
        self._running = True
        parameters = {"threadId": self._id, "input": given or [], **turn_parameters(prompt)}
        # A member that any request may have, and older releases ignore (openai/codex#13285).
        trace = {"trace": dict(prompt.trace)} if prompt.trace else {}
        yield self._call("turn/start", parameters, **trace)
        yield from self._read(last_only=last_only)

    def serves(self, prompt: Prompt) -> bool:
        """Tools are offered to a thread, or not, from its start."""
        return offered(prompt) == self._offered

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
        """Refuse what is asked between turns and notice the end of a turn nobody reads.

        While the caller runs tools, codex's own may still be at work: what they tell is kept for
        the next turn.
        """
        match message:
            case {"method": "turn/completed"}:
                self._running = False
                if self._parked:
                    self.reusable = False
            case {"method": "item/tool/call", "id": _} if self._parked:
                self._meanwhile.append(message)
            case {"method": str(), "id": _} if self._parked and self._questions.asks:
                self._meanwhile.append(message)
            case {"method": str(), "id": _}:
                yield self._questions.refusal(message)
            case {"method": "thread/tokenUsage/updated"} if self._parked:
                # A JavaScript interpreter does not wait for long: the model is asked again, now
                # without the results. The exchange has to be seeded anew when they come.
                yield from self.interrupt()
            case {"method": "item/commandExecution/outputDelta"}:
                pass
            case {"method": str()} if self._parked:
                self._meanwhile.append(message)

    def _read(self, *, last_only: bool) -> Exchange[None]:
        reader = TurnReader(self._counted, may_compact=self._tools, last_only=last_only)
        while True:
            match self._meanwhile.popleft() if self._meanwhile else (yield self._wait()):
                case {
                    "method": "item/agentMessage/delta",
                    "params": {"itemId": str(item), "delta": str(piece)},
                }:
                    yield from reader.text(item, piece)
                case {"method": "turn/completed", "params": {"turn": dict(turn)}}:
                    self._running = False
                    self._requests.clear()
                    self._questions.forget()
                    self._counted = reader.counted
                    yield from reader.end()
                    yield self._ended(turn, reader.usage)
                    return
                case {"method": "turn/started", "params": {"turn": {"id": str(turn_id)}}}:
                    self._turn_id = turn_id
                    yield Opened(self._id, self._model)
                case {"method": str(), "id": _} as question:
                    yield from self._asked(reader, question)
                case {"method": method, "params": dict(decision)} if method == APPROVAL_DECIDED:
                    yield from self._questions.decided(decision)
                case {"method": "serverRequest/resolved", "params": dict(notice)}:
                    yield from self._questions.resolved(notice)
                case {"method": str(method), "params": dict(parameters)}:
                    yield from self._reported(reader, method, parameters)
                case {"id": int(number)} as answered if number in self._requests:
                    self._answered(number, answered)
                case None if not self._interrupted:
                    self._calls.response_ended()
            if self._calls.waiting and not self._questions:
                self._parked = True
                self._counted = reader.counted
                yield Completed(stop_reason="tool_use", usage=reader.usage)
                return

    def _wait(self) -> Receive:
        """For the next message. Of a response that breaks off after a call, codex tells nothing
        before it has the call's result: so a silence ends it too, and if it does go on, its other
        calls are told in the next turn."""
        limited = self._calls.unfinished and not self._interrupted
        return _LIMITED if limited else RECEIVE

    def _bring_results(self, prompt: Prompt) -> Exchange[None]:
        """Answer the open questions; what else the caller says goes in before.

        The model is asked as soon as it has all results, and codex takes answers out of turn: a
        text that is still on its way would come a round too late.
        """
        self._parked = False
        results: dict[str, ToolResult] = {}
        said: list[Message] = []
        for message in settled(prompt):
            rest: list[Block] = []
            for block in message.content:
                if isinstance(block, ToolResult):
                    results[block.tool_use_id] = block
                else:
                    rest.append(block)
            if rest:
                said.append(Message(message.role, tuple(rest)))
        if said:
            number, send = self._peer.request(self, *self._injection(tuple(said)))
            yield send
            while not is_answer(answered := (yield RECEIVE), number):
                self._meanwhile.append(answered)
            self._answered(number, answered)
        yield Opened(self._id, self._model)
        for question, brought in self._calls.bring(results):
            yield self._peer.answer(question, brought)

    def _asked(self, reader: TurnReader, question: Json) -> Exchange[None]:
        if question["method"] != "item/tool/call":
            called = reader.called(str(question["params"].get("itemId")))
            yield from self._questions.asked(question, called, interrupted=self._interrupted)
            return
        if (brought := self._calls.brought(question)) is not None:
            yield self._peer.answer(question, brought)
            return
        try:
            yield from self._requested(reader, self._calls.asked(question))
        except ValueError as error:
            yield self._peer.answer(question, failure(str(error)))

    def _requested(self, reader: TurnReader, events: Iterable[Event]) -> Exchange[None]:
        for event in events:
            reader.requested()
            yield event

    def _reported(self, reader: TurnReader, method: str, parameters: Json) -> Exchange[None]:
        try:
            match method, parameters:
                case "rawResponseItem/completed", {"turnId": turn_id, "item": dict(item)}:
                    if turn_id == self._turn_id:  # else it is injected history
                        yield from self._requested(reader, self._calls.called(item))
                case "rawResponse/completed", _:
                    self._calls.response_ended()
                    yield from reader.responded(usage_of(parameters.get("usage") or {}))
                case _:
                    yield from reader.events(method, parameters)
        except ClinvkError:
            self.reusable = False
            raise

    def _answered(self, number: int, answered: Json) -> None:
        self._requests.discard(number)
        try:
            result_of(answered)
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
        return self._call(*self._injection(messages))

    def _injection(self, messages: tuple[Message, ...]) -> tuple[str, Json]:
        items = response_items(messages, self._name_of)
        return "thread/inject_items", {"threadId": self._id, "items": items}

    def _call(self, method: str, parameters: Json, **members: object) -> Send:
        """A request whose failure fails the turn."""
        number, send = self._peer.request(self, method, parameters, **members)
        self._requests.add(number)
        return send

    def _request(self, method: str, parameters: Json) -> Send:
        """A request whose answer does not matter."""
        _, send = self._peer.request(self, method, parameters)
        return send
