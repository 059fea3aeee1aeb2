"""The ACP driver: interrupts, errors, refusals and the ends of conversations."""

from __future__ import annotations

from typing import Any

import pytest

from clinvkd.drivers.base import Json
from clinvkd.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ClinvkError,
    RateLimited,
)
from clinvkd.events import Completed, Event, TextDelta

from .acp_talk import (
    Rules,
    Talk,
    answering,
    chunk,
    error,
    gemini,
    plain,
    prompt,
    said,
    text,
    update,
)


def test_opencode_that_is_about_to_repeat_itself_is_stopped() -> None:
    def cut(request: Json) -> list[Json]:
        session = request["params"]["sessionId"]
        notice = {"sessionId": session, "message": "Connection reset by server"}
        return [chunk(request, "half"), {"method": "_clinvk/retry", "params": notice}]

    talk = Talk(Rules(session_prompt=cut), "opencode").start()
    script = talk.driver.open()
    with pytest.raises(BackendError, match="ended early"):
        talk.ask(script, prompt("x"))
    assert [send.message["method"] for send in script.close()] == ["session/cancel"]


def test_interrupted_before_its_session_is_open_a_turn_sends_no_prompt() -> None:
    talk = plain()
    answers, talk.agent = talk.agent, lambda _: ()
    script = talk.driver.open()
    talk.driver.take_spare()
    exchange = script.turn(prompt("x"))
    events: list[Event] = []
    talk.resume(exchange, script, events)
    assert not list(script.interrupt())
    talk.incoming.extend(answers(talk.sent[-1]))
    assert talk.resume(exchange, script, events)
    assert events == [Completed("interrupted")]
    assert "session/prompt" not in talk.methods()


def test_closing_closes_the_session_of_an_agent_that_can() -> None:
    capabilities: Json = {"sessionCapabilities": {"close": {}}}
    talk = plain(initialize={"protocolVersion": 1, "agentCapabilities": capabilities})
    unopened = talk.driver.open()
    assert not list(unopened.close())
    script = talk.driver.open()
    talk.ask(script, prompt("x"))
    (close,) = script.close()
    assert close.message["method"] == "session/close"
    assert talk.driver.route({"method": "session/update", "params": {"sessionId": "s1"}}) is None
    assert talk.driver.route({"id": close.message["id"], "result": {}}) is None
    assert talk.driver.route({"id": 999, "result": {}}) is None
    assert talk.driver.route({"method": "vendor/notice"}) is None


def test_requests_nobody_waits_for_are_refused() -> None:
    talk = plain()
    script = talk.driver.open()
    talk.ask(script, prompt("x"))
    question = {"id": 7, "method": "session/request_permission", "params": {"sessionId": "s1"}}
    for sends in (script.unsolicited(question), talk.driver.unrouted(question)):
        assert [send.message["result"] for send in sends] == [{"outcome": {"outcome": "cancelled"}}]
    (refused,) = talk.driver.unrouted({"id": "u", "method": "fs/read_text_file", "params": {}})
    assert refused.message["error"]["code"] == -32601
    assert not list(script.unsolicited({"method": "session/update"}))
    assert not list(talk.driver.unrouted({"method": "vendor/notice"}))


def test_a_turn_of_an_ended_exchange_still_notes_its_session() -> None:
    talk = plain()
    answers, talk.agent = talk.agent, lambda _: ()
    talk.driver.take_spare()
    script = talk.driver.open()
    talk.play(script.turn(prompt("x")), script).clear()
    opening = next(iter(answers(talk.sent[-1])))
    assert talk.driver.route(opening) is script
    assert not list(script.unsolicited(opening))
    assert not talk.driver.openings
    spare = talk.driver.take_spare()
    assert spare is not None
    assert spare[0] == "s2"


@pytest.mark.parametrize(
    ("members", "kind", "words"),
    [
        ({"code": -1, "text": "x", "data": {"details": "429 slow down"}}, RateLimited, "slow"),
        ({"code": 503, "text": "down"}, BackendUnavailable, "down"),
        ({"code": -32603, "text": "Overloaded"}, BackendUnavailable, "Overloaded"),
        ({"code": -32603, "text": "Rate limit, retry in 7s"}, RateLimited, "7s"),
        ({"code": 400, "text": "bad"}, BackendRefused, "bad"),
        ({"code": -32603, "text": "prompt is too long"}, BackendRefused, "too long"),
        ({"code": -32603, "text": "x", "data": {"details": "Context is too large to send"}},
         BackendRefused, "too large"),
        ({"code": -32603, "text": "x", "data": "HTTP 404"}, BackendRefused, "404"),
        ({"code": 1, "text": "x", "data": {"type": "context_overflow"}}, BackendRefused, "x"),
        ({"code": 1, "text": "x", "data": {"type": "unusable_schema"}}, BackendRefused, "x"),
        ({"code": 500, "text": "{broken"}, BackendError, "broken"),
        ({"code": 500, "text": '{"error": {}}'}, BackendError, "error"),
        ({"code": 500, "text": "bad key=AIzaSyEXAMPLE1234"}, BackendError, r"\(hidden\)"),
    ],
)  # fmt: skip
def test_errors_become_what_they_stand_for(
    members: Any, kind: type[ClinvkError], words: str
) -> None:
    talk = plain(session_prompt=error(**members))
    with pytest.raises(kind, match=words) as caught:
        talk.ask(talk.driver.open(), prompt("x"))
    assert type(caught.value) is kind
    assert isinstance(caught.value, ClinvkError)
    assert caught.value.retry_after == (7 if "7s" in words else kind.default_retry_after)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("max_tokens", "max_tokens"), ("max_turn_requests", "max_turns"), ("refusal", "refusal")],
)
def test_stop_reasons(reason: str, kind: str) -> None:
    talk = plain(session_prompt=answering("a", reason=reason))
    completed = talk.ask(talk.driver.open(), prompt("x"))[-1]
    assert isinstance(completed, Completed)
    assert completed.stop_reason == kind


def test_a_limit_that_is_reached_before_anything_was_asked_is_a_prompt_that_is_too_long() -> None:
    talk = plain(session_prompt=answering(reason="max_tokens", usage=None))
    with pytest.raises(BackendRefused, match="too long") as caught:
        talk.ask(talk.driver.open(), prompt("x"))
    assert caught.value.param == "prompt"
    # A model that only thought has read something.
    thought = {"inputTokens": 3, "outputTokens": 0, "totalTokens": 3}
    talk = plain(session_prompt=answering(reason="max_tokens", usage=thought))
    completed = talk.ask(talk.driver.open(), prompt("x"))[-1]
    assert isinstance(completed, Completed)
    assert completed.stop_reason == "max_tokens"


def test_an_agent_that_cancels_by_itself_fails_the_turn() -> None:
    talk = plain(session_prompt=answering("a", reason="cancelled"))
    with pytest.raises(BackendError, match="by itself"):
        talk.ask(talk.driver.open(), prompt("x"))


def test_a_session_without_an_id_or_another_protocol_version_is_an_error() -> None:
    with pytest.raises(BackendUnavailable, match="version 2"):
        plain(initialize={"protocolVersion": 2})
    talk = plain(session_new={})
    with pytest.raises(BackendError, match="without an id"):
        talk.ask(talk.driver.open(), prompt("x"))


def test_answers_of_unknown_kinds_are_ignored() -> None:
    def odd(request: Json) -> list[Json]:
        session = request["params"]["sessionId"]
        return [
            update(request, sessionUpdate="plan", entries=[]),
            update(request, sessionUpdate="agent_message_chunk", content={"type": "image"}),
            update(request, sessionUpdate="tool_call_update", toolCallId="t", status="pending"),
            {"method": "vendor/x", "params": {"sessionId": session}},
            *answering("[MODE_UPDATE] yolo", "a")(request),
        ]

    talk = gemini(session_prompt=odd)
    assert talk.ask(talk.driver.open(), prompt("x"))[1:-1] == [TextDelta("a")]


def test_the_cost_of_a_turn_is_what_the_session_cost_more() -> None:
    costs = iter((0.25, 0.75))

    def priced(request: Json) -> list[Json]:
        cost = {"amount": next(costs), "currency": "USD"}
        return [update(request, sessionUpdate="usage_update", cost=cost), *answering("a")(request)]

    talk = plain(session_prompt=priced)
    script = talk.driver.open()
    for turn in (talk.ask, talk.again):
        completed = turn(script, prompt("x"))[-1]
        assert isinstance(completed, Completed)
        assert completed.cost_usd == (0.25 if turn == talk.ask else 0.5)


def test_an_agent_that_asks_while_it_opens_a_session_is_refused() -> None:
    talk = Talk(Rules(), "gemini").start()
    answers, talk.agent = talk.agent, lambda _: ()
    script = talk.driver.open()
    asked = prompt("x", said("user", "a"), said("assistant", "b"))
    talk.play(script.seed(asked.history), script)
    exchange = script.turn(asked)
    talk.resume(exchange, script, [])
    session = talk.last("session/load")["sessionId"]
    talk.incoming.append({"id": "q", "method": "vendor/ask", "params": {"sessionId": session}})
    talk.resume(exchange, script, [])
    assert talk.sent[-1]["error"]["code"] == -32601
    assert list(answers({"id": 1, "method": "x"}))


def test_messages_of_one_turn_are_set_apart() -> None:
    def agent(m: Json) -> list[Json]:
        call = {"sessionUpdate": "tool_call", "toolCallId": "t", "title": "ls", "status": "pending"}
        done = {"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "completed"}
        before = [chunk(m, "I "), chunk(m, "look."), update(m, **call), update(m, **done)]
        return [*before, *answering("Do", "ne.")(m)]

    talk = plain(session_prompt=agent)
    assert text(talk.ask(talk.driver.open(), prompt("x"))) == "I look.\n\nDone."


def test_messages_told_apart_by_their_ids_are_set_apart() -> None:
    def agent(m: Json) -> list[Json]:
        pieces = [("a", "One."), ("b", "Two"), ("b", ".\n"), ("c", "Three")]
        told = [chunk(m, piece, messageId=message) for message, piece in pieces]
        return [*told, *answering()(m)]

    talk = plain(session_prompt=agent)
    assert text(talk.ask(talk.driver.open(), prompt("x"))) == "One.\n\nTwo.\nThree"
