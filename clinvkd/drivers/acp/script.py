"""One conversation with an ACP agent."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...errors import BackendError, BackendRefused, ClinvkError
from ...events import Completed, Opened, Progress
from ...prompt import Image, Message, Prompt
from ..base import RECEIVE, Exchange, Json, Script, Send, WriteFile
from ..jsonrpc import RpcError, is_answer, result_of
from . import gemini
from .answers import STOP_REASONS, failure, model_failure, usage_of
from .choosing import Setting, mode_setting, model_setting
from .content import content_blocks, flattened, prompt_blocks
from .launch import RETRY_NOTICE
from .listening import Listener, Repetition
from .openings import Opening

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
        self._running = False
        self.opening_number = 0

    def bind(self, prompt: Prompt) -> Exchange[None]:
        """Nothing yet: all of it is bound when the session is opened."""
        yield from ()

    def seed(self, history: tuple[Message, ...]) -> Exchange[None]:
        """Remember the history until the session is opened."""
        self._history = history
        yield from ()

    def turn(self, prompt: Prompt) -> Exchange[None]:
        """Open the session when there is none, prompt, and listen."""
        driver = self._driver
        self._check_images(prompt)
        if self._session is None:
            yield from self._open(prompt, self._history)
        if self._cancelled:
            yield Completed("interrupted")
            return
        blocks = prompt_blocks(prompt.new, driver.quirks.guarded)
        if self._prefix is not None:
            blocks = flattened(*self._prefix, blocks)
            self._prefix = None
        params: Json = {"sessionId": self._session, "prompt": blocks}
        if driver.quirks.history == "extension":
            params["_meta"] = {"clinvk": {"options": _generation_options(prompt)}}
        number, send = driver.peer.request(self, "session/prompt", params)
        self._running = True
        yield send
        yield Opened(self._session, prompt.model)
        yield from self._listen(number, prompt)

    def serves(self, prompt: Prompt) -> bool:
        """Gemini reads generation settings only when it opens a session."""
        if self._driver.quirks.history != "gemini-chat":
            return True
        return gemini.generation(prompt) == self._generation

    def interrupt(self) -> Iterable[Send]:
        """Cancel the prompt. One still waiting to be sent is then not sent at all."""
        self._cancelled = True
        self.reusable = False
        if self._running:
            yield self._driver.peer.notify("session/cancel", {"sessionId": self._session})

    def close(self) -> Iterable[Send]:
        """Close the session where the agent can, else only stop listening to it."""
        driver = self._driver
        session = self._session
        driver.release(self, session)
        if session is None:
            return
        if self._running and not self._cancelled:
            yield driver.peer.notify("session/cancel", {"sessionId": session})
        match driver.capabilities:
            case {"sessionCapabilities": {"close": dict()}}:
                _, send = driver.peer.request(None, "session/close", {"sessionId": session})
                yield send

    def unsolicited(self, message: Json) -> Iterable[Send]:
        """Refuse what the agent asks between turns; note a session that opened too late."""
        match message:
            case {"id": _, "method": _}:
                yield self._driver.refused(message)
            case {"id": int(number)} if number in self._driver.openings:
                yield from self._driver.opened_in_vain(message)

    # Opening.

    def _open(self, prompt: Prompt, history: tuple[Message, ...]) -> Exchange[None]:
        quirks = self._driver.quirks
        match quirks.history:
            case "extension":
                extension = _extension(prompt.system, history)
                offered = yield from self._new(prompt, {"_meta": {"clinvk": extension}})
            case "gemini-chat":
                offered = yield from self._open_gemini(prompt, history)
            case _:
                system = prompt.system if quirks.launcher == "plain" else None
                if history or system:
                    self._prefix = (system, history)
                offered = yield from self._spare_or_new(prompt)
        yield from self._choose(prompt, offered)

    def _open_gemini(self, prompt: Prompt, history: tuple[Message, ...]) -> Exchange[Json]:
        scratch = self._driver.scratch
        generation = gemini.generation(prompt)
        if prompt.workdir is not None:
            yield WriteFile(*gemini.project_marker(scratch, prompt.workdir))
            if prompt.options:
                yield Progress("ignored", ", ".join(name for name, _ in prompt.options))
        elif generation:
            self._generation = generation
            self._prefix = (None, history) if history else None
            folder = scratch / "chats" / uuid.uuid4().hex
            settings = gemini.generation_settings(prompt)
            yield WriteFile(folder / ".gemini" / "settings.json", settings)
            return (yield from self._new(prompt, {"cwd": str(folder)}))
        if history:
            offered = yield from self._load(prompt, history)
            if offered is not None:
                return offered
            self._prefix = (None, history)
        return (yield from self._spare_or_new(prompt))

    def _spare_or_new(self, prompt: Prompt) -> Exchange[Json]:
        if prompt.workdir is None and (spare := self._driver.take_spare()) is not None:
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
        return {"cwd": str(prompt.workdir or self._driver.plain_folder), "mcpServers": []}

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
        tools = prompt.permissions.tools
        mode = quirks.modes.get(prompt.permissions.approval, "") if tools else quirks.chat_mode
        if mode and (setting := mode_setting(offered, mode)) is not None:
            yield self._set(setting, None)

    def _set(self, setting: Setting, model: str | None) -> Send:
        params = {"sessionId": self._session, **setting.params}
        number, send = self._driver.peer.request(self, setting.method, params)
        self._settings[number] = model
        return send

    # Listening.

    def _listen(self, number: int, prompt: Prompt) -> Exchange[None]:
        driver = self._driver
        repetition = self._repetition
        workdir = prompt.workdir or driver.plain_folder
        listener = Listener(driver.quirks, prompt.permissions, workdir)
        listener.cost_usd = self._cost
        while True:
            message: Json = yield RECEIVE
            match message:
                case {"method": "session/update", "params": {"update": dict(update)}}:
                    if not self._cancelled and not repetition.holds(update):
                        yield from listener.update(update)
                case {"method": "session/request_permission", "id": _, "params": dict(question)}:
                    result, events = listener.permit(question)
                    yield driver.peer.answer(message, result)
                    yield from events
                case {"id": _, "method": _}:
                    yield driver.refused(message)
                case {"method": str(method), "params": {"message": str(text)}} if (
                    method == RETRY_NOTICE and not self._cancelled
                ):
                    # It would start its answer anew: the caller must not see a text twice.
                    raise failure(RpcError(0, text), self._name, driver.quirks.login)
                case {"id": int(answered)} if answered == number:
                    break
                case {"id": int(answered)} if answered in self._settings:
                    self._check_setting(message, self._settings.pop(answered))
        self._running = False
        yield from driver.refill()
        yield self._completed(message, listener)

    def _completed(self, message: Json, listener: Listener) -> Completed:
        """How the turn ended. Raises what the agent's error, or its empty answer, stands for."""
        if self._cancelled:
            return Completed("interrupted")
        try:
            result = result_of(message)
        except RpcError as error:
            raise failure(error, self._name, self._driver.quirks.login) from error
        usage = usage_of(result) or listener.usage
        told = result.get("stopReason")
        reason = STOP_REASONS.get(str(told))
        if reason is None:
            raise BackendError(f"backend {self._name!r} ended the turn by itself ({told})")
        match result:
            case {"_meta": {"clinvk": {"stopSequence": str(stopped_by)}}}:
                return Completed("stop_sequence", usage, stop_sequence=stopped_by)
        if reason == "end_turn" and not listener.active and not usage.output_tokens:
            raise BackendError(
                f"backend {self._name!r} ended the turn with neither text nor tokens: "
                "its model gave no answer"
            )
        # Agents tell the cost of the session so far.
        cost, self._cost = listener.cost_usd - self._cost, listener.cost_usd
        return Completed(reason, usage, cost if cost > 0 else None)

    def _check_setting(self, message: Json, model: str | None) -> None:
        """Raise when the model could not be set. Without its mode an agent asks, and we answer."""
        try:
            result_of(message)
        except RpcError as error:
            if model is not None:
                raise model_failure(error, self._name, model) from error

    def _check_images(self, prompt: Prompt) -> None:
        match self._driver.capabilities:
            case {"promptCapabilities": {"image": True}}:
                return
        if any(isinstance(block, Image) for message in prompt.new for block in message.content):
            raise BackendRefused(f"backend {self._name!r} takes no images", param="messages")


def _generation_options(prompt: Prompt) -> Json:
    """``_meta.clinvk.options`` of the embedded agents."""
    sampling = prompt.sampling
    options: Json = {
        "max_tokens": prompt.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "schema": None if prompt.output is None else prompt.output.schema,
    }
    return {name: value for name, value in options.items() if value is not None}


def _extension(system: str | None, history: tuple[Message, ...]) -> Json:
    members: Json = {
        "history": [
            {"role": message.role, "content": content_blocks(message.content)}
            for message in history
        ]
    }
    if system is not None:
        members["system"] = system
    return members
