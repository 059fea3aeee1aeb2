"""The codex driver: `codex app-server` over its pipes, many conversations in one process.

The protocol is JSON-RPC without the `jsonrpc` member, one object per line, measured with
codex 0.169. A conversation is one of its threads; everything about it is bound when the thread
starts, so all processes of a backend are alike.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ... import __version__
from ...config import Backend
from ...errors import BackendUnavailable
from ...prompt import Prompt
from ..base import (
    Abilities,
    Driver,
    Exchange,
    Json,
    Launch,
    Option,
    RunProgram,
    Send,
    WriteFile,
)
from ..jsonrpc import METHOD_NOT_FOUND, Peer, RpcError, plain_call
from . import catalog
from .errors import LOGIN_HINT, told
from .settings import HostSettings
from .thread import CodexThread

_CONFIG = (
    "check_for_update_on_startup=false",
    "analytics.enabled=false",
    # An unreachable provider would keep a turn waiting for ever.
    "features.unbounded_connection_retries=false",
)

_UNUSED = (
    "account/rateLimits/updated",
    "remoteControl/status/changed",
    "thread/goal/cleared",
    "thread/readState/changed",
    "thread/settings/updated",
    "thread/started",
    "thread/status/changed",
    "turn/diff/updated",
)
"""Notifications nobody here looks at: codex is told not to send them."""

_RAW_ITEM = b'{"method":"rawResponseItem/completed"'
_RAW_CALL = b'"item":{"type":"function_call",'
_RAW_HEAD = 300  # bytes of a line that hold the ids before the item, and its type

_NO_CATALOG = (
    "`codex debug models` told no model catalog: chats may be offered leftover tools of codex, "
    "and its newest models call tools of the caller's one at a time"
)

_REFUSED_CATALOG = (
    "codex does not take the model catalog clinvk makes from its own: chats may be offered "
    "leftover tools of codex, and its newest models call tools of the caller's one at a time"
)

_VERSION = re.compile(r"/(\d+\.\d+\.\d+\S*)")


class CodexDriver(Driver):
    """One `codex app-server` process."""

    abilities = Abilities(
        conversations=32,
        agents=2,
        options={
            "effort": Option(
                kind="choice",
                choices=("minimal", "low", "medium", "high", "xhigh"),
                help="how much the model thinks",
            ),
            "summary": Option(
                kind="choice",
                choices=("auto", "concise", "detailed", "none"),
                help="how much of its thinking is summarised",
            ),
        },
        client_tools=True,
        tool_choice=frozenset({"none"}),
        ignores=frozenset({"max_tokens", "max_turns", "allowed_tools"}),
        honours=frozenset({"effort", "output"}),
    )

    def __init__(self, backend: Backend, scratch: Path) -> None:
        super().__init__(backend, scratch)
        self._peer: Peer[CodexThread | None] = Peer({})
        self._threads: dict[str, CodexThread] = {}
        self._host = HostSettings()
        self._numbers = itertools.count(1)

    @classmethod
    def launch(cls, backend: Backend, prompt: Prompt) -> Launch:
        """The same for every prompt; the backend's own flags come last, so they win."""
        catalog.wanted(backend)  # to refuse wrong quirks when the daemon starts
        settings = [word for setting in _CONFIG for word in ("-c", setting)]
        return Launch(argv=(*backend.command, "app-server", *settings, *backend.extra_flags))

    def start(self) -> Exchange[None]:
        """Initialize, make sure that codex can reach its provider, read the user's settings.

        The catalog for chats is made while the process gets ready.

        Raises:
            BackendUnavailable: nobody is logged in, or codex refuses the handshake.
        """
        models = yield from self._make_catalog()
        try:
            hello = yield from plain_call(
                self._peer,
                None,
                "initialize",
                {
                    "clientInfo": {"name": "clinvk", "title": "clinvk", "version": __version__},
                    "capabilities": {
                        "experimentalApi": True,
                        "requestAttestation": False,
                        "optOutNotificationMethods": list(_UNUSED),
                    },
                },
            )
            yield self._peer.notify("initialized")
            account = yield from plain_call(self._peer, None, "account/read", {})
            settings = yield from plain_call(self._peer, None, "config/read", {})
        except RpcError as error:
            raise BackendUnavailable(
                f"codex refused the handshake: {told(error.message)}"
            ) from error
        if (version := _VERSION.search(str(hello.get("userAgent")))) is not None:
            self.version = version[1]
        if account.get("account") is None and account.get("requiresOpenaiAuth"):
            raise BackendUnavailable(f"codex is not logged in: {LOGIN_HINT}")
        self._host = HostSettings.of(settings.get("config") or {}, models)

    def open(self) -> CodexThread:
        """A new conversation; its thread starts when it is bound."""
        private = self.scratch / "threads" / str(next(self._numbers))
        return CodexThread(self._peer, self._host, private, self._forget, self._drop_catalog)

    def decode(self, line: bytes) -> Json | None:
        """Skips the provider's items but calls: they repeat everything, injected history too."""
        if line.startswith(_RAW_ITEM) and _RAW_CALL not in line[:_RAW_HEAD]:
            return None
        return super().decode(line)

    def route(self, message: Json) -> CodexThread | None:
        """By thread id, or for an answer by who asked."""
        if "method" in message:
            match message.get("params"):
                case {"threadId": str(thread_id)}:
                    return self._threads.get(thread_id)
            return None
        match self._peer.claim(message), message:
            case (CodexThread() as thread, "thread/start"), {
                "result": {"thread": {"id": thread_id}}
            }:
                # Notifications of the thread may follow at once.
                self._threads[thread_id] = thread
                return thread
            case (thread, _), _:
                return thread
        return None

    def unrouted(self, message: Json) -> Iterable[Send]:
        """Refuse what is asked for no conversation; leave a thread whose conversation is gone."""
        match message:
            case {"method": str(method), "id": _}:
                yield self._peer.refuse(message, METHOD_NOT_FOUND, f"{method} is not offered")
            case {"result": {"thread": {"id": str(thread_id)}}}:
                _, send = self._peer.request(None, "thread/unsubscribe", {"threadId": thread_id})
                yield send

    def rehearse(self, message: Json) -> Json | None:
        """The smallest answer to each call, for a turn its end."""
        match message:
            case {"method": "thread/start", "id": number}:
                return {"id": number, "result": {"thread": {"id": "thread"}}}
            case {"method": "turn/start", "params": {"threadId": thread_id}}:
                turn = {"id": "turn", "status": "completed"}
                return {"method": "turn/completed", "params": {"threadId": thread_id, "turn": turn}}
            case {"id": number}:
                return {"id": number, "result": {}}
        return None

    def _make_catalog(self) -> Exchange[Path | None]:
        if not catalog.wanted(self.backend):
            return None
        printed = yield RunProgram(catalog.COMMAND)
        try:
            data = catalog.chat_catalog(printed or b"")
        except ValueError:
            self.warnings = (_NO_CATALOG,)
            return None
        path = self.scratch / "models.json"
        yield WriteFile(path, data)
        return path

    def _drop_catalog(self) -> None:
        self._host = replace(self._host, catalog=None)
        self.warnings = (_REFUSED_CATALOG,)

    def _forget(self, thread_id: str) -> None:
        self._threads.pop(thread_id, None)
