"""A caller that leaves, or stops reading, stops its turn and nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from .service import NDJSON, PROMPT, SSE, Service, serving, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def leave_during(service: Service, prompt: str, headers: Mapping[str, str]) -> None:
    """Ask, and go away as soon as the turn runs."""
    body = {"backend": "echo", "prompt": prompt}
    before = service.figures().busy
    asking = asyncio.ensure_future(  # noqa: TID251 - cancelled and awaited below
        service.client.post(PROMPT, json=body, headers=headers)
    )
    await until(lambda: service.figures().busy > before)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("headers", [{}, SSE, NDJSON], ids=["json", "sse", "ndjson"])
async def test_leaving_before_text_interrupts_the_turn(
    service: Service, headers: dict[str, str]
) -> None:
    await service.text("warm")
    agents = {agent.pid for agent in service.engine.pool("echo").crew}
    sessions = await service.sessions()
    await leave_during(service, "[[silent 600]]never", headers)
    await until(lambda: service.figures().busy == 0)
    await service.idle()
    assert await service.text("still there") == "still there"
    assert agents == {agent.pid for agent in service.engine.pool("echo").crew}
    assert await service.sessions() == sessions + 1


@pytest.mark.parametrize("headers", [SSE, NDJSON], ids=["sse", "ndjson"])
async def test_leaving_in_the_middle_interrupts_the_turn(
    service: Service, headers: dict[str, str]
) -> None:
    body = {"backend": "echo", "prompt": "[[slow 600]]one two"}
    async with service.client.post(PROMPT, json=body, headers=headers) as response:
        assert (
            b"one " in await response.content.readuntil(b"\n") or await response.content.readany()
        )
        assert service.figures().busy == 1
    await until(lambda: service.figures().busy == 0)
    await service.idle()
    assert await service.text("still there") == "still there"


async def test_the_agent_sees_the_cancellation(tmp_path: Path) -> None:
    """An agent that may hold one conversation takes the next one only if the first has ended."""
    pool = {"agents": 1, "conversations": 1}
    async with serving(tmp_path, backends={"echo": {"pool": pool}}) as service:
        await leave_during(service, "[[silent 600]]never", SSE)
        assert await service.text("next") == "next"
        assert service.figures().restarts == 0


async def test_leaving_while_waiting_for_an_agent_gives_the_place_back(tmp_path: Path) -> None:
    pool = {"agents": 1, "conversations": 1}
    async with serving(tmp_path, backends={"echo": {"pool": pool}}) as service:
        body = {"backend": "echo", "prompt": "[[slow 600]]one two"}
        async with service.client.post(PROMPT, json=body, headers=SSE):
            waiting = asyncio.ensure_future(service.post(prompt="queued"))  # noqa: TID251
            await until(lambda: service.figures().queued == 1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await until(lambda: service.figures().queued == 0)
        assert await service.text("next") == "next"


@pytest.mark.parametrize("accept", [SSE, NDJSON], ids=["sse", "ndjson"])
async def test_a_caller_that_stops_reading_is_cut_off(
    tmp_path: Path, accept: dict[str, str]
) -> None:
    async with serving(tmp_path, server={"write_timeout_secs": 0.4}) as service:
        body = json.dumps({"backend": "echo", "prompt": "[[long 1000000]]" + "word" * 50}).encode()
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect(("127.0.0.1", service.port))
            caller.sendall(
                b"POST /api/v1/prompt HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (accept["Accept"].encode(), len(body), body)
            )
            await until(lambda: service.figures().busy == 1)
            await until(lambda: service.figures().busy == 0)
        await service.idle()
        assert await service.text("next") == "next"


async def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"read_timeout_secs": 0.2}) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(
            b"POST /api/v1/prompt HTTP/1.1\r\nHost: localhost\r\n"
            b'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"prompt":'
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        error = json.loads(await reader.readuntil(b"}}"))["error"]
        assert error["message"] == "the body did not arrive within 0.2 s"
        writer.close()
