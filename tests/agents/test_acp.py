"""What both embedded agents share: dispatch, sessions, cancellation, bad input, the end."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from .client import REPOSITORY, AgentClient, AgentError, text


async def test_initialize_tells_what_the_agent_can_do(echo: AgentClient) -> None:
    result = await echo.request("initialize", {"protocolVersion": 1})
    assert result["protocolVersion"] == 1
    assert result["agentInfo"]["name"] == "echo"
    assert result["agentInfo"]["version"]
    capabilities = result["agentCapabilities"]
    assert capabilities["promptCapabilities"]["image"] is True
    assert capabilities["sessionCapabilities"] == {"close": {}}
    assert capabilities["_meta"]["clinvk"] == {
        "history": True,
        "system": True,
        "tools": True,
        "options": ["max_tokens", "stop", "schema"],
    }


async def test_two_hundred_sessions_stream_side_by_side(echo: AgentClient) -> None:
    sessions = [await echo.new_session() for _ in range(200)]
    answers = [
        echo.start(session, f"[[long 40]] marker{number}")
        for number, session in enumerate(sessions)
    ]
    await asyncio.gather(*(answering.finished for answering in answers))
    for number, answering in enumerate(answers):
        assert answering.text == " ".join([f"marker{number}"] * 40)
    # Whoever begins before the others are written is alone for a while; then they take turns.
    switches = sum(one != other for one, other in itertools.pairwise(echo.order))
    assert switches > len(echo.order) / 2, "the streams take turns"


async def test_cancelled_turn_ends_at_once_and_leaves_no_trace(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering = echo.start(session, "[[slow 0.001]][[long 1000000]]")
    await answering.reach(3)
    echo.cancel(session)
    assert await answering.finished == {"stopReason": "cancelled"}
    said = len(answering.updates)
    after, _ = await echo.prompt(session, "[[history]]")
    assert json.loads(after.text)["history"] == []
    assert len(answering.updates) == said


async def test_cancel_reaches_a_turn_that_has_not_begun(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering = echo.start(session, "[[long 1000000]]")
    echo.cancel(session)
    assert await answering.finished == {"stopReason": "cancelled"}


async def test_cancel_reaches_a_turn_that_waits_for_permission(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering = echo.start(session, "[[ask Bash]]")
    question = await echo.permissions.get()
    echo.cancel(session)
    assert await answering.finished == {"stopReason": "cancelled"}
    echo.send({"id": question["id"], "result": {"outcome": {"outcome": "cancelled"}}})
    assert (await echo.prompt(session, "still here"))[0].text == "still here"


async def test_cancel_of_one_session_spares_the_others(echo: AgentClient) -> None:
    cancelled, spared = await echo.new_session(), await echo.new_session()
    first = echo.start(cancelled, "[[slow 0.001]][[long 1000000]]")
    second = echo.start(spared, "[[slow 0.001]][[long 50]]")
    await first.reach(2)
    echo.cancel(cancelled)
    assert (await first.finished)["stopReason"] == "cancelled"
    assert (await second.finished)["stopReason"] == "end_turn"


async def test_cancel_without_a_turn_is_nothing(echo: AgentClient) -> None:
    session = await echo.new_session()
    echo.cancel(session)
    echo.cancel("no such session")
    assert (await echo.prompt(session, "fine"))[0].text == "fine"


async def test_busy_session_refuses_a_second_prompt(echo: AgentClient) -> None:
    session = await echo.new_session()
    first = echo.start(session, "[[silent 3600]]")
    with pytest.raises(AgentError, match="busy") as failure:
        await echo.prompt(session, "second")
    assert failure.value.code == -32600
    echo.cancel(session)
    assert (await first.finished)["stopReason"] == "cancelled"


async def test_closed_session_is_gone_and_its_turn_cancelled(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering = echo.start(session, "[[silent 3600]]")
    assert await echo.request("session/close", {"sessionId": session}) == {}
    assert await answering.finished == {"stopReason": "cancelled"}
    with pytest.raises(AgentError) as failure:
        await echo.prompt(session, "anyone?")
    assert failure.value.code == -32002


async def test_set_mode_is_accepted_and_ignored(echo: AgentClient) -> None:
    session = await echo.new_session()
    assert await echo.request("session/set_mode", {"sessionId": session, "modeId": "x"}) == {}


async def test_unknown_method_is_refused(echo: AgentClient) -> None:
    with pytest.raises(AgentError, match="session/teleport") as failure:
        await echo.request("session/teleport", {})
    assert failure.value.code == -32601


async def test_unknown_notification_is_ignored(echo: AgentClient) -> None:
    echo.send({"method": "vendor/gossip", "params": {}})
    assert await echo.new_session()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"this is not JSON", -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "initi', -32700),
        (b"\xff\xfe\xfa", -32700),
        (b"[" * 200_000, -32700),
        (b"[]", -32600),
        (b"42", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc": "2.0", "method": "initialize", "params": [1]}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "initialize"}', -32600),
    ],
)
async def test_broken_line_is_answered_and_survived(
    echo: AgentClient, line: bytes, code: int
) -> None:
    echo.write(line + b"\n\n  \n")
    (answer,) = await echo.unmatched_answers(1)
    assert answer["id"] is None
    assert answer["error"]["code"] == code
    session = await echo.new_session()
    assert (await echo.prompt(session, "alive"))[0].text == "alive"


async def test_malformed_request_is_answered_under_its_id(echo: AgentClient) -> None:
    with pytest.raises(AgentError, match="params") as failure:
        await echo.request("initialize", [1])
    assert failure.value.code == -32600


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({}, "cwd"),
        ({"cwd": 7}, "cwd"),
        ({"cwd": "relative"}, "cwd"),
        ({"cwd": "/", "_meta": {"clinvk": []}}, "_meta.clinvk"),
        ({"cwd": "/", "_meta": {"clinvk": {"system": 1}}}, "system"),
        ({"cwd": "/", "_meta": {"clinvk": {"history": {}}}}, "history"),
        ({"cwd": "/", "_meta": {"clinvk": {"history": [{"role": "x"}]}}}, "history[0]"),
        (
            {
                "cwd": "/",
                "_meta": {"clinvk": {"history": [{"role": "user", "content": [{"type": "text"}]}]}},
            },
            "history[0].content[0]",
        ),
    ],
)
async def test_wrong_session_parameters_are_named(
    echo: AgentClient, params: dict[str, Any], named: str
) -> None:
    with pytest.raises(AgentError) as failure:
        await echo.request("session/new", params)
    assert failure.value.code == -32602
    assert named in str(failure.value)


@pytest.mark.parametrize(
    ("prompt", "options", "named"),
    [
        ([], {}, "prompt"),
        ("text", {}, "prompt"),
        ([text("a"), {"text": "b"}], {}, "prompt[1]"),
        ([{"type": "image", "data": ""}], {}, "prompt[0]"),
        ([text("a")], [], "options"),
        ([text("a")], {"max_tokens": 0}, "options.max_tokens"),
        ([text("a")], {"max_tokens": True}, "options.max_tokens"),
        ([text("a")], {"temperature": "hot"}, "options.temperature"),
        ([text("a")], {"seed": 1.5}, "options.seed"),
        ([text("a")], {"top_k": 0}, "options.top_k"),
        ([text("a")], {"schema": []}, "options.schema"),
        ([text("a")], {"stop": "x"}, "options.stop"),
        ([text("a")], {"stop": ""}, "options.stop"),
        ([text("a")], {"stop": [""]}, "options.stop"),
    ],
)
async def test_wrong_prompt_parameters_are_named(
    echo: AgentClient, prompt: Any, options: Any, named: str
) -> None:
    session = await echo.new_session()
    with pytest.raises(AgentError) as failure:
        await echo.request(
            "session/prompt",
            {"sessionId": session, "prompt": prompt, "_meta": {"clinvk": {"options": options}}},
        )
    assert failure.value.code == -32602
    assert named in str(failure.value)


@pytest.mark.parametrize("prompt", [None, "[[silent 3600]]", "[[long 1000000]]", "[[ask x]]"])
async def test_end_of_input_ends_the_process(echo: AgentClient, prompt: str | None) -> None:
    session = await echo.new_session()
    if prompt is not None:
        echo.start(session, prompt)
    echo.close_input()
    assert await echo.exited == 0
    assert bytes(echo.stderr) == b""


async def test_termination_ends_the_process(echo: AgentClient) -> None:
    session = await echo.new_session()
    echo.start(session, "[[silent 3600]]")
    echo.transport.terminate()
    assert await echo.exited == -signal.SIGTERM


async def test_client_that_stops_reading_ends_the_process(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering = echo.start(session, "[[long 1000000]]")
    await answering.reach(1)
    output = echo.transport.get_pipe_transport(1)
    assert output is not None
    output.close()
    assert await echo.exited == 0


async def test_reader_that_pauses_loses_nothing(echo: AgentClient) -> None:
    session, other = await echo.new_session(), await echo.new_session()
    output = echo.transport.get_pipe_transport(1)
    assert isinstance(output, asyncio.ReadTransport)
    output.pause_reading()
    answering = echo.start(session, "[[long 20000]]")
    quick = echo.start(other, "quick")
    output.resume_reading()
    await quick.finished
    assert (await answering.finished)["usage"]["outputTokens"] == 20_000


async def test_regular_file_as_input_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    file.write_bytes(b"")
    with file.open("rb") as opened:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "clinvkd.agents.echo"),
            stdin=opened,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=REPOSITORY,
            env={},
        )
        output, complaint = await process.communicate()
    assert process.returncode == 1
    assert output == b""
    assert complaint.count(b"\n") == 1
    assert b"must be pipes" in complaint
