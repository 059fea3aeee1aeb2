from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientResponse, ClientSession, ClientTimeout

from . import DEFAULT_TEXT, FakeProvider, Kind, Reply, ToolCall, Usage, in_turn
from .dialects import DIALECTS, Dialect, Turn, events


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


@pytest.fixture
async def provider(dialect: Dialect) -> AsyncIterator[FakeProvider]:
    async with dialect.provider() as provider:
        yield provider


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession(timeout=ClientTimeout(30)) as session:
        yield session


class Client:
    """Sends prompts to one provider."""

    def __init__(self, dialect: Dialect, provider: FakeProvider, session: ClientSession) -> None:
        self.dialect = dialect
        self.provider = provider
        self.session = session

    async def post(self, *turns: Turn, stream: bool = True) -> ClientResponse:
        path, body = self.dialect.request(list(turns), stream)
        return await self.session.post(self.provider.url + path, json=body)

    async def pieces(self, prompt: str) -> list[str]:
        """The pieces of a complete stream."""
        received, ended = [], False
        async with await self.post(("user", prompt)) as response:
            assert response.status == 200
            async for event in events(response):
                received.append(self.dialect.delta(event))
                ended = ended or self.dialect.ended(event)
        assert ended
        return list(filter(None, received))


@pytest.fixture
def client(dialect: Dialect, provider: FakeProvider, session: ClientSession) -> Client:
    return Client(dialect, provider, session)


def found(value: Any, key: str) -> Iterator[Any]:
    """Everything that stands under `key`, at any depth."""
    match value:
        case dict():
            if key in value:
                yield value[key]
            for inner in value.values():
                yield from found(inner, key)
        case list():
            for inner in value:
                yield from found(inner, key)


async def test_the_answer_streams_in_pieces(client: Client) -> None:
    pieces = await client.pieces("hi marker=X1")
    assert len(pieces) == 4
    assert "".join(pieces) == f"{DEFAULT_TEXT} marker=X1"


async def test_the_answer_comes_whole_if_not_streamed(client: Client) -> None:
    async with await client.post(("user", "hi"), stream=False) as response:
        assert client.dialect.text(await response.json()) == DEFAULT_TEXT


async def test_the_conversation_is_recorded(client: Client, provider: FakeProvider) -> None:
    turns = [("user", "hi"), ("assistant", "hello"), ("user", "and now?")]
    async with await client.post(*turns):
        pass
    request = await provider.wait_for_turn()
    assert provider.requests == [await provider.wait_for_request()] == [request]
    assert request.conversation.system == "be brief"
    assert [(spoken.role, spoken.text) for spoken in request.conversation.utterances] == turns
    assert (request.model, request.last_user_text) == ("m", "and now?")
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 529])
async def test_an_error_has_status_and_the_vendors_body(client: Client, status: int) -> None:
    async with await client.post(("user", f'%%{{"error": {status}}}%%')) as response:
        assert response.status == status
        assert client.dialect.error(await response.json()) == f"fake error {status}"
        assert "retry-after" not in response.headers


async def test_an_error_may_say_when_to_try_again(client: Client) -> None:
    prompt = '%%{"error": {"status": 429, "message": "slow down", "retry_after": 2}}%%'
    async with await client.post(("user", prompt)) as response:
        assert response.headers["retry-after"] == "2"
        assert client.dialect.error(await response.json()) == "slow down"


async def test_a_bad_directive_is_answered_400(client: Client) -> None:
    async with await client.post(("user", '%%{"txt": 1}%%')) as response:
        assert response.status == 400
        assert "bad directive" in client.dialect.error(await response.json())


@pytest.mark.parametrize("pieces", [0, 2, 4])
async def test_a_stream_can_be_cut(client: Client, pieces: int) -> None:
    received: list[str] = []

    async def read(response: ClientResponse) -> None:
        async for event in events(response):
            received.extend(filter(None, [client.dialect.delta(event)]))

    async with await client.post(("user", f'%%{{"cut_after": {pieces}}}%%')) as response:
        with pytest.raises(ClientPayloadError):
            await read(response)
    assert len(received) == pieces
    await client.provider.wait_for_idle()
    assert client.provider.disconnects == 0


@pytest.mark.parametrize("pieces", [0, 2, 4])
async def test_a_stream_can_fail(client: Client, pieces: int) -> None:
    async with await client.post(("user", f'%%{{"fail_after": {pieces}}}%%')) as response:
        assert response.status == 200
        received = [event async for event in events(response)]
    *answer, failure = received
    assert client.dialect.error(failure).startswith("fake ")
    assert len([event for event in answer if client.dialect.delta(event)]) == pieces


async def test_many_streams_run_at_once_and_are_not_mixed_up(client: Client) -> None:
    count = 20
    async with asyncio.TaskGroup() as group:
        answers = [
            group.create_task(
                client.pieces(f'marker=N{number} %%{{"words": 3, "hold_after": 2}}%%')
            )
            for number in range(count)
        ]
        await client.provider.wait_for_held(count)
        client.provider.release()
    assert client.provider.max_active == count
    assert client.provider.active == 0
    assert [answer.result()[-1] for answer in answers] == [f"marker=N{n}" for n in range(count)]


async def test_a_held_stream_waits_for_its_release(client: Client) -> None:
    async with await client.post(("user", '%%{"words": 3, "hold_after": 1}%%')) as response:
        stream = (text async for event in events(response) if (text := client.dialect.delta(event)))
        assert await anext(stream) == "word1 "
        await client.provider.wait_for_held()
        assert client.provider.active == 1
        client.provider.release()
        assert [piece async for piece in stream] == ["word2 ", "word3 "]
        assert client.provider.held == 0


async def test_a_client_that_leaves_a_stream_is_counted(client: Client) -> None:
    response = await client.post(("user", '%%{"words": 3, "hold_after": 1}%%'))
    await response.content.readline()
    assert client.provider.active == 1
    response.close()
    await client.provider.wait_for_disconnects()
    await client.provider.wait_for_idle()
    assert client.provider.disconnects == 1


async def test_silence_lasts_until_the_client_leaves(client: Client) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(client.post(("user", '%%{"silent": true}%%')))
        await client.provider.wait_for_active()
        assert not waiting.done()
        waiting.cancel()
    await client.provider.wait_for_disconnects()


async def test_a_provider_stops_although_clients_wait(
    dialect: Dialect, session: ClientSession
) -> None:
    async with asyncio.TaskGroup() as group:
        async with dialect.provider() as provider:
            client = Client(dialect, provider, session)
            waiting = group.create_task(client.post(("user", '%%{"silent": true}%%')))
            await provider.wait_for_active()
        waiting.cancel()
    assert provider.disconnects == 0


async def test_thinking_and_tools_are_streamed(dialect: Dialect, session: ClientSession) -> None:
    calls = (ToolCall("weather", {"city": "Oslo"}), ToolCall("weather", {"city": "Rome"}))
    reply = Reply(thinking="Let me see.", tools=calls)
    async with dialect.provider(in_turn(reply)) as provider:
        client = Client(dialect, provider, session)
        async with await client.post(("user", "weather?")) as response:
            received = [event async for event in events(response)]
        text = str(received)
        assert "Let me see." in text
        assert all(name == "weather" for name in found(received, "name"))
        assert "Oslo" in text
        assert "Rome" in text
        assert not any(client.dialect.delta(event) for event in received)


async def test_usage_is_reported_as_the_vendor_counts(session: ClientSession) -> None:
    usage = Usage(input=100, cached=40, output=20, reasoning=5)
    expected = {
        "anthropic": {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 20},
        "responses": {"input_tokens": 100, "cached_tokens": 40, "reasoning_tokens": 5},
        "gemini": {"promptTokenCount": 100, "candidatesTokenCount": 15, "thoughtsTokenCount": 5},
        "chat": {"prompt_tokens": 100, "cached_tokens": 40, "completion_tokens": 20},
    }
    for name, dialect in DIALECTS.items():
        async with dialect.provider(in_turn(Reply(usage=usage))) as provider:
            client = Client(dialect, provider, session)
            async with await client.post(("user", "hi"), stream=False) as response:
                body = await response.json()
        for field, value in expected[name].items():
            assert list(found(body, field)) == [value], (name, field)


@pytest.mark.parametrize(
    ("name", "stop", "wire"),
    [
        ("anthropic", "max_tokens", "'stop_reason': 'max_tokens'"),
        ("anthropic", "refusal", "'stop_reason': 'refusal'"),
        ("responses", "max_tokens", "'reason': 'max_output_tokens'"),
        ("gemini", "max_tokens", "'finishReason': 'MAX_TOKENS'"),
        ("gemini", "refusal", "'finishReason': 'SAFETY'"),
        ("chat", "max_tokens", "'finish_reason': 'length'"),
    ],
)
async def test_the_reason_of_the_stop_is_told(
    session: ClientSession, name: str, stop: Any, wire: str
) -> None:
    async with DIALECTS[name].provider(in_turn(Reply(stop=stop))) as provider:
        client = Client(DIALECTS[name], provider, session)
        async with await client.post(("user", "hi")) as response:
            assert wire in str([event async for event in events(response)])


async def test_requests_beside_the_turns_are_told_apart(session: ClientSession) -> None:
    schema = {"properties": {"complexity_score": {"type": "INTEGER"}}}
    title = [{"role": "system", "content": "You are a title generator. You"}]
    probe = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    cases = [
        ("anthropic", "/v1/messages", probe, Kind.PROBE),
        ("anthropic", "/v1/messages/count_tokens", {}, Kind.COUNT),
        (
            "gemini",
            "/v1beta/models/m:generateContent",
            {"generationConfig": {"responseJsonSchema": schema}},
            Kind.DECISION,
        ),
        ("chat", "/v1/chat/completions", {"messages": title}, Kind.BACKGROUND),
    ]
    for name, path, body, kind in cases:
        async with DIALECTS[name].provider(in_turn(Reply(error=None, silent=True))) as provider:
            async with session.post(provider.url + path, json=body) as response:
                assert response.status == 200, name
                assert await response.json()
            assert [request.kind for request in provider.requests] == [kind], name
            assert provider.turns == []


async def test_an_unknown_path_is_not_found(client: Client, provider: FakeProvider) -> None:
    async with client.session.get(f"{provider.url}/nowhere") as response:
        assert response.status == 404
    assert provider.requests[0].kind is Kind.UNKNOWN


async def test_tool_results_are_utterances_and_bring_the_next_reply(session: ClientSession) -> None:
    prompt = '%%{"tools": [{"name": "t"}], "then": {"text": "done"}}%%'
    call = {"id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}}
    asked = {"role": "user", "content": prompt}
    note = {"type": "text", "text": "<system-reminder>x</system-reminder>"}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "sunny"}
    output = {"type": "function_call_output", "call_id": "c", "output": "sunny"}
    bodies: dict[str, dict[str, Any]] = {
        "anthropic": {
            "messages": [
                asked,
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "t"}]},
                {"role": "user", "content": [result, note]},
            ]
        },
        "responses": {
            "input": [
                {"type": "message", **asked},
                {"type": "function_call", "call_id": "c", "name": "t", "arguments": "{}"},
                output,
            ]
        },
        "gemini": {
            "contents": [
                {"role": "user", "parts": [{"text": prompt}]},
                {"role": "model", "parts": [{"functionCall": {"name": "t", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {"response": "sunny"}}]},
            ]
        },
        "chat": {
            "messages": [
                asked,
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": "sunny"},
            ]
        },
    }
    for name, more in bodies.items():
        dialect = DIALECTS[name]
        async with dialect.provider() as provider:
            path, body = dialect.request([], False)
            async with session.post(provider.url + path, json={**body, **more}) as response:
                assert dialect.text(await response.json()) == "done", name
            spoken = provider.turns[0].conversation.utterances
            assert [said.role for said in spoken] == ["user", "tool"], name
            assert "sunny" in spoken[1].text
