"""One store of sessions for all APIs: a conversation of any of them is one session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from .service import Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with serving(tmp_path_factory.mktemp("recorded")) as running:
        yield running


async def post(service: Service, path: str, **body: Any) -> Any:
    async with service.client.post(path, json={"model": "echo", **body}) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def chat(service: Service, *texts: str, **body: Any) -> None:
    messages = [{"role": role, "content": text} for role, text in spoken(*texts)]
    await post(service, "/openai/v1/chat/completions", messages=messages, **body)


async def message(service: Service, *texts: str) -> None:
    messages = [{"role": role, "content": text} for role, text in spoken(*texts)]
    await post(service, "/anthropic/v1/messages", messages=messages, max_tokens=100)


def spoken(*texts: str) -> list[tuple[str, str]]:
    """The history of a conversation with echo, up to the last text."""
    return [(role, text) for text in texts for role in ("user", "assistant")][:-1]


async def said(service: Service, words: str) -> list[list[str]]:
    """What was said in each session in which the words occur."""
    page = await service.engine.sessions.list("", q=words)
    sessions = [await service.kept(session.id) for session in page.sessions]
    return [[each.text for each in session.messages] for session in sessions]


async def test_a_chat_is_one_session(service: Service) -> None:
    await chat(service, "chat one")
    await chat(service, "chat one", "chat two", stream=False)
    assert await said(service, "chat one") == [["chat one", "chat one", "chat two", "chat two"]]


async def test_messages_are_one_session(service: Service) -> None:
    await message(service, "message one")
    await message(service, "message one", "message two")
    (texts,) = await said(service, "message one")
    assert texts[::2] == ["message one", "message two"]


async def test_responses_that_go_on_are_one_session(service: Service) -> None:
    first = await post(service, "/openai/v1/responses", input="response one")
    await post(
        service, "/openai/v1/responses", input="response two", previous_response_id=first["id"]
    )
    (texts,) = await said(service, "response one")
    assert texts[::2] == ["response one", "response two"]


async def test_a_conversation_may_go_from_one_api_to_another(service: Service) -> None:
    answer = await service.post(prompt="across one")
    await chat(service, "across one", "across two")
    await message(service, "across one", "across two", "across three")
    session = answer.json["session_id"]
    assert await service.text("across four", session_id=session) == "across four"
    (texts,) = await said(service, "across one")
    assert texts[::2] == ["across one", "across two", "across three", "across four"]


async def test_choices_of_one_request_are_sessions_of_their_own(service: Service) -> None:
    await chat(service, "choices one")
    await chat(service, "choices one", "choices two", n=3)
    found = sorted(await said(service, "choices one"))
    assert found == [["choices one", "choices one", "choices two", "choices two"]] * 3


async def test_who_wants_nothing_stored_gets_that(service: Service) -> None:
    before = await service.sessions()
    await chat(service, "unstored", store=False)
    await post(service, "/openai/v1/responses", input="unstored", store=False)
    assert await service.sessions() == before
    assert await said(service, "unstored") == []
