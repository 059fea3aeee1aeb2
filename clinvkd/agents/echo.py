"""The echo agent: ``python -m clinvkd.agents.echo``. Answers every prompt with its own text.

It is deterministic: the same prompt in the same session state gives the same chunks, reason and
usage. The text blocks of the prompt, joined by newlines, come back in word-sized chunks whose
concatenation is that text exactly; a text over 100,000 characters comes back in chunks of about
1,000 characters. Usage counts words: input is system prompt, history and prompt; output is the
answer. ``max_tokens`` counts chunks; ``stop`` cuts the answer before the first stop string. With a
``schema`` the answer is JSON whatever the schema says: the text itself when it is JSON, otherwise
``{"echo": text}``.

Directives in double square brackets anywhere in the prompt are taken out of the text and obeyed:

=====================  ===========================================================================
``[[slow SECONDS]]``   pause between chunks
``[[silent SECONDS]]`` silence before the first chunk of the answer
``[[long N]]``         the answer is N chunks of one word: the text's words over and over, or
                       ``word1 word2 ...`` without any
``[[think TEXT]]``     word-sized thought chunks come first
``[[tool NAME JSON]]`` a tool call with these arguments (or ``{}``) and its completion, whose result
                       is the arguments
``[[call NAME JSON]]`` the answer ends with a call of the client's tool NAME with these arguments
                       (or ``{}``); the texts of results are part of the next prompt's text
``[[ask TOOL]]``       asks for permission to use TOOL; the answer begins with the line
                       ``TOOL allowed``, ``TOOL rejected`` or ``TOOL cancelled``
``[[fail MESSAGE]]``   the prompt fails with this JSON-RPC error, after the text if there is any
``[[exit CODE]]``      the process exits with this status, after the text if there is any
``[[history]]``        the answer is JSON: ``{"system": ..., "history": [{"role", "content"}]}`` as
                       held before this prompt
``[[options]]``        the answer is the options received, as JSON
``[[model]]``          the answer is the name of the session's model
``[[env]]``            the answer is the sorted names of the environment variables, as JSON
``[[cwd]]``            the answer is the working directory of the session
``[[image]]``          the answer is JSON: ``[{"mediaType", "bytes", "sha256"}]``, one per image
=====================  ===========================================================================

Order within a turn: thoughts, tool calls, questions, silence, text, failure or exit, calls. Of
several ``slow``, ``silent``, ``long``, ``fail`` or ``exit`` the last counts, ``fail`` before
``exit``; ``think``, ``tool``, ``ask`` and ``call`` may be repeated; several answers are joined by
newlines, and no option changes them. A wrong argument fails the prompt with -32602 before anything
is said; so does a call of a tool that is not offered. Where the client demands a call and no
directive makes one, the named tool, or the first, is called with ``{}``.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .acp import serve
from .conversation import Agent, Message, Options, Outcome, Session, ToolCall, Turn, Usage
from .directives import Directives, ToolUse, parse
from .jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, RequestError

LARGE_TEXT = 100_000
LARGE_CHUNK = 1_000

# The bound keeps one enormous word from becoming one enormous line.
_WORD = re.compile(rf"\S{{1,{LARGE_CHUNK}}}\s{{0,{LARGE_CHUNK}}}|\s{{1,{LARGE_CHUNK}}}")
_encode = json.JSONEncoder(separators=(",", ":")).encode


class EchoAgent(Agent):
    """Repeats what it is told, and does what the directives in it say."""

    name = "echo"
    title = "Echo"
    images = True
    tools = True
    options = ("max_tokens", "stop", "schema")
    models = ("echo",)

    def choose_model(self, session: Session, model: str) -> None:
        """Any name will do; ``[[model]]`` tells it again."""
        session.model = model

    async def answer(self, turn: Turn) -> Outcome:
        """Play one prompt, directives first."""
        directives = parse(turn.prompt.text)
        calls = _calls(turn, directives)
        text = _answer_text(turn, directives)
        thought = 0
        for thoughts in directives.thoughts:
            for piece in split(thoughts):
                await turn.think(piece)
            thought += len(thoughts.split())
        for tool in directives.tools:
            await _use_tool(turn, tool)
        granted = [await _ask(turn, tool) for tool in directives.questions]
        # What a directive tells is told whole: options could not quote their own stop strings.
        options = Options() if directives.answers else turn.options
        chunks: Iterable[str] = itertools.chain(granted, _chunks(text, directives.long))
        if options.schema is not None:
            chunks = split(_as_json("".join(chunks)))
        chunks, stop_sequence = _until_stop(chunks, options.stop)
        await asyncio.sleep(directives.silent)
        complete = await _stream(turn, chunks, directives.slow, options.max_tokens)
        if directives.fail is not None:
            raise RequestError(INTERNAL_ERROR, directives.fail)
        if directives.exit is not None:
            # At once, as a crash would: no other turn is cancelled or answered first.
            os._exit(directives.exit)
        return Outcome(
            usage=_usage(turn, thought),
            stop_reason="end_turn" if complete else "max_tokens",
            stop_sequence=stop_sequence if complete else None,
            calls=calls,
        )


def split(text: str) -> Iterator[str]:
    """Word-sized pieces of a text, or larger ones of a large text; together they are the text."""
    minimum = LARGE_CHUNK if len(text) > LARGE_TEXT else 1
    start = 0
    for word in _WORD.finditer(text):
        if word.end() - start >= minimum:
            yield text[start : word.end()]
            start = word.end()
    if start < len(text):
        yield text[start:]


def _chunks(text: str, length: int | None) -> Iterable[str]:
    if length is None:
        return split(text)
    words = itertools.cycle(text.split()) if text.strip() else _numbered_words()
    endless = (f"{word} " for word in words)
    return itertools.chain(
        itertools.islice(endless, length - 1),
        (word.rstrip() for word in itertools.islice(endless, 1)),
    )


def _as_json(text: str) -> str:
    try:
        json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return _encode({"echo": text})
    return text


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _numbered_words() -> Iterator[str]:
    return (f"word{number}" for number in itertools.count(1))


def _until_stop(chunks: Iterable[str], stops: tuple[str, ...]) -> tuple[Iterable[str], str | None]:
    """The chunks before the first stop string, and that string when there is one."""
    if not stops:
        return chunks, None
    whole = list(chunks)
    text = "".join(whole)
    found = [(position, stop) for stop in stops if (position := text.find(stop)) >= 0]
    if not found:
        return whole, None
    end, stop = min(found)
    return _up_to(whole, end), stop


def _up_to(chunks: Iterable[str], end: int) -> Iterator[str]:
    for chunk in chunks:
        if end <= 0:
            return
        yield chunk[:end]
        end -= len(chunk)


async def _stream(turn: Turn, chunks: Iterable[str], pause: float, max_tokens: int | None) -> bool:
    """Say the chunks; false when ``max_tokens`` left some unsaid."""
    for number, chunk in enumerate(chunks):
        if number == max_tokens:
            return False
        if number > 0 and pause > 0:
            await asyncio.sleep(pause)
        await turn.say(chunk)
    return True


def _answer_text(turn: Turn, directives: Directives) -> str:
    if not directives.answers:
        return directives.text
    return "\n".join(_tell(turn, name) for name in directives.answers)


def _tell(turn: Turn, name: str) -> str:
    session = turn.session
    match name:
        case "history":
            history = [{"role": entry.role, "content": entry.content} for entry in session.history]
            return _encode({"system": session.system, "history": history})
        case "options":
            return _encode(turn.options.received)
        case "model":
            return session.model
        case "env":
            return _encode(sorted(os.environ))
        case "cwd":
            return session.cwd
        case _:
            return _encode(_images(turn.prompt))


def _images(prompt: Message) -> list[dict[str, Any]]:
    images = []
    for block in prompt.content:
        if block["type"] != "image":
            continue
        try:
            data = base64.b64decode(block["data"], validate=True)
        except ValueError as error:
            raise RequestError(INVALID_PARAMS, f"image data is not base64: {error}") from error
        images.append(
            {
                "mediaType": block["mimeType"],
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    return images


async def _use_tool(turn: Turn, tool: ToolUse) -> None:
    call_id = turn.session.next_call_id()
    result = {"type": "content", "content": {"type": "text", "text": _encode(tool.arguments)}}
    await turn.update(
        {
            "sessionUpdate": "tool_call",
            "toolCallId": call_id,
            "title": tool.name,
            "kind": "other",
            "status": "in_progress",
            "rawInput": tool.arguments,
        }
    )
    await turn.update(
        {
            "sessionUpdate": "tool_call_update",
            "toolCallId": call_id,
            "status": "completed",
            "content": [result],
            "rawOutput": tool.arguments,
        }
    )


async def _ask(turn: Turn, tool: str) -> str:
    call = {
        "toolCallId": turn.session.next_call_id(),
        "title": tool,
        "kind": "other",
        "status": "pending",
        "rawInput": {},
    }
    choices = [
        {"optionId": "allow", "name": "Allow once", "kind": "allow_once"},
        {"optionId": "reject", "name": "Reject", "kind": "reject_once"},
    ]
    match await turn.ask_permission(call, choices):
        case "allow":
            return f"{tool} allowed\n"
        case "reject":
            return f"{tool} rejected\n"
        case None:
            return f"{tool} cancelled\n"
        case unknown:
            raise RequestError(INVALID_PARAMS, f"permission option {unknown!r} was not offered")


def _calls(turn: Turn, directives: Directives) -> tuple[ToolCall, ...]:
    """The calls of the client's tools that the prompt or the client asks for."""
    wanted, choice = directives.calls, turn.tool_choice
    names = [tool.name for tool in turn.tools]
    for use in wanted:
        if use.name not in names:
            raise RequestError(
                INVALID_PARAMS, f"directive [[call]]: no tool {use.name!r} is offered"
            )
    if not wanted and names and choice.mode != "auto":
        wanted = [ToolUse(choice.name or names[0], {})]
    if not choice.parallel:
        wanted = wanted[:1]
    return tuple(ToolCall(turn.session.next_call_id(), use.name, use.arguments) for use in wanted)


def _usage(turn: Turn, thought: int) -> Usage:
    held = sum(len(message.text.split()) for message in turn.session.history)
    system = len((turn.session.system or "").split())
    return Usage(
        input_tokens=system + held + len(turn.prompt.text.split()),
        output_tokens=len(turn.answer.text.split()),
        thought_tokens=thought or None,
    )


if __name__ == "__main__":
    serve(EchoAgent())
