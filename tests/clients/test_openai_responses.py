"""Responses with the official Python SDK."""

from __future__ import annotations

import pytest
import pytest_asyncio

from .programs.pictures import PIXEL
from .reading import holds, is_ordered, schemas, spoken
from .stage import REAL, SDKS, Run, Stages, python_client

pytestmark = pytest.mark.timeout(300)

EVERYWHERE = pytest.mark.parametrize(("backend", "sdk"), SDKS)
WITH_PROVIDER = pytest.mark.parametrize(
    ("backend", "sdk"), [one for one in SDKS if one.values[0] in REAL]
)


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str, sdk: str) -> Run:
    return await stages.run(backend, python_client(sdk, "openai_responses"))


@EVERYWHERE
def test_a_response_is_whole(run: Run) -> None:
    response = run.result("create")
    assert run.is_reply(response["output_text"], "create")
    assert response["status"] == "completed"
    assert (response["object"], response["model"]) == ("response", run.backend)
    assert response["instructions"] == "Be brief."
    assert response["metadata"] == {"topic": "greeting"}
    assert response["id"].startswith("resp_")
    assert response["request_id"]
    if run.backend in REAL:
        request = run.turn("create")
        assert is_ordered(request, "Be brief.")
        assert spoken(request) == [("user", "Say hello marker=create")]
        usage = response["usage"]
        output, cached, reasoning = {"gemini": (10, 0, 0)}.get(run.backend, (13, 7, 3))
        assert (usage["input_tokens"], usage["output_tokens"]) == (31, output)
        assert usage["input_tokens_details"]["cached_tokens"] == cached
        assert usage["output_tokens_details"]["reasoning_tokens"] == reasoning


@EVERYWHERE
def test_items_keep_their_roles(run: Run) -> None:
    assert run.is_reply(run.result("items"), "items")
    if run.backend in REAL:
        request = run.turn("items")
        assert is_ordered(request, "Be brief.")
        assert spoken(request) == [
            ("user", "I am called Ada."),
            ("assistant", "Hello Ada."),
            ("user", "Say hello marker=items"),
        ]


@EVERYWHERE
def test_an_image_reaches_the_provider_or_is_refused(run: Run) -> None:
    result = run.result("image")
    if run.backend == "local":
        assert "'local' does not take images" in result["refused"]
        return
    assert run.is_reply(result["text"], "image")
    if run.backend in REAL:
        assert holds(run.turn("image"), PIXEL)


@WITH_PROVIDER
def test_an_answer_is_parsed_into_a_model(run: Run) -> None:
    assert run.result("parse") == ["Weather", {"city": "Oslo", "degrees": 3}]
    wanted = {"city", "degrees"}
    assert [s for s in schemas(run.turns("parse")[0]) if s["properties"].keys() == wanted]


@WITH_PROVIDER
def test_a_limit_leaves_the_response_incomplete(run: Run) -> None:
    status, details, text = run.result("limit")
    assert status == "incomplete"
    assert details == {"reason": "max_output_tokens"}
    assert text.startswith("word1 ")


@EVERYWHERE
def test_a_stream_tells_its_events_in_order(run: Run) -> None:
    told = run.result("stream")
    deltas = told["types"].count("response.output_text.delta")
    assert deltas > 1
    assert told["types"] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert told["numbers"] == list(range(len(told["types"])))
    assert run.is_reply(told["text"], "stream")
    [item] = told["final"]["output"]
    assert item["content"][0]["text"] == told["text"]
    assert told["final"]["usage"]["total_tokens"] > 0


@WITH_PROVIDER
def test_the_same_conversation_whole_and_streamed_gives_the_same(run: Run) -> None:
    whole, streamed = run.result("whole_and_streamed")
    assert run.is_reply(whole[0], "whole_and_streamed")
    assert streamed == whole
    first, second = run.turns("whole_and_streamed")
    assert spoken(first) == spoken(second)


@EVERYWHERE
def test_the_stream_helper_puts_the_response_together(run: Run) -> None:
    first, last, text = run.result("stream_helper")
    assert first == "response.created"
    assert last == "response.completed"
    assert run.is_reply(text, "stream_helper")


@WITH_PROVIDER
def test_reasoning_is_told_when_asked_for(run: Run) -> None:
    types, summaries, tokens = run.result("reasoning")
    assert types == ["reasoning", "message"]
    assert "".join(summaries) == "Let me think."
    assert tokens == (0 if run.backend == "gemini" else 3)


@EVERYWHERE
def test_a_response_is_kept_until_it_is_deleted(run: Run) -> None:
    told = run.result("stored")
    assert told["same"] is True
    [item] = told["asked"]
    assert (item["type"], item["role"]) == ("message", "user")
    assert [part["text"] for part in item["content"]] == ["Say hello marker=stored"]
    assert (told["after"]["class"], told["after"]["status"]) == ("NotFoundError", 404)


@EVERYWHERE
def test_a_response_is_not_kept_when_that_is_not_wanted(run: Run) -> None:
    store, after = run.result("not_stored")
    assert store is False
    assert after["class"] == "NotFoundError"


@EVERYWHERE
def test_a_response_continues_the_one_before(run: Run) -> None:
    told = run.result("chain")
    # The third one goes on from a place the conversation of the first has left behind.
    assert told["ways"].pop("continue") == 1
    assert sum(told["ways"].values()) == 2
    assert told["previous"] == [True, True]
    for number, text in enumerate(told["texts"], 1):
        assert run.is_reply(text, f"chain_{number}")
    if run.backend in REAL:
        begin = [("user", "Say hello marker=chain_1"), ("assistant", told["texts"][0])]
        for number in (2, 3):
            request = run.turn(f"chain_{number}")
            assert spoken(request) == [*begin, ("user", f"Say hello marker=chain_{number}")]


@EVERYWHERE
def test_a_background_response_is_fetched_when_it_is_done(run: Run) -> None:
    begun, ended, text = run.result("background")
    assert begun in ("queued", "in_progress")
    assert ended == "completed"
    assert run.is_reply(text, "background")


@WITH_PROVIDER
def test_a_background_response_is_cancelled(run: Run) -> None:
    assert run.result("cancelled") == ["cancelled", "cancelled", True]
    assert run.unfinished == 0


@WITH_PROVIDER
def test_a_client_that_leaves_ends_its_turn(run: Run) -> None:
    assert run.result("closed_stream") == ["word1 ", True]
    assert len(run.turns("closed_stream")) == 1
    assert run.unfinished == 0


@EVERYWHERE
def test_client_tools_are_taken_and_reach_the_provider(run: Run) -> None:
    assert run.result("client_tools") is None
    if run.backend in REAL:
        assert holds(run.turn("client_tools"), "weather")


@WITH_PROVIDER
def test_a_rate_limit_of_the_provider(run: Run) -> None:
    error = run.result("rate_limited")
    assert (error["class"], error["code"]) == ("RateLimitError", "rate_limit_exceeded")
