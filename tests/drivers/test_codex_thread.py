"""Questions, interrupts and the end of a conversation with codex."""

from __future__ import annotations

import pytest

from clinvkd.drivers.base import Json, Send
from clinvkd.events import (
    Completed,
    ToolCall,
    ToolOutput,
)

from .codex_talk import (
    HISTORY,
    Recording,
    Talk,
    agent,
    ask,
    asked,
    done,
    notice,
    running,
    text,
)
from .playing import Played


class TestPermissions:
    def test_command_that_asks_is_declined(self) -> None:
        played = ask("approvals", 1, asked(permissions=agent()))
        answer = {"id": 1, "result": {"decision": "decline"}}
        assert played.sent[-1] == answer
        command = "/bin/bash -lc 'touch /project/esc && ls'"
        call = ToolCall(
            "call_ec9ec5ca", "command_execution", {"command": command, "cwd": "/project"}
        )
        assert played.events[1:3] == [
            call,
            ToolOutput(call.id, "command_execution", "declined", is_error=True),
        ]
        assert isinstance(played.events[-1], Completed)

    def test_output_of_a_command(self) -> None:
        events = ask("approvals", 0, asked(permissions=agent())).events
        output = ToolOutput(
            "call_26bc66b5", "command_execution", "README.md\na.png\nesc\nnew.txt\n"
        )
        assert output in events

    def test_file_change_that_asks_is_declined(self) -> None:
        played = ask("approvals", 3, asked(permissions=agent()))
        assert played.sent[-1] == {"id": 3, "result": {"decision": "decline"}}
        change = {"path": "/project/p1.txt", "kind": {"type": "add"}, "diff": "hello\n"}
        assert played.events[1] == ToolCall("call_ce9964d2", "file_change", {"changes": [change]})

    def test_tool_of_an_mcp_server_that_asks_is_declined(self) -> None:
        played = ask("mcp-approval", 0, asked(permissions=agent()))
        assert played.sent[-1] == {"id": 0, "result": {"action": "decline", "content": None}}
        assert played.events[1:3] == [
            ToolCall("call_d2ac4492", "mcp__client__get_weather", {"city": "Paris"}),
            ToolOutput("call_d2ac4492", "mcp__client__get_weather", "sunny Paris"),
        ]

    @pytest.mark.parametrize(
        ("method", "answer"),
        [
            (
                "item/permissions/requestApproval",
                {"result": {"permissions": {}, "scope": "turn"}},
            ),
            ("item/tool/requestUserInput", {"result": {"answers": {}}}),
            (
                "item/new/question",
                {"error": {"code": -32601, "message": "item/new/question is not offered"}},
            ),
        ],
    )
    def test_other_questions_are_answered_at_once(self, method: str, answer: Json) -> None:
        talk = Talk()
        question = {"id": 7, **notice(method)}
        assert running(talk, asked(), question).sent[-1] == {"id": 7, **answer}
        assert list(talk.script.unsolicited(question)) == [Send({"id": 7, **answer})]
        assert list(talk.driver.unrouted(question)) == [
            Send(
                {"id": 7, "error": {"code": -32601, "message": f"{method} is not offered"}},
            )
        ]


class TestInterrupt:
    def test_in_the_middle_of_the_text(self) -> None:
        recording = Recording("interrupt")
        talk = Talk()
        talk.bind(asked(), recording.thread(0))
        *streamed, ended = recording.turn(0)
        turn = talk.script.turn(asked())
        played = talk.play(turn, streamed)
        assert not played.finished
        (stop,) = talk.script.interrupt()
        assert stop.message["method"] == "turn/interrupt"
        assert stop.message["params"] == {
            "threadId": ended["params"]["threadId"],
            "turnId": ended["params"]["turn"]["id"],
        }
        assert talk.resume(turn, ended).events == [Completed(stop_reason="interrupted")]

    def test_the_turn_ends_as_interrupted(self) -> None:
        talk = Talk()
        played = ask("interrupt", 0, None, talk)
        assert text(played.events) == "tok0 tok1 tok2 tok3 "
        assert played.events[-1] == Completed(stop_reason="interrupted")
        assert not talk.script.reusable

    def test_commands_in_the_background_are_stopped_too(self) -> None:
        talk = Talk()
        running(talk, asked(permissions=agent()))
        sent = [send.message for send in talk.script.interrupt()]
        assert [(message["method"], message["params"]) for message in sent] == [
            ("turn/interrupt", {"threadId": "t", "turnId": "u"}),
            ("thread/backgroundTerminals/clean", {"threadId": "t"}),
        ]

    def test_turn_that_is_just_being_started(self) -> None:
        talk = Talk()
        talk.bind(asked())
        talk.play(talk.script.turn(asked()), [])
        (stop,) = talk.script.interrupt()
        assert stop.message["params"] == {"threadId": "t", "turnId": ""}

    def test_the_answer_to_the_interrupt_is_no_end(self) -> None:
        talk = Talk()
        prompt = asked()
        talk.bind(prompt)
        turn = talk.script.turn(prompt)
        talk.play(turn, [])
        (stop,) = talk.script.interrupt()
        answer = {"id": stop.message["id"], "result": {}}
        assert talk.driver.route(answer) is talk.script
        assert not talk.resume(turn, answer).finished
        assert talk.resume(turn, done("interrupted")).finished

    def test_before_the_thread_has_started(self) -> None:
        talk = Talk()
        bind = talk.script.bind(asked())
        talk.play(bind, [])
        assert list(talk.script.interrupt()) == []
        assert talk.play(talk.script.seed(HISTORY), []) == Played(finished=True)
        assert talk.play(talk.script.turn(asked()), []) == Played(
            finished=True, events=[Completed(stop_reason="interrupted")]
        )


class TestClose:
    def test_the_thread_is_left(self) -> None:
        talk = Talk()
        running(talk, asked(), done())
        (leave,) = talk.script.close()
        assert leave.message["method"] == "thread/unsubscribe"
        assert leave.message["params"] == {"threadId": "t"}
        answer = {"id": leave.message["id"], "result": {"status": "unsubscribed"}}
        assert talk.driver.route(answer) is None
        assert list(talk.driver.unrouted(answer)) == []
        assert talk.driver.route(notice("thread/closed")) is None

    def test_a_running_turn_is_stopped_first(self) -> None:
        talk = Talk()
        running(talk, asked())
        assert [send.message["method"] for send in talk.script.close()] == [
            "turn/interrupt",
            "thread/unsubscribe",
        ]

    def test_a_turn_whose_end_came_unread_is_not_stopped_again(self) -> None:
        talk = Talk()
        running(talk, asked())
        assert list(talk.script.unsolicited(notice("item/new/kind"))) == []
        assert list(talk.script.unsolicited(done())) == []
        assert [send.message["method"] for send in talk.script.close()] == ["thread/unsubscribe"]

    def test_a_thread_that_starts_after_its_conversation_is_gone(self) -> None:
        talk = Talk()
        talk.play(talk.script.bind(asked()), [])
        assert list(talk.script.close()) == []
        late = {"id": talk.requests[0]["id"], "result": {"thread": {"id": "late"}}}
        assert talk.driver.route(late) is None
        (leave,) = talk.driver.unrouted(late)
        assert leave.message["method"] == "thread/unsubscribe"
        assert leave.message["params"] == {"threadId": "late"}
