"""Recordings: what is none is refused by its field, and gemini is given them as what they are."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.providers import DEFAULT_TEXT, GeminiProvider
from tests.providers.recording import JsonObject
from tests.real_agents import prepare

from .talk import CHAT, OpenAI, assistant, serving, user

WAV = base64.b64encode(b"RIFF\x24\0\0\0WAVEfmt ").decode()
MP3 = base64.b64encode(b"ID3\x04\0\0\0\0\0\0").decode()
MPEG = base64.b64encode(b"\xff\xfb\x90\x64" + bytes(20)).decode()
AAC = base64.b64encode(b"\xff\xf1\x50\x80" + bytes(20)).decode()
MODEL = "gemini/gemini-2.5-flash"


def audio(data: Any, kind: Any = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


def seen(data: str, kind: str) -> JsonObject:
    """A recording as gemini's provider gets it."""
    return {"inlineData": {"mimeType": kind, "data": data}}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("part", "member", "says"),
    [
        (audio("###"), ".input_audio.data", "not valid base64"),
        (audio(WAV[:-1]), ".input_audio.data", "not valid base64"),
        (audio(""), ".input_audio.data", "not a recording of format wav"),
        (audio("/w=="), ".input_audio.data", "not a recording of format wav"),
        (audio("aGVsbG8=", "mp3"), ".input_audio.data", "not a recording of format mp3"),
        (audio("/w==", "mp3"), ".input_audio.data", "not a recording of format mp3"),
        (audio(AAC, "mp3"), ".input_audio.data", "not a recording of format mp3"),
        (audio(MP3), ".input_audio.data", "not a recording of format wav"),
        (audio(WAV, "ogg"), ".input_audio.format", "wav, mp3"),
        (audio(WAV, None), ".input_audio.format", "wav, mp3"),
        (audio(None), ".input_audio.data", "base64"),
    ],
)
async def test_what_is_no_recording(
    openai: OpenAI, part: dict[str, Any], member: str, says: str
) -> None:
    where = "messages[0].content[0]" + member
    error = await openai.refused(CHAT, where, messages=[user([part])])
    assert says in error["message"]
    error = await openai.refused("/responses", f"input[0].content[0]{member}", input=[user([part])])
    assert says in error["message"]


@pytest.mark.asyncio(loop_scope="session")
async def test_where_no_recording_can_be(openai: OpenAI) -> None:
    bare = [user([{"type": "input_audio"}])]
    await openai.refused(CHAT, "messages[0].content[0]", messages=bare)
    await openai.refused("/responses", "input[0].content[0]", input=bare)
    heard = [audio(WAV)]
    error = await openai.refused(CHAT, "messages", messages=[user(heard)])
    assert "'echo' does not take audio" in error["message"]
    error = await openai.refused("/responses", "input", input=[user(heard)])
    assert "'echo' does not take audio" in error["message"]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "c", "content": heard}
    chat = [user("x"), assistant(None, tool_calls=[call]), result]
    await openai.refused(CHAT, "messages[2]", messages=chat)
    called = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": heard}
    await openai.refused("/responses", "input[2].output", input=[user("x"), called, output])


@pytest.mark.real
@pytest.mark.timeout(180)
async def test_gemini_gets_recordings_through_every_api(tmp_path: Path) -> None:
    async with GeminiProvider() as provider:
        agent = prepare("gemini", provider.url, tmp_path)
        section = {"command": [*agent.command, "--acp"], "environment": agent.environment}
        async with serving(tmp_path, backends={"gemini": section}) as openai:

            def last() -> list[list[JsonObject]]:
                return [content["parts"] for content in provider.turns[-1].body["contents"]]

            text = {"type": "text", "text": "What is said?"}
            messages = [user([text, audio(WAV)])]
            assert await openai.text(messages, model=MODEL) == DEFAULT_TEXT
            assert last()[0][-2:] == [{"text": "What is said?"}, seen(WAV, "audio/wav")]
            messages += [assistant("Nothing."), user([audio(MP3, "mp3"), audio(MPEG, "mp3")])]
            assert await openai.text(messages, model=MODEL) == DEFAULT_TEXT
            earlier, _, new = last()
            assert earlier[-1] == seen(WAV, "audio/wav")
            assert new == [seen(MP3, "audio/mp3"), seen(MPEG, "audio/mp3")]

            first = await openai.response([user([audio(WAV)])], model=MODEL)
            # Another system prompt needs another conversation, given what is stored.
            await openai.response(
                "And now?", model=MODEL, instructions="Hm.", previous_response_id=first["id"]
            )
            assert last()[0][-1] == seen(WAV, "audio/wav")

            part = {"type": "audio", "media_type": "audio/flac", "data": WAV}
            answer = await openai.service.post(
                {"backend": "gemini", "model": "gemini-2.5-flash", "prompt": [part]}
            )
            assert answer.status == 200, answer.text
            assert last()[0][-1] == seen(WAV, "audio/flac")
