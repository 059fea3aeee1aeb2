"""The agent side of the Agent Client Protocol, version 1, as far as the embedded agents need it.

Served: ``initialize``, ``authenticate`` (nothing to do), ``session/new``, ``session/prompt``,
``session/cancel``, ``session/close``, ``session/set_mode`` (ignored) and ``session/set_model``.

Three extensions, all under ``_meta.clinvk`` and advertised in ``agentCapabilities._meta.clinvk``:

- ``session/new`` takes ``system`` (a string) and ``history`` (messages with ``role`` and ACP
  ``content``), so that a conversation that began elsewhere goes on natively;
- ``session/prompt`` takes ``options``: ``max_tokens``, ``temperature``, ``top_p``, ``top_k``,
  ``seed``, ``stop`` and ``schema`` (a JSON Schema that the answer obeys); its answer says in
  ``stopSequence`` which stop string ended it, where that is known;
- ``session/prompt`` takes the client's ``tools`` (with ``name``, ``description`` and
  ``inputSchema``) and ``toolChoice`` (``mode``, ``name``, ``parallel``), if the agent can call
  any; its answer then may hold ``toolCalls`` (with ``id``, ``name`` and ``input``). Messages hold
  calls as blocks of the type ``tool_use`` and results as blocks of the type ``tool_result``
  (with ``toolUseId``, ``content`` and ``isError``).

A turn that is cancelled or fails leaves no trace in its session.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from .. import __version__
from . import parameters as read
from .conversation import Agent, Outcome, Session, Turn, Usage
from .jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Notification,
    Peer,
    Request,
    RequestError,
    RequestId,
)

_logger = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
RESOURCE_NOT_FOUND = -32002
"""The protocol's own error code; here it means an unknown session."""


def serve(agent: Agent, *, input_descriptor: int = 0, output_descriptor: int = 1) -> None:
    """Serve one client until its end of the input closes, then return.

    SIGTERM keeps its default action: an embedded agent has nothing to save.
    """
    asyncio.run(_serve(agent, input_descriptor, output_descriptor))


async def _serve(agent: Agent, input_descriptor: int, output_descriptor: int) -> None:
    try:
        peer = await Peer.connect(input_descriptor, output_descriptor)
    except ValueError as error:
        sys.exit(f"standard input and output must be pipes, sockets or terminals: {error}")
    async with asyncio.TaskGroup() as turns:
        service = _Service(agent, peer, turns)
        await peer.listen(service.receive)
        service.cancel_all()


class _Service:
    """Dispatches what one client sends, and keeps its sessions."""

    def __init__(self, agent: Agent, peer: Peer, turns: asyncio.TaskGroup) -> None:
        self._agent = agent
        self._peer = peer
        self._turns = turns
        self._sessions: dict[str, Session] = {}

    def receive(self, message: Request | Notification) -> None:
        """Serve one message. Prompts go on in a task of their own; all else is done at once."""
        match message:
            case Notification("session/cancel", parameters):
                self._cancel(parameters)
            case Notification():
                pass
            case Request(request_id, method, parameters):
                try:
                    result = self._request(request_id, method, parameters)
                except RequestError as error:
                    self._peer.fail(request_id, error)
                else:
                    if result is not None:
                        self._peer.reply(request_id, result)

    def cancel_all(self) -> None:
        """Cancel every running turn."""
        for session in self._sessions.values():
            if session.turn is not None:
                session.turn.cancel()

    def _request(
        self, request_id: RequestId, method: str, parameters: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The result of a request, or ``None`` when it is answered later."""
        match method:
            case "initialize":
                return self._initialize()
            case "authenticate":
                return {}
            case "session/new":
                return self._new(parameters)
            case "session/prompt":
                self._prompt(request_id, parameters)
                return None
            case "session/close":
                return self._close(parameters)
            case "session/set_mode":
                self._session(parameters)
                return {}
            case "session/set_model":
                session = self._session(parameters)
                self._agent.choose_model(session, read.text(parameters, "modelId"))
                return {}
            case _:
                raise RequestError(METHOD_NOT_FOUND, f"unknown method {method}")

    def _initialize(self) -> dict[str, Any]:
        agent = self._agent
        return {
            "protocolVersion": PROTOCOL_VERSION,
            "agentInfo": {"name": agent.name, "title": agent.title, "version": __version__},
            "authMethods": [],
            "agentCapabilities": {
                "loadSession": False,
                "promptCapabilities": {
                    "image": agent.images,
                    "audio": False,
                    "embeddedContext": False,
                },
                "mcpCapabilities": {"http": False, "sse": False},
                "sessionCapabilities": {"close": {}},
                "_meta": {
                    "clinvk": {
                        "history": True,
                        "system": True,
                        "tools": agent.tools,
                        "options": list(agent.options),
                    }
                },
            },
        }

    def _new(self, parameters: dict[str, Any]) -> dict[str, Any]:
        cwd = read.text(parameters, "cwd")
        if not PurePath(cwd).is_absolute():
            raise RequestError(INVALID_PARAMS, f"cwd must be an absolute path, not {cwd!r}")
        extension = read.extension(parameters)
        # Random, so that an id from before a restart is never taken for a session of today.
        session = Session(
            id=f"{self._agent.name}-{os.urandom(12).hex()}",
            cwd=cwd,
            system=read.system(extension),
            history=read.history(extension),
            model=self._agent.models[0],
        )
        session.tool_calls = sum(
            block["type"] == "tool_use" for message in session.history for block in message.content
        )
        self._sessions[session.id] = session
        return {
            "sessionId": session.id,
            "models": {
                "availableModels": [
                    {"modelId": model, "name": model} for model in self._agent.models
                ],
                "currentModelId": session.model,
            },
        }

    def _session(self, parameters: dict[str, Any]) -> Session:
        session_id = read.text(parameters, "sessionId")
        session = self._sessions.get(session_id)
        if session is None:
            raise RequestError(RESOURCE_NOT_FOUND, f"no session {session_id!r}")
        return session

    def _prompt(self, request_id: RequestId, parameters: dict[str, Any]) -> None:
        session = self._session(parameters)
        if session.turn is not None:
            raise RequestError(INVALID_REQUEST, f"session {session.id} is busy with another prompt")
        prompt = read.content(parameters.get("prompt"), "prompt")
        if not prompt:
            raise RequestError(INVALID_PARAMS, "prompt must not be empty")
        extension = read.extension(parameters)
        tools = read.tools(extension)
        if tools and not self._agent.tools:
            raise RequestError(INVALID_PARAMS, f"{self._agent.name} cannot call tools")
        options, choice = read.options(extension), read.tool_choice(extension)
        turn = Turn(self._peer, session, prompt, options, tools, choice)
        session.turn = task = self._turns.create_task(self._play(turn))
        # A callback, because a task cancelled before its first step never runs any of its code.
        task.add_done_callback(lambda done: self._finish(request_id, turn, done))

    async def _play(self, turn: Turn) -> Outcome | RequestError:
        """One turn; failures are values, since one must not end the task group of them all."""
        try:
            return await self._agent.answer(turn)
        except RequestError as error:
            return error
        except Exception as error:
            _logger.exception("turn failed")
            return RequestError(INTERNAL_ERROR, f"{type(error).__name__}: {error}")

    def _finish(
        self, request_id: RequestId, turn: Turn, task: asyncio.Task[Outcome | RequestError]
    ) -> None:
        turn.session.turn = None
        if task.cancelled():
            self._peer.reply(request_id, {"stopReason": "cancelled"})
            return
        match task.result():
            case RequestError() as error:
                self._peer.fail(request_id, error)
            case Outcome() as outcome:
                turn.session.history += (turn.prompt, turn.message(outcome.calls))
                self._peer.reply(request_id, _prompt_result(outcome))

    def _cancel(self, parameters: dict[str, Any]) -> None:
        match parameters.get("sessionId"):
            case str(session_id) if session_id in self._sessions:
                turn = self._sessions[session_id].turn
                if turn is not None:
                    turn.cancel()

    def _close(self, parameters: dict[str, Any]) -> dict[str, Any]:
        session = self._session(parameters)
        if session.turn is not None:
            session.turn.cancel()
        del self._sessions[session.id]
        return {}


def _prompt_result(outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = {
        "stopReason": outcome.stop_reason,
        "usage": _usage(outcome.usage),
    }
    if outcome.stop_sequence is not None:
        result["_meta"] = {"clinvk": {"stopSequence": outcome.stop_sequence}}
    elif outcome.calls:
        result["_meta"] = {"clinvk": {"toolCalls": [asdict(call) for call in outcome.calls]}}
    return result


def _usage(usage: Usage) -> dict[str, int]:
    members = {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens + (usage.thought_tokens or 0),
    }
    if usage.cached_read_tokens is not None:
        members["cachedReadTokens"] = usage.cached_read_tokens
    if usage.thought_tokens is not None:
        members["thoughtTokens"] = usage.thought_tokens
    return members
