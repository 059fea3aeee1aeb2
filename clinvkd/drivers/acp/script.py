"""One conversation with an ACP agent."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BackendError, ClinvkError
from ...events import Completed, Opened, Progress, Usage
from ...prompt import Message, Prompt, ToolResult
from ..base import (
    APPROVAL_DECIDED,
    RECEIVE,
    TOOL_CALLED,
    TOOL_WITHDRAWN,
    AnswerTool,
    Exchange,
    Json,
    Script,
    Send,
    ServeTools,
    WriteFile,
)
from ..jsonrpc import RpcError, is_answer, result_of
from . import gemini
from .answers import completion, failure, model_failure
from .choosing import Setting, mode_of, mode_setting, model_setting
from .client_tools import ClientTools, after_results, offers_tools, renamed, requests, servers
from .content import flattened, form_block, prompt_blocks
from .extension import calls_of, prompt_meta, session_members
from .launch import RETRY_NOTICE
from .listening import Listener, Repetition
from .openings import Opening
from .questions import Questions

if TYPE_CHECKING:
    from .driver import AcpDriver


class AcpScript(Script):
    """A conversation; it becomes an ACP session with its first turn.

    ACP binds the workdir, and embedded agents the system prompt and the history too, in the one
    request that opens the session. So `seed` remembers, and the first turn opens.

    Attributes:
        opening_number: id of the request that opens its session; 0 until that was sent.
    """

    def __init__(self, driver: AcpDriver) -> None:
        self._driver = driver
        self._name = driver.backend.name
        self._history: tuple[Message, ...] = ()
        self._session: str | None = None
        self._settings: dict[int, str | None] = {}
        self._generation: Json = {}
        self._prefix: tuple[str | None, tuple[Message, ...]] | None = None
        self._repetition = Repetition([], frozenset())
        self._cost = 0.0
        self._cancelled = False
        self._listener: Listener | None = None
        self._number = 0
        self._tools = ClientTools()
        self._servers: list[Json] = []
        self._early: list[Json] = []
        self._questions = Questions(driver.peer)
        self._folder: Path | None = None
        self.opening_number = 0

    def bind(self, prompt: Prompt) -> Exchange[None]:
        """Nothing yet: all of it is bound when the session is opened."""
        yield from ()

    def seed(self, history: tuple[Message, ...]) -> Exchange[None]:
        """Remember the history until the session is opened."""
        self._history = history
        yield from ()

    def turn(self, prompt: Prompt) -> Exchange[None]:
        """Open the session when there is none, prompt, and listen.

        When the agent waits for results of the caller's tools, it is given them instead.
        """
        if self._listener is not None:
            self._listener.go_on()
            yield Opened(self._session, prompt.model)
            for call, result in self._tools.results(prompt.new):
                yield AnswerTool(call, result)
        else:
            self._driver.check(prompt)
            new = prompt.new
            if self._session is None:
                new = yield from self._open(prompt)
            if self._cancelled:
                yield Completed("interrupted")
                return
            yield from self._ask(prompt, new)
        yield from self._listen(self._listener)

    def serves(self, prompt: Prompt) -> bool:
        """What only a new session can take: other settings of gemini's, tools not to be called,
        and words of the user's where the agent waits for results of tools alone."""
        quirks = self._driver.quirks
        if quirks.client_tools == "mcp" and offers_tools(prompt) != bool(self._tools.tools):
            return False
        if self._listener is not None and not all(
            isinstance(block, ToolResult) for message in prompt.new for block in message.content
        ):
            return False
        if quirks.history != "gemini-chat":
            return True
        return gemini.generation(prompt) == self._generation

    def interrupt(self) -> Iterable[Send]:
        """Cancel the prompt. One still waiting to be sent is then not sent at all."""
        self._cancelled = True
        self.reusable = False
        if self._listener is not None:
            yield self._driver.peer.notify("session/cancel", {"sessionId": self._session})
            yield from self._questions.cancel()

    def close(self) -> Iterable[Send]:
        """Close the session where the agent can, else only stop listening to it."""
        driver, session = self._driver, self._session
        driver.release(self, session)
        if session is None:
            return
        if not self._cancelled:
            yield from self.interrupt()
        match driver.capabilities:
            case {"sessionCapabilities": {"close": dict()}}:
                _, send = driver.peer.request(None, "session/close", {"sessionId": session})
                yield send

    def unsolicited(self, message: Json) -> Iterable[Send]:
        """Keep what an agent tells that waits for results; refuse what others ask.

        One that goes on without the results is stopped, and not continued.
        """
        driver, listener = self._driver, self._listener
        match message:
            case {"method": method, "params": dict(params)} if method == TOOL_WITHDRAWN:
                if self._tools.withdrawn(params):
                    yield from self.interrupt()
            case {"method": method, "params": dict(params)} if method == TOOL_CALLED:
                self._tools.called(params)
            case {"method": "session/update"} if listener is not None:
                self._early.append(message)
            case {"method": "session/request_permission", "id": _} if listener is not None:
                yield from self._questions.between_turns(listener, message, self._early)
            case {"id": _, "method": _}:
                yield driver.refused(message)
            case {"id": int(number)} if number in driver.openings:
                yield from driver.opened_in_vain(message)
            case {"id": int(number)} if number == self._number and listener is not None:
                self._listener = None
                self.reusable = False

    # Opening.

    def _open(self, prompt: Prompt) -> Exchange[tuple[Message, ...]]:
        """Open the session; returns the messages that are to be said in it."""
        quirks = self._driver.quirks
        history, new = self._history, prompt.new
        if quirks.history != "extension":
            history, new = after_results(history, new)
        if quirks.client_tools == "mcp" and offers_tools(prompt):
            yield from self._serve_tools(prompt)
        match quirks.history:
            case "extension":
                native = quirks.client_tools == "extension"
                extension = session_members(prompt.system, history, native)
                offered = yield from self._new(prompt, {"_meta": {"clinvk": extension}})
            case "gemini-chat":
                offered = yield from self._open_gemini(prompt, history)
            case _:
                system = prompt.system if quirks.launcher == "plain" else None
                if history or system:
                    self._prefix = (system, history)
                offered = yield from self._spare_or_new(prompt)
        yield from self._choose(prompt, offered)
        return new

    def _serve_tools(self, prompt: Prompt) -> Exchange[None]:
        quirks = self._driver.quirks
        self._tools = ClientTools(
            prompt.tools,
            announces=quirks.announces_tools,
            in_series="parallel" in quirks.tool_choice,
            parses=quirks.parses_results,
        )
        place = yield ServeTools(self._tools.definitions)
        self._servers = servers(place)
        if quirks.shares_servers:
            self._folder = self._driver.scratch / "chats" / uuid.uuid4().hex
            yield WriteFile(self._folder / ".keep", b"")

    def _open_gemini(self, prompt: Prompt, history: tuple[Message, ...]) -> Exchange[Json]:
        scratch = self._driver.scratch
        generation = self._generation = gemini.generation(prompt)
        if prompt.workdir is not None:
            yield WriteFile(*gemini.project_marker(scratch, prompt.workdir))
            if prompt.options:
                yield Progress("ignored", ", ".join(name for name, _ in prompt.options))
        elif (generation or self._servers) and not history:
            folder = scratch / "chats" / uuid.uuid4().hex
            settings = gemini.conversation_settings(prompt, self._servers)
            yield WriteFile(folder / ".gemini" / "settings.json", settings)
            return (yield from self._new(prompt, {"cwd": str(folder), "mcpServers": []}))
        if history:
            offered = yield from self._load(prompt, history)
            if offered is not None:
                return offered
            self._prefix = (None, history)
        return (yield from self._spare_or_new(prompt))

    def _spare_or_new(self, prompt: Prompt) -> Exchange[Json]:
        plain = prompt.workdir is None and not self._servers
        if plain and (spare := self._driver.take_spare()) is not None:
            session, offered = spare
            self._adopt(session)
            return offered
        return (yield from self._new(prompt, {}))

    def _new(self, prompt: Prompt, changes: Json) -> Exchange[Json]:
        opening = Opening("session/new", {**self._place(prompt), **changes})
        offered = yield from self._opened(opening)
        match offered:
            case {"sessionId": str(session)}:
                self._adopt(session)
                return offered
            case _:
                raise BackendError(f"backend {self._name!r} opened a session without an id")

    def _load(self, prompt: Prompt, history: tuple[Message, ...]) -> Exchange[Json | None]:
        """Open a session that holds `history`; None when this gemini did not read the file."""
        driver = self._driver
        session = str(uuid.uuid4())
        workdir = prompt.workdir or driver.plain_folder
        if self._tools.tools:
            history = tuple(renamed(history, self._tools.tools, gemini.SHOWN_TOOL))
        yield WriteFile(*gemini.chat_file(driver.scratch, workdir, session, history))
        self._repetition = Repetition(*gemini.repeated(history))
        # Registered before it is answered, since the history is repeated before and after that.
        self._adopt(session)
        opening = Opening("session/load", {"sessionId": session, **self._place(prompt)})
        try:
            offered = yield from self._opened(opening)
        except ClinvkError:
            offered = {}
        if offered and self._repetition.seen:
            return offered
        driver.release(self, session)
        self._session = None
        return None

    def _opened(self, opening: Opening) -> Exchange[Json]:
        driver = self._driver
        self.opening_number = 0
        yield from driver.openings.request(self, opening)
        while True:
            message: Json = yield RECEIVE
            match message:
                case {"params": {"update": dict(update)}}:
                    self._repetition.holds(update)
                case {"id": _, "method": _}:
                    yield driver.refused(message)
                case _ if self.opening_number and is_answer(message, self.opening_number):
                    break
        _, sends = driver.openings.answered(self.opening_number)
        yield from sends
        try:
            return result_of(message)
        except RpcError as error:
            raise failure(error, self._name, driver.quirks.login) from error

    def _place(self, prompt: Prompt) -> Json:
        place = self._folder or prompt.workdir or self._driver.plain_folder
        return {"cwd": str(place), "mcpServers": self._servers}

    def _adopt(self, session: str) -> None:
        self._session = session
        self._driver.register(session, self)

    def _choose(self, prompt: Prompt, offered: Json) -> Exchange[None]:
        """Set model and mode without waiting: agents serve requests in their order."""
        quirks = self._driver.quirks
        if prompt.model is not None:
            setting = model_setting(offered, prompt.model, quirks.any_model, self._name)
            if setting is not None:
                yield self._set(setting, prompt.model)
        mode = mode_of(quirks, prompt.permissions)
        if mode and (setting := mode_setting(offered, mode)) is not None:
            yield self._set(setting, None)

    def _set(self, setting: Setting, model: str | None) -> Send:
        params = {"sessionId": self._session, **setting.params}
        number, send = self._driver.peer.request(self, setting.method, params)
        self._settings[number] = model
        return send

    # Listening.

    def _ask(self, prompt: Prompt, new: tuple[Message, ...]) -> Exchange[None]:
        driver = self._driver
        quirks = driver.quirks
        native = quirks.client_tools == "extension"
        blocks = prompt_blocks(new, quirks.guarded, native)
        if self._prefix is not None:
            blocks = flattened(*self._prefix, blocks)
            self._prefix = None
        if prompt.output is not None and not driver.takes_form(prompt):
            blocks.append(form_block(prompt.output))
        params: Json = {"sessionId": self._session, "prompt": blocks}
        if meta := prompt_meta(prompt, extended=quirks.history == "extension"):
            params["_meta"] = meta
        workdir = prompt.workdir or driver.plain_folder
        self._listener = Listener(quirks, prompt.permissions, workdir, self._tools)
        self._listener.cost_usd = self._cost
        self._number, send = driver.peer.request(self, "session/prompt", params)
        yield send
        yield Opened(self._session, prompt.model)

    def _listen(self, listener: Listener | None) -> Exchange[None]:
        """Tell what the agent answers, to its end or until it waits for the caller."""
        assert listener is not None
        early, self._early = self._early, []
        for message in early:
            yield from self._heard(message, listener)
        while self._cancelled or self._questions or not (calls := self._tools.due()):
            message = yield RECEIVE
            if is_answer(message, self._number):
                self._listener = None
                yield from self._driver.refill()
                yield from self._ended(message, listener)
                return
            yield from self._heard(message, listener)
        yield from requests(calls)
        usage, listener.usage = listener.usage, Usage()
        yield Completed("tool_use", usage)

    def _heard(self, message: Json, listener: Listener) -> Exchange[None]:
        """One message of the agent's while it answers."""
        driver = self._driver
        match message:
            case {"method": "session/update", "params": {"update": dict(update)}}:
                if not self._cancelled and not self._repetition.holds(update):
                    yield from listener.update(update)
            case {"method": "session/request_permission", "id": _}:
                yield from self._questions.asked(listener, message, cancelled=self._cancelled)
            case {"method": method, "params": dict(decision)} if method == APPROVAL_DECIDED:
                yield from self._questions.decided(decision)
            case {"id": _, "method": _}:
                yield driver.refused(message)
            case {"method": method, "params": dict(params)} if method == TOOL_CALLED:
                self._tools.called(params)
                listener.active = True
            case {"method": method, "params": dict(params)} if method == TOOL_WITHDRAWN:
                self._tools.withdrawn(params)
            case {"method": method, "params": {"message": str(text)}} if (
                method == RETRY_NOTICE and not self._cancelled
            ):
                # It would start its answer anew: the caller must not see a text twice.
                raise failure(RpcError(0, text), self._name, driver.quirks.login)
            case {"id": int(answered)} if answered in self._settings:
                self._check_setting(message, self._settings.pop(answered))

    def _ended(self, message: Json, listener: Listener) -> Exchange[None]:
        """The prompt was answered; calls may end it where the agent has our extension."""
        completed = self._completed(message, listener)
        calls = [] if self._cancelled else calls_of(result_of(message))
        yield from requests(calls)
        yield replace(completed, stop_reason="tool_use") if calls else completed

    def _completed(self, message: Json, listener: Listener) -> Completed:
        """How the turn ended. Raises what the agent's error, or its empty answer, stands for."""
        if self._cancelled:
            return Completed("interrupted")
        driver = self._driver
        # An embedded agent may have nothing to say; another's model failed.
        active = listener.active or driver.quirks.history == "extension"
        try:
            completed = completion(result_of(message), listener.usage, active, self._name)
        except RpcError as error:
            raise failure(error, self._name, driver.quirks.login) from error
        # Agents tell the cost of the session so far.
        cost, self._cost = listener.cost_usd - self._cost, listener.cost_usd
        return replace(completed, cost_usd=cost if cost > 0 else None)

    def _check_setting(self, message: Json, model: str | None) -> None:
        """Raise when the model could not be set. Without its mode an agent asks, and we answer."""
        try:
            result_of(message)
        except RpcError as error:
            if model is not None:
                raise model_failure(error, self._name, model) from error
