"""The claude driver against recorded lines: how turns end, fail and ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinvkd.drivers.base import Json
from clinvkd.errors import BackendError, BackendRefused, BackendUnavailable, RateLimited
from clinvkd.events import (
    Completed,
    Event,
    Progress,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolOutput,
    Usage,
)
from clinvkd.prompt import Permissions

from .claude_lines import (
    INTERRUPT,
    ONE_CALL,
    Live,
    asked,
    block,
    called,
    ended,
    gave,
    question,
    recorded,
    requests,
    result,
    said,
    script,
    started,
    stopped,
)
from .playing import Played, continue_play, play

# Ends


def test_an_interrupt_as_recorded() -> None:
    incoming = recorded("05")
    cut = next(i for i, line in enumerate(incoming) if "still_queued" in str(line))
    conversation = script()
    live = Live(conversation, asked("slow"))
    assert not live.feed(*incoming[:cut]).finished
    (sent,) = conversation.interrupt()
    assert sent.message["request"] == INTERRUPT
    assert list(conversation.interrupt()) == []
    end = 1 + next(i for i, line in enumerate(incoming) if line["type"] == "result")
    completed = stopped(live.feed(*incoming[cut:end]))
    assert [e.text for e in live.played.events if isinstance(e, TextDelta)] == ["wor", "d w"]
    assert completed.stop_reason == "interrupted"
    assert completed.usage.input_tokens == ONE_CALL.input_tokens
    assert not conversation.reusable
    assert list(conversation.interrupt()) == []


def test_an_interrupt_between_turns_sends_nothing() -> None:
    conversation = script()
    assert list(conversation.interrupt()) == []
    play(conversation.turn(asked("x")), [result()])
    assert list(conversation.interrupt()) == []


def test_max_tokens_ends_the_turn_instead_of_going_on() -> None:
    conversation = script()
    played = play(conversation.turn(asked("m")), recorded("17"))
    assert requests(played) == [INTERRUPT]
    completed = stopped(played)
    assert completed.stop_reason == "max_tokens"
    assert not conversation.reusable


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_nothing_is_told_after_a_limit(reason: str) -> None:
    incoming = [
        started(),
        block(),
        said("cut"),
        ended(reason),
        started(),
        block(),
        said("continued"),
        called("t"),
        question("Bash", {"command": "rm x"}),
        result(subtype="error_during_execution", is_error=True, usage={"output_tokens": 0}),
    ]
    usage = Usage(input_tokens=5, output_tokens=9)
    played = play(script(asked("x")).turn(asked("x")), incoming)
    assert requests(played) == [INTERRUPT]
    assert [e for e in played.events if not isinstance(e, Progress)] == [
        TextDelta("cut"),
        TokenUsage(usage),
        Completed("max_tokens", usage),
    ]
    assert played.sent[-1]["response"]["response"]["behavior"] == "deny"


def test_an_empty_answer_is_not_asked_for_again() -> None:
    incoming = [started(), ended("end_turn"), started(), block(), said("?"), result()]
    played = play(script().turn(asked("x")), incoming)
    assert requests(played) == [INTERRUPT]
    assert stopped(played).stop_reason == "end_turn"
    assert not any(isinstance(event, TextDelta) for event in played.events)


def rounds(number: int) -> list[Json]:
    incoming: list[Json] = []
    for one in range(number):
        identity = f"t{one}"
        incoming += [
            started(),
            block("tool_use"),
            called(identity),
            ended("tool_use"),
            gave(identity, "done"),
        ]
    return incoming


def test_max_turns_ends_the_tool_loop_after_its_results() -> None:
    prompt = asked("x", max_turns=2)
    played = play(script(prompt).turn(prompt), [*rounds(2), result(is_error=True)])
    assert requests(played) == [INTERRUPT]
    assert isinstance(played.events[-2], ToolOutput)
    assert stopped(played).stop_reason == "max_turns"


def test_max_turns_counts_calls_whose_results_come_early() -> None:
    prompt = asked("x", max_turns=1)
    incoming = [started(), block("tool_use"), called("t"), gave("t", "done"), ended("tool_use")]
    live = Live(script(prompt), prompt)
    assert requests(live.feed(*incoming[:-1])) == []
    assert requests(live.feed(incoming[-1])) == [INTERRUPT]


def test_max_turns_waits_for_no_call_of_a_subagent() -> None:
    prompt = asked("x", max_turns=1)
    incoming = [started(), called("t"), ended("tool_use"), called("inner", parent="t")]
    live = Live(script(prompt), prompt)
    assert requests(live.feed(*incoming)) == []
    assert requests(live.feed(gave("t", "done"))) == [INTERRUPT]


def test_a_loop_below_max_turns_goes_on() -> None:
    prompt = asked("x", max_turns=3)
    incoming = [*rounds(2), started(), block(), said("end"), ended("end_turn"), result()]
    played = play(script(prompt).turn(prompt), incoming)
    assert requests(played) == []
    assert stopped(played).stop_reason == "end_turn"


def test_the_agents_own_limit_of_turns() -> None:
    conversation = script()
    ending = result(subtype="error_max_turns", is_error=True)
    assert stopped(play(conversation.turn(asked("x")), [ending])).stop_reason == "max_turns"
    assert not conversation.reusable


def test_a_refusal_is_an_answer() -> None:
    ending = result(is_error=True, stop_reason="refusal", result="cannot help")
    incoming = [started(), block(), said("I"), ended("refusal"), ending]
    assert stopped(play(script().turn(asked("x")), incoming)).stop_reason == "refusal"


# Failures


@pytest.mark.parametrize(
    ("transcript", "error", "param", "told"),
    [
        ("15_api_error_400", BackendRefused, None, "fake 400"),
        ("15_api_error_401", BackendUnavailable, None, "/login"),
        ("15_api_error_429", RateLimited, None, "429"),
        ("15_api_error_500", BackendError, None, "fake 500"),
        ("15_not_logged_in", BackendUnavailable, None, "ANTHROPIC_API_KEY"),
    ],
)
def test_failures_as_recorded(
    transcript: str, error: type[Exception], param: str | None, told: str
) -> None:
    conversation = script()
    with pytest.raises(error, match=told) as raised:
        play(conversation.turn(asked("e")), recorded(transcript))
    assert type(raised.value) is error
    assert getattr(raised.value, "param") == param  # noqa: B009
    assert not conversation.reusable


def test_a_stream_that_begins_again_is_an_error_before_any_repetition() -> None:
    incoming = recorded("16")
    events: list[Event] = []
    exchange = script().turn(asked("d"))
    played = Played(events=events)
    with pytest.raises(BackendError, match="ended early"):
        continue_play(exchange, played, None, iter(incoming))
    spoken = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert spoken
    assert "partial answer that is cut".startswith(spoken)


def test_a_cut_stream_with_a_whole_answer_after_it_is_an_error() -> None:
    incoming = [started(), block(), said("partial"), result(result="partial answer")]
    with pytest.raises(BackendError, match="ended early"):
        play(script().turn(asked("d")), incoming)


def test_a_cut_stream_is_an_error_of_the_backend() -> None:
    failure = result(is_error=True, result="Connection lost", terminal_reason="api_error")
    kind = {"type": "assistant", "error": "server_error", "message": {"content": []}}
    incoming = [started(), block(), said("part"), kind, ended(None), failure]
    with pytest.raises(BackendError, match="stream ended early: Connection lost"):
        play(script().turn(asked("d")), incoming)


def test_an_attempt_that_gave_nothing_may_be_repeated() -> None:
    incoming = [started(), started(), block(), said("once"), ended("end_turn"), result()]
    assert TextDelta("once") in play(script().turn(asked("d")), incoming).events


# Permissions and questions


@pytest.mark.parametrize(
    ("permissions", "behaviors"),
    [
        (Permissions(tools=True), ["deny", "deny"]),
        (Permissions(tools=True, approval="none"), ["allow", "allow"]),
        (Permissions(tools=True, approval="auto"), ["deny", "allow"]),
    ],
)
def test_permission_questions_as_recorded(permissions: Permissions, behaviors: list[str]) -> None:
    prompt = asked("do", permissions=permissions, workdir=Path("/project"))
    played = play(script(prompt).turn(prompt), recorded("11"))
    answers = [sent["response"] for sent in played.sent if sent["type"] == "control_response"]
    assert [one["request_id"] for one in answers] == [
        "a4ba8481-0cec-4dbb-954a-10a29bdcca9f",
        "6f313ef4-5c9e-4502-b153-70c21b6b0b3b",
    ]
    assert [one["response"]["behavior"] for one in answers] == behaviors
    for one in answers:
        match one["response"]:
            case {"behavior": "allow", "updatedInput": given}:
                assert given in (
                    {"command": "touch made && echo ok"},
                    {"file_path": "/project/w2.txt", "content": "x"},
                )
            case {"behavior": "deny", "message": message}:
                assert Progress("permission_denied", message) in played.events
    assert [event.id for event in played.events if isinstance(event, ToolCall)] == [
        "toolu_A",
        "toolu_B",
    ]


def test_a_denial_by_the_agent_itself_is_told_and_the_turn_goes_on() -> None:
    played = play(script().turn(asked("do")), recorded("12"))
    (denied,) = (e for e in played.events if isinstance(e, Progress) and e.message)
    assert denied.stage == "permission_denied"
    (output,) = (event for event in played.events if isinstance(event, ToolOutput))
    assert output.is_error
    assert output.name == "Bash"
    assert stopped(played).stop_reason == "end_turn"


def test_questions_between_turns_are_answered() -> None:
    conversation = script(asked("x"))
    (sent,) = conversation.unsolicited(question("Bash", {}))
    assert sent.message["response"]["response"]["behavior"] == "deny"
    assert list(conversation.unsolicited({"type": "control_request"})) == []
    assert list(conversation.unsolicited({"type": "command_lifecycle"})) == []
    assert conversation.reusable


@pytest.mark.parametrize("kind", ["assistant", "result", "stream_event"])
def test_a_turn_nobody_asked_for_ends_the_reuse(kind: str) -> None:
    conversation = script()
    assert list(conversation.unsolicited({"type": kind})) == []
    assert not conversation.reusable
