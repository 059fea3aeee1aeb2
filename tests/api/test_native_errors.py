"""What a caller is told of a request that cannot be served, and that nothing runs for it."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from .service import PROMPT, Service, serving, until

AUDIO = {"type": "audio", "media_type": "audio/wav", "data": "UklGRg=="}
IMAGE = {"type": "image", "media_type": "image/png", "data": "aGVsbG8="}
USER = {"role": "user", "content": "hi"}

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _nothing_runs_for_a_refused_request(service: Service) -> AsyncIterator[None]:
    before = service.turns(), await service.sessions()
    yield
    assert (service.turns(), await service.sessions()) == before


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"prompt": "a"} x', "not valid JSON"),
        (b"{\"prompt\": 'a'}", "not valid JSON"),
        (b'\xff{"prompt": "a"}', "not valid JSON"),
        (b'{"prompt": "\xff"}', "not valid JSON"),
        (b'\xef\xbb\xbf{"prompt": "a"}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a":' * 100_000, "not valid JSON"),
        (b"[" * 5_000 + b"]" * 5_000, "not valid JSON"),
        (b'{"a": 1, "b": ' + b"[" * 500 + b'"a", true' + b"]" * 500 + b"}", "not valid JSON"),
        (b"null", "the body: "),
        (b"[]", "the body: "),
        (b'"prompt"', "the body: "),
        (b'{"prompt": "a", "max_tokens": 1' + b"0" * 5_000 + b"}", "number out of range"),
    ],
)
async def test_what_is_no_json_object(service: Service, body: bytes, says: str) -> None:
    answer = await service.post(body)
    assert (answer.status, answer.error["code"]) == (400, "invalid_request"), answer.text
    assert answer.error["type"] == "invalid_request_error"
    assert says in answer.error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": 5}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": {}}, "prompt"),
        ({"prompt": ["text"]}, "prompt[0]"),
        ({"prompt": [{"type": "text"}]}, "prompt[0].text"),
        ({"prompt": [{"type": "video", "text": "x"}]}, "prompt[0]"),
        ({"prompt": [{"type": "text", "text": "a", "more": 1}]}, "prompt[0].more"),
        ({"prompt": [{**IMAGE, "data": "not base64!"}]}, "prompt[0].data"),
        ({"prompt": [{**IMAGE, "data": "QQ"}]}, "prompt[0].data"),
        ({"prompt": [{**IMAGE, "data": ""}]}, "prompt[0].data"),
        ({"prompt": [{**IMAGE, "media_type": "image/svg+xml"}]}, "prompt[0].media_type"),
        ({"prompt": [{**AUDIO, "data": "not base64!"}]}, "prompt[0].data"),
        ({"prompt": [{**AUDIO, "media_type": "audio/midi"}]}, "prompt[0].media_type"),
        ({"prompt": [AUDIO]}, "prompt"),
        ({"messages": [{"role": "user", "content": [AUDIO]}]}, "messages"),
        ({"tool_results": [{"tool_use_id": "t", "content": [AUDIO]}]},
         "tool_results[0].content[0]"),
        ({"schema": {"type": 5}}, "schema"),
        ({"backend": 1}, "backend"),
        ({"session_id": 1}, "session_id"),
        ({"messages": {}}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [USER, {"role": "user"}]}, "messages[1].content"),
        ({"messages": [{"role": "system", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]},
         "messages[0].content[0].media_type"),
        ({"model": 1}, "model"),
        ({"model": "-rf"}, "model"),
        ({"model": "a b"}, "model"),
        ({"model": "a\0"}, "model"),
        ({"model": "m" * 257}, "model"),
        ({"workdir": 1}, "workdir"),
        ({"approval_mode": "yolo"}, "approval_mode"),
        ({"approval_mode": 1}, "approval_mode"),
        ({"sandbox_mode": "none"}, "sandbox_mode"),
        ({"output_format": "xml"}, "output_format"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_turns": -1}, "max_turns"),
        ({"system_prompt": ["a"]}, "system_prompt"),
        ({"verbose": "yes"}, "verbose"),
        ({"dry_run": 1}, "dry_run"),
        ({"ephemeral": None}, "ephemeral"),
        ({"extra": "--seed=1"}, "extra"),
        ({"extra": [1]}, "extra[0]"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"temperature": 1}, "temperature"),
        ({"prompt_text": "a"}, "prompt_text"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n\t\u3000"}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [{"type": "text", "text": " "}]}, "prompt"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"prompt": [{"type": "text", "text": "a\0b"}]}, "prompt"),
        ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages"),
        ({"system_prompt": "a\0b"}, "system_prompt"),
        ({"extra": ["--nonsense=1"]}, "extra[0]"),
        ({"extra": [""]}, "extra[0]"),
        ({"extra": ["--settings=/etc/passwd"], "backend": "claude"}, "extra[0]"),
        ({"extra": ["--effort=low", "--mcp-config={}"], "backend": "claude"}, "extra[1]"),
        ({"extra": ["effort=low"], "backend": "claude"}, "extra[0]"),
        ({"extra": ["--effort=lowest"], "backend": "claude"}, "extra[0]"),
        ({"extra": ["--effort"], "backend": "claude"}, "extra[0]"),
        ({"extra": ["--effort=low\0"], "backend": "codex"}, "extra[0]"),
        ({"workdir": "relative"}, "workdir"),
        ({"workdir": "~"}, "workdir"),
        ({"workdir": "/a\0b"}, "workdir"),
        ({"workdir": "/does/not/exist"}, "workdir"),
        ({"workdir": "/" + "n" * 5_000}, "workdir"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)  # fmt: skip
async def test_the_field_at_fault_is_named(
    service: Service, fields: dict[str, Any], param: str
) -> None:
    before = service.turns()
    answer = await service.post(**{"prompt": "hi", **fields})
    assert (answer.status, answer.error["code"]) == (400, "invalid_request"), answer.text
    assert answer.error["param"] == param
    assert param in answer.error["message"]
    assert len(answer.error["message"]) < 2_000
    assert service.turns() == before


async def test_a_prompt_is_required(service: Service) -> None:
    error = (await service.post({"backend": "echo"})).error
    assert (error["message"], error["param"]) == ("prompt is required", "prompt")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (rb'{"prompt": "\ud800"}', "prompt"),
        (rb'{"prompt": "ok", "system_prompt": "a\udc00b"}', "system_prompt"),
        (rb'{"prompt": [{"type": "text", "text": "\udfff\ud800"}]}', "prompt[0].text"),
        (rb'{"prompt": "a", "messages": [{"role": "user", "content": "\ud83d"}]}',
         "messages[0].content"),
        (rb'{"prompt": "a", "metadata": {"k": "\udead"}}', "metadata.k"),
        (rb'{"prompt": "a", "metadata": {"\udead": "\udead"}}', "metadata"),
        (rb'{"\ud800": "\ud800"}', None),
        (rb'"\ud800"', None),
    ],
)  # fmt: skip
async def test_a_lone_surrogate_is_named(service: Service, body: bytes, where: str | None) -> None:
    error = (await service.post(body)).error
    assert error["param"] == where
    place = where or "the body"
    assert error["message"] == f"{place} holds a lone surrogate, which is not Unicode text"


async def test_what_is_allowed_is_told(service: Service) -> None:
    error = (await service.post(prompt="hi", backend="claude", extra=["--settings=/x"])).error
    assert "'--settings=/x' is not an option of backend 'claude'" in error["message"]
    assert "allowed: --effort (one of low, medium, high" in error["message"]
    error = (await service.post(prompt="hi", extra=["--settings=/x"])).error
    assert error["message"].endswith("allowed: none")
    error = (await service.post(prompt="hi", output_format="xml")).error
    assert "'default', 'text', 'json' or 'stream-json'" in error["message"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ehco", "did you mean 'echo'?"),
        ("gpt", "configured: claude, codex, gemini, local, echo"),
        ("", "there is no backend ''"),
        ("Claude", "did you mean 'claude'?"),
        ("../echo", "there is no backend '../echo'"),
        ("b" * 1_000_000, "there is no backend"),
    ],
)
async def test_an_unknown_backend_is_a_404(service: Service, name: str, says: str) -> None:
    answer = await service.post(prompt="hi", backend=name)
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert (answer.error["param"], answer.error["type"]) == ("backend", "not_found_error")
    assert says in answer.error["message"]
    assert len(answer.error["message"]) < 500


async def test_long_names_of_callers_are_not_repeated(service: Service) -> None:
    error = (await service.post({"prompt": "hi", "f" * 1_000_000: 1})).error
    assert error["param"] == "f" * 80


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
async def test_a_backend_that_is_not_installed_is_a_503(service: Service, name: str) -> None:
    answer = await service.post(prompt="hi", backend=name)
    assert (answer.status, answer.error["code"]) == (503, "backend_unavailable")
    assert (answer.error["param"], answer.error["type"]) == ("backend", "unavailable_error")
    assert f"'{name}' was not found (looked in " in answer.error["message"]
    assert "no-programs" in answer.error["message"]
    assert service.figures(name).agents == 0


async def test_an_unknown_session_is_a_404(service: Service) -> None:
    answer = await service.post(prompt="hi", session_id="0" * 32)
    assert (answer.status, answer.error["param"]) == (404, "session_id")


async def test_an_unknown_route_is_a_404(service: Service) -> None:
    for path in ("/nothing", "/api/v1/nothing", "/api/v2/prompt", "/api/v1/prompt/"):
        async with service.client.get(path) as response:
            assert response.status == 404
            error = (await response.json())["error"]
            assert (error["code"], error["message"]) == ("not_found", f"there is no '{path}' here")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PROMPT, "POST"),
        ("PUT", PROMPT, "POST"),
        ("HEAD", PROMPT, "POST"),
        ("OPTIONS", PROMPT, "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/api/v1/backends", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_a_405(
    service: Service, method: str, path: str, allowed: str
) -> None:
    async with service.client.request(method, path) as response:
        assert response.status == 405
        assert response.headers["Allow"] == allowed
        if method != "HEAD":
            assert (await response.json())["error"]["code"] == "method_not_allowed"


async def test_head_answers_as_get_without_a_body(service: Service) -> None:
    async with service.client.head("/health") as response:
        assert (response.status, await response.read()) == (200, b"")
        assert response.content_length


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
async def test_a_body_over_the_limit_is_a_413(tmp_path: Path, chunked: bool) -> None:
    async with serving(tmp_path, server={"max_request_body_bytes": 1_000}) as service:
        text = ""
        for size, status in ((900, 200), (1_000, 413)):
            body = json.dumps({"prompt": "a" * size, "backend": "echo"}).encode()
            framing = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            if not chunked:
                framing = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            got, text = await service.raw(
                b"POST /api/v1/prompt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\n" + framing
            )
            assert got == status, text
        assert '"code":"payload_too_large"' in text
        assert sum(service.figures().turns.values()) == 1


async def test_without_a_limit_every_body_passes(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"max_request_body_bytes": 0}) as service:
        text = "0123456 89" * 1_200_000
        assert await service.text(text) == text


async def test_a_full_queue_is_a_503(tmp_path: Path) -> None:
    pool = {"agents": 1, "conversations": 1, "queue_length": 0, "queue_wait_secs": 20}
    async with serving(tmp_path, backends={"echo": {"pool": pool}}) as service:
        body = {"backend": "echo", "prompt": "[[slow 600]]one two"}
        stream = {"Accept": "text/event-stream"}
        async with service.client.post(PROMPT, json=body, headers=stream) as running:
            assert running.status == 200
            answer = await service.post(prompt="second")
        assert (answer.status, answer.error["code"]) == (503, "backend_unavailable")
        assert "is busy" in answer.error["message"]
        assert answer.headers["Retry-After"] == "5"
        await service.idle()
        assert await service.text("third") == "third"


async def test_an_agent_that_cannot_start_is_a_503(tmp_path: Path) -> None:
    script = "import sys; print('no licence found', file=sys.stderr); sys.exit(4)"
    broken = {"driver": "acp", "command": [sys.executable, "-c", script]}
    pool = {"spares": 0, "crash_budget": 2}
    async with serving(tmp_path, backends={"broken": broken}, pool=pool) as service:
        for _ in range(3):
            answer = await service.post(prompt="hi", backend="broken")
            assert (answer.status, answer.error["code"]) == (503, "backend_unavailable")
            assert "no licence found" in answer.error["message"]
            assert "Retry-After" in answer.headers
        await until(lambda: service.figures("broken").agents == 0)
        assert await service.text("hi") == "hi"


async def test_an_agent_that_never_gets_ready_is_a_503(tmp_path: Path) -> None:
    deaf = {
        "driver": "acp",
        "command": [sys.executable, "-c", "import sys; sys.stdin.read()"],
        "pool": {"start_timeout_secs": 0.3, "spares": 0},
    }
    async with serving(tmp_path, backends={"deaf": deaf}) as service:
        answer = await service.post(prompt="hi", backend="deaf")
        assert (answer.status, answer.error["code"]) == (503, "backend_unavailable")
        assert "did not get ready within 0.3 s" in answer.error["message"]
