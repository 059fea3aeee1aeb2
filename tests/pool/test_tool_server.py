"""The MCP server on loopback, spoken to as agents do."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
import psutil
import pytest

from clinvkd.drivers.base import TOOL_CALLED, TOOL_WITHDRAWN, Json
from clinvkd.errors import BackendUnavailable
from clinvkd.pool import tool_server
from clinvkd.pool.tool_server import Offer, ToolServer

from .stage import PATIENCE, beside

ADD = {"name": "add", "description": "Sum", "inputSchema": {"type": "object"}}
BOTH = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@dataclass
class Party:
    """A conversation that offers tools, and the agent that was given them."""

    http: aiohttp.ClientSession
    offer: Offer
    delivered: asyncio.Queue[Json] = field(default_factory=asyncio.Queue)

    def post(self, message: object, **headers: str) -> Any:
        sent = {**BOTH, **self.offer.place["headers"], **headers}
        body = BytesIO(json.dumps(message).encode())
        return self.http.post(self.offer.place["url"], data=body, headers=sent)

    def call(self, name: str = "add", number: object = 7, **arguments: Any) -> Any:
        return self.post(request("tools/call", number, name=name, arguments=arguments))

    async def ask(self, method: str, **params: Any) -> Json:
        async with self.post(request(method, 1, **params)) as response:
            assert response.status == 200
            answer: Json = await response.json()
            return answer

    async def next(self) -> Json:
        async with asyncio.timeout(PATIENCE):
            return await self.delivered.get()


def request(method: str, number: object = 1, **params: Any) -> Json:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def result(words: str) -> Json:
    return {"content": [{"type": "text", "text": words}], "isError": False}


def answer_in(body: bytes) -> Json:
    (line,) = [line for line in body.splitlines() if line.startswith(b"data: ")]
    answer: Json = json.loads(line.removeprefix(b"data: "))
    return answer


@asynccontextmanager
async def serving(*definitions: tuple[Json, ...]) -> AsyncIterator[list[Party]]:
    """A server with one offer for each tuple of definitions; nothing of it is left afterwards."""
    server = ToolServer()
    async with aiohttp.ClientSession() as http:
        parties = []
        for offered in definitions:
            delivered: asyncio.Queue[Json] = asyncio.Queue()
            parties.append(Party(http, server.offer(offered, delivered.put_nowait), delivered))
        try:
            yield parties
        finally:
            await server.aclose()
    assert not [one for one in psutil.Process().net_connections("tcp") if one.status == "LISTEN"]


async def test_an_agent_is_greeted_and_told_the_tools() -> None:
    async with serving((ADD,)) as [party]:
        greeting = await party.ask("initialize", protocolVersion="2025-03-26")
        assert greeting["result"]["protocolVersion"] == "2025-03-26"
        assert greeting["result"]["capabilities"] == {"tools": {}}
        assert "instructions" not in greeting["result"]
        newer = await party.ask("initialize", protocolVersion="2099-01-01")
        assert newer["result"]["protocolVersion"] == "2025-06-18"
        notified = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        async with party.post(notified) as response:
            assert (response.status, await response.read()) == (202, b"")
        assert (await party.ask("tools/list"))["result"] == {"tools": [ADD]}
        assert (await party.ask("ping"))["result"] == {}
        assert (await party.ask("resources/list"))["error"]["code"] == -32601
        headers = party.offer.place["headers"]
        async with party.http.get(party.offer.place["url"], headers=headers) as response:
            assert response.status == 405


async def test_a_call_waits_for_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_server, "HEARTBEAT", 0.01)
    async with serving((ADD,)) as [party], party.call(a=1) as response:
        # The headers are there although nothing else is.
        assert response.headers["Content-Type"] == "text/event-stream"
        message = await party.next()
        assert message["method"] == TOOL_CALLED
        assert message["params"]["name"] == "add"
        assert message["params"]["arguments"] == {"a": 1}
        for _ in range(3):
            assert await response.content.readuntil(b"\n\n") == b": waiting\n\n"
        party.offer.answer(message["params"]["id"], result("one"))
        answer = answer_in(await response.read())
        assert answer == {"jsonrpc": "2.0", "id": 7, "result": result("one")}
        party.offer.answer(message["params"]["id"], result("again"))
        assert party.delivered.empty()


async def test_calls_at_once_get_their_own_results_in_any_order() -> None:
    async with serving((ADD,)) as [party], party.call(a=1) as first, party.call(a=2) as second:
        calls = {}
        for _ in range(2):
            params = (await party.next())["params"]
            calls[params["arguments"]["a"]] = params["id"]
        party.offer.answer(calls[2], result("two"))
        assert answer_in(await second.read())["result"] == result("two")
        party.offer.answer(calls[1], result("one"))
        assert answer_in(await first.read())["result"] == result("one")


async def test_conversations_see_only_their_own_tools() -> None:
    other = {**ADD, "description": "another"}
    async with serving((ADD,), (other, {**ADD, "name": "more"})) as [one, two]:
        assert (await one.ask("tools/list"))["result"]["tools"] == [ADD]
        assert len((await two.ask("tools/list"))["result"]["tools"]) == 2
        assert (await one.ask("tools/call", name="more"))["error"]["code"] == -32602
        async with two.call() as response:
            message = await two.next()
            assert one.delivered.empty()
            one.offer.answer(message["params"]["id"], result("not yours"))
            two.offer.answer(message["params"]["id"], result("mine"))
            assert answer_in(await response.read())["result"] == result("mine")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic abc"}, 401),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost:1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
    ],
)
async def test_strangers_are_turned_away(headers: dict[str, str], status: int) -> None:
    async with serving((ADD,)) as [party]:
        async with party.post(request("tools/list"), **headers) as response:
            assert response.status == status
            assert "add" not in await response.text()
        async with party.post(request("tools/call", name="add"), **headers) as response:
            assert response.status == status
        assert party.delivered.empty()


async def test_arguments_lose_halves_of_characters_and_nothing_else() -> None:
    async with serving((ADD,)) as [party], party.call(text="x\ud83dy \U0001f600"):
        delivered = await party.next()
        assert delivered["params"]["arguments"] == {"text": "x\ufffdy \U0001f600"}


async def test_what_is_no_request_is_refused() -> None:
    async with serving((ADD,)) as [party]:
        url, headers = party.offer.place["url"], party.offer.place["headers"]
        for body in (b"{", b'{"id":1,"a":' + b"[" * 100_000 + b'"\\ud83d"'):
            async with party.http.post(url, data=body, headers=headers) as response:
                assert response.status == 400
        async with party.post([request("ping")]) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (400, -32600)
        async with party.post({"jsonrpc": "2.0", "id": 3, "result": {}}) as response:
            assert response.status == 202


async def test_an_agent_that_leaves_withdraws_its_call() -> None:
    async with serving((ADD,)) as [party]:
        async with party.call():
            identity = (await party.next())["params"]["id"]
        # Leaving the block has closed the connection.
        assert await party.next() == {"method": TOOL_WITHDRAWN, "params": {"id": identity}}
        party.offer.answer(identity, result("too late"))


async def test_an_agent_can_say_that_it_waits_no_longer() -> None:
    async with serving((ADD,)) as [party], party.call(number="r-1") as response:
        identity = (await party.next())["params"]["id"]
        for wrong in ("r-0", "r-1"):
            cancelled = {"method": "notifications/cancelled", "params": {"requestId": wrong}}
            async with party.post(cancelled) as told:
                assert told.status == 202
        assert await party.next() == {"method": TOOL_WITHDRAWN, "params": {"id": identity}}
        assert b"data:" not in await response.read()


async def test_a_closed_offer_fails_its_calls_and_is_gone() -> None:
    async with serving((ADD,)) as [party], party.call() as response:
        await party.next()
        party.offer.close()
        answer = answer_in(await response.read())
        assert answer["result"]["isError"]
        assert party.delivered.empty()
        async with party.post(request("tools/list")) as refused:
            assert refused.status == 401


async def test_a_stopping_daemon_fails_what_waits() -> None:
    async with serving((ADD,)) as [party], beside(_whole(party)) as [body]:
        await party.next()
        party.offer.close()
        assert answer_in(await body)["result"]["isError"]


async def test_a_large_result_and_large_arguments_pass() -> None:
    large = "x" * 3_000_000
    async with serving((ADD,)) as [party], party.call(text=large) as response:
        params = (await party.next())["params"]
        assert params["arguments"] == {"text": large}
        party.offer.answer(params["id"], result(large))
        assert answer_in(await response.read())["result"] == result(large)


async def test_a_server_nobody_used_has_nothing_to_close() -> None:
    await ToolServer().aclose()


async def test_a_machine_that_gives_no_socket_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoSocket(socket.socket):
        def bind(self, address: object) -> None:
            raise OSError("no address")

    monkeypatch.setattr(socket, "socket", NoSocket)
    with pytest.raises(BackendUnavailable, match="no address"):
        ToolServer().offer((ADD,), print)


async def test_an_offer_may_be_made_before_anybody_listens_and_closed_at_once() -> None:
    server = ToolServer()
    server.offer((ADD,), print).close()
    await server.aclose()


async def _whole(party: Party) -> bytes:
    async with party.call() as response:
        body: bytes = await response.read()
        return body
