"""`POST /api/v1/prompt` answered with a stream of unified events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clinvkd.api import stream

from .service import NDJSON, PROMPT, SSE, Service, first, serving, sse_events, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

AWKWARD = 'emoji 👩‍👩‍👧 line\u2028sep\x85 crlf\r\nlf\n\n\ndata: fake\n\n: ping\rcr \\ " end'


@pytest.mark.parametrize("accept", [SSE, NDJSON], ids=["sse", "ndjson"])
async def test_the_deltas_are_the_whole_answer(service: Service, accept: dict[str, str]) -> None:
    answer = await service.post(prompt=AWKWARD, headers=accept)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == accept["Accept"]
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert text_of(answer.events) == AWKWARD == await service.text(AWKWARD)
    assert sum(event["type"] == "message" for event in answer.events) > 5


async def test_the_events_of_a_plain_answer(service: Service) -> None:
    answer = await service.post(prompt="Hello there", headers=SSE)
    init, hello, there, complete = answer.events
    (session,) = {event["session_id"] for event in answer.events}
    assert len(session) == 32
    assert {event["backend"] for event in answer.events} == {"echo"}
    assert init["type"] == "init"
    assert init["content"]["backend_session_id"].startswith("echo-")
    assert hello == {
        "type": "message",
        "backend": "echo",
        "session_id": session,
        "timestamp": hello["timestamp"],
        "sequence": 2,
        "content": {"text": "Hello "},
    }
    assert there["content"] == {"text": "there"}
    assert complete["content"].pop("duration_ms") >= 0
    assert complete["content"] == {
        "exit_code": 0,
        "stop_reason": "end_turn",
        "token_usage": {"input_tokens": 2, "output_tokens": 2},
    }


async def test_an_agents_numbers_that_json_cannot_hold_are_null(service: Service) -> None:
    prompt = '[[tool a {"x": NaN, "y": [1e999, -Infinity], "z": 1.5}]]said'
    answer = await service.post(prompt=prompt, headers=NDJSON)
    assert first(answer.events, "tool_use")["input"] == {"x": None, "y": [None, None], "z": 1.5}


async def test_each_server_sent_event_is_one_line_of_data(service: Service) -> None:
    answer = await service.post(prompt="a\nb\r\nc\u2028d", headers=SSE)
    blocks = answer.text.removesuffix("\n\n").split("\n\n")
    assert len(blocks) == len(answer.events)
    assert all(block.startswith("data: {") and "\n" not in block for block in blocks)


@pytest.mark.parametrize(
    ("accept", "output_format", "content_type"),
    [
        (None, "stream-json", "application/x-ndjson"),
        ("*/*", "stream-json", "application/x-ndjson"),
        ("application/json", "default", "application/json"),
        ("application/json", "text", "application/json"),
        ("text/event-stream, */*;q=0.1", "json", "text/event-stream"),
        ("text/event-stream", "stream-json", "text/event-stream"),
        ("application/x-ndjson", "", "application/x-ndjson"),
    ],
)
async def test_how_a_stream_is_asked_for(
    service: Service, accept: str | None, output_format: str, content_type: str
) -> None:
    headers = {"Accept": accept} if accept else {}
    answer = await service.post(prompt="hi", output_format=output_format, headers=headers)
    assert answer.headers["Content-Type"] == content_type
    if content_type != "application/json":
        assert text_of(answer.events) == "hi"


async def test_the_configured_format_holds_when_the_caller_does_not_say(tmp_path: Path) -> None:
    async with serving(tmp_path, output={"format": "stream-json"}) as service:
        assert text_of((await service.post(prompt="hi")).events) == "hi"
        assert text_of((await service.post(prompt="hi", output_format="default")).events) == "hi"
        assert await service.text("hi", output_format="json") == "hi"


async def test_thoughts_and_tools_are_told_beside_the_text(service: Service) -> None:
    prompt = '[[think deep thought]][[tool look {"at": ["[x]"]}]]said'
    events = (await service.post(prompt=prompt, headers=SSE)).events
    kinds = [event["type"] for event in events]
    assert kinds == [
        "init", "thinking", "thinking", "tool_use", "tool_result", "message", "complete",
    ]  # fmt: skip
    assert first(events, "thinking") == {"text": "deep "}
    call = first(events, "tool_use")
    assert (call["tool_name"], call["input"]) == ("look", {"at": ["[x]"]})
    result = first(events, "tool_result")
    assert result["tool_id"] == call["tool_id"]
    assert (result["output"], result["is_error"]) == ('{"at":["[x]"]}', False)
    assert first(events, "complete")["token_usage"]["reasoning_tokens"] == 2


async def test_the_working_directory_is_told(service: Service, tmp_path: Path) -> None:
    answer = await service.post(prompt="hi", workdir=str(tmp_path), headers=SSE)
    assert first(answer.events, "init")["working_dir"] == str(tmp_path)


async def test_an_ephemeral_stream_has_no_session(service: Service) -> None:
    before = await service.sessions()
    answer = await service.post(prompt="hi", ephemeral=True, headers=SSE)
    assert not any("session_id" in event for event in answer.events)
    assert await service.sessions() == before


@pytest.mark.parametrize("accept", [SSE, NDJSON], ids=["sse", "ndjson"])
async def test_a_failure_after_text_is_told_in_the_stream(
    service: Service, accept: dict[str, str]
) -> None:
    answer = await service.post(prompt="said [[fail it broke]]", headers=accept)
    assert answer.status == 200
    assert text_of(answer.events) == "said "
    error, complete = answer.events[-2:]
    assert error["type"] == "error"
    assert error["content"] == {
        "code": "backend_error",
        "message": "backend 'echo': it broke",
        "param": None,
        "type": "backend_error",
    }
    assert complete["content"]["exit_code"] == 1
    assert complete["content"]["duration_ms"] >= 0


@pytest.mark.parametrize("accept", [{}, SSE, NDJSON], ids=["json", "sse", "ndjson"])
@pytest.mark.parametrize(
    ("prompt", "status", "code"),
    [
        ("[[fail it broke]]", 500, "backend_error"),
        ("[[fail 429 too many]]", 429, "rate_limited"),
        ("[[fail 400 no such thing]]", 400, "backend_refused"),
    ],
)
async def test_a_failure_before_text_has_its_true_status(
    service: Service, accept: dict[str, str], prompt: str, status: int, code: str
) -> None:
    answer = await service.post(prompt=prompt, headers=accept)
    assert (answer.status, answer.error["code"]) == (status, code), answer.text
    assert answer.headers["Content-Type"] == "application/json"


async def test_an_agent_that_dies_after_text_ends_the_stream_in_band(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        answer = await service.post(prompt="said [[exit 3]]", headers=SSE)
        assert (answer.status, text_of(answer.events)) == (200, "said ")
        assert first(answer.events, "error")["code"] == "agent_exited"
        assert await service.text("next") == "next"


@pytest.mark.parametrize("accept", [{}, SSE], ids=["json", "sse"])
async def test_an_agent_that_dies_before_text_is_a_503(
    tmp_path: Path, accept: dict[str, str]
) -> None:
    async with serving(tmp_path) as service:
        answer = await service.post(prompt="[[exit 3]]", headers=accept)
        assert (answer.status, answer.error["code"]) == (503, "agent_exited")
        assert int(answer.headers["Retry-After"]) >= 1
        assert await service.text("next") == "next"


async def test_a_silent_stream_carries_heartbeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HOLD", 0.05)
    async with serving(tmp_path, server={"heartbeat_secs": 0.05}) as service:
        answer = await service.post(prompt="[[silent 0.5]]late", headers=SSE)
    assert ": ping\n\n" in answer.text.partition("late")[0]
    assert text_of(answer.events) == "late"


async def test_the_head_of_a_silent_stream_does_not_wait_for_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HOLD", 0.05)
    body = {"backend": "echo", "prompt": "[[silent 600]]never"}
    async with (
        serving(tmp_path) as service,
        service.client.post(PROMPT, json=body, headers=SSE) as response,
    ):
        assert response.status == 200
        assert sse_events((await response.content.readuntil(b"\n\n")).decode())[0]["type"] == "init"


@pytest.mark.parametrize(
    ("limits", "prompt", "says"),
    [
        ({"pool": {"first_byte_timeout_secs": 2}}, "[[silent 600]]", "no answer within 2 s"),
        ({"pool": {"idle_timeout_secs": 2}}, "[[silent 600]]", "no sign of life for 2 s"),
        ({"server": {"request_timeout_secs": 2}}, "[[silent 600]]", "longer than 2 s"),
    ],
)
async def test_budgets_before_text_are_a_504(
    tmp_path: Path, limits: dict[str, Any], prompt: str, says: str
) -> None:
    async with serving(tmp_path, **limits) as service:
        answer = await service.post(prompt=prompt, headers=SSE)
        assert (answer.status, answer.error["code"]) == (504, "turn_timeout")
        assert says in answer.error["message"]
        await service.idle()
        assert await service.text("next") == "next"


async def test_a_budget_after_text_is_told_in_the_stream(tmp_path: Path) -> None:
    async with serving(tmp_path, pool={"idle_timeout_secs": 2}) as service:
        answer = await service.post(prompt="[[slow 600]]one two", headers=SSE)
        assert text_of(answer.events) == "one "
        assert first(answer.events, "error")["code"] == "turn_timeout"
        assert first(answer.events, "complete")["exit_code"] == 1
