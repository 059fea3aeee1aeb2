"""The caller's tools in codex: how they are offered, called and given their results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clinvkd.drivers.base import Exchange, Json, Send
from clinvkd.drivers.codex.tools import settled
from clinvkd.errors import BackendError, BackendRefused
from clinvkd.events import (
    Completed,
    Event,
    Opened,
    Request,
    RequestArguments,
    RequestStarted,
    ToolCall,
    ToolOutput,
    Usage,
)
from clinvkd.prompt import (
    Image,
    Message,
    Prompt,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)

from .codex_talk import (
    HISTORY,
    Recording,
    Talk,
    agent,
    asked,
    delta,
    done,
    failed,
    item,
    notice,
    running,
    started,
    text,
)
from .playing import Played, play

SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("get_weather", "Get weather", SCHEMA)
PARIS = ToolUse("call_fake00000100", "get_weather", {"city": "Paris"})
ROME = ToolUse("call_fake00000103", "get_weather", {"city": "Rome"})
ONE_RESPONSE = Usage(input_tokens=31, output_tokens=13, cached_tokens=7, reasoning_tokens=3)


def with_tools(**options: Any) -> Prompt:
    return asked(**{"tools": (WEATHER,), **options})


def after(prompt: Prompt, *blocks: Any, calls: tuple[ToolUse, ...] = (PARIS, ROME)) -> Prompt:
    """The prompt of the next turn, in which `blocks` answer the calls."""
    messages = (*prompt.messages, Message("assistant", calls), Message("user", blocks))
    return asked_again(prompt, messages)


def asked_again(prompt: Prompt, messages: tuple[Message, ...]) -> Prompt:
    return Prompt(
        backend=prompt.backend,
        messages=messages,
        tools=prompt.tools,
        permissions=prompt.permissions,
        tool_choice=prompt.tool_choice,
    )


def result(call: str, said: str = "sunny", **more: Any) -> ToolResult:
    return ToolResult(call, (Text(said),), **more)


def raw_call(call: str, name: str = "get_weather", arguments: str = '{"city":"Oslo"}') -> Json:
    raw = {"type": "function_call", "call_id": call, "name": name, "arguments": arguments}
    return notice("rawResponseItem/completed", turnId="u", item=raw)


def question(number: int, call: str, tool: str = "get_weather", arguments: Any = None) -> Json:
    given = {"city": "Oslo"} if arguments is None else arguments
    return {
        "id": number,
        **notice("item/tool/call", turnId="u", callId=call, tool=tool, arguments=given),
    }


RESPONSE_ENDED = notice("rawResponse/completed", turnId="u", responseId="r", usage=None)
COUNTED = notice("thread/tokenUsage/updated", tokenUsage={"total": {"inputTokens": 5}})


def requests(events: list[Event]) -> list[Event]:
    return [e for e in events if isinstance(e, RequestStarted | RequestArguments | Request)]


def told(use: ToolUse, arguments: str) -> list[Event]:
    return [
        RequestStarted(use.id, use.name),
        RequestArguments(use.id, arguments),
        Request(use.id, use.name, use.input),
    ]


class Recorded:
    """The recorded exchange with two calls of a known tool, an unknown and an unreadable one."""

    def __init__(self) -> None:
        recording = Recording("dynamic-tools")
        self.talk = Talk()
        self.prompt = with_tools()
        self.incoming: Iterator[Json] = iter(recording.turn(0))
        self.bound = self.talk.bind(self.prompt, recording.thread(0))
        self.first = self.play(self.prompt)

    def play(self, prompt: Prompt) -> Played:
        return self.talk.play(self.talk.script.turn(prompt), self.incoming)


class TestCalls:
    def test_the_turn_ends_with_the_calls_in_the_order_of_the_model(self) -> None:
        played = Recorded().first
        assert played.finished
        assert text(played.events) == "Let me check. "
        assert requests(played.events) == [
            *told(PARIS, '{"city": "Paris"}'),
            *told(ROME, '{ "city": "Rome" }'),
        ]
        assert played.events[-1] == Completed("tool_use", ONE_RESPONSE)

    def test_what_the_tool_is_told_to_codex(self) -> None:
        parameters = Recorded().bound.sent[0]["params"]
        assert parameters["dynamicTools"] == [
            {
                "type": "function",
                "name": "get_weather",
                "description": "Get weather",
                "inputSchema": SCHEMA,
            }
        ]
        assert parameters["experimentalRawEvents"] is True

    def test_results_are_given_also_when_codex_asks_for_them_only_later(self) -> None:
        recorded = Recorded()
        assert recorded.talk.script.reusable
        second = recorded.play(
            after(
                recorded.prompt,
                result(ROME.id, "no such city", is_error=True),
                result(PARIS.id, "sunny in Paris"),
            )
        )
        assert second.sent == [
            {"id": 0, "result": answered("sunny in Paris")},
            {"id": 1, "result": answered("no such city", success=False)},
        ]
        assert isinstance(second.events[0], Opened)
        assert text(second.events) == "Sunny."
        assert second.events[-1] == Completed("end_turn", ONE_RESPONSE)
        assert requests(second.events) == []

    def test_missing_result(self) -> None:
        recorded = Recorded()
        second = recorded.play(after(recorded.prompt, result(PARIS.id)))
        assert second.sent[-1] == {"id": 1, "result": answered("no result was given", False)}

    def test_images_and_texts(self) -> None:
        recorded = Recorded()
        picture = ToolResult(PARIS.id, (Text("see"), Image("image/png", "AAAA")))
        texts = ToolResult(ROME.id, (Text("a"), Text("b")))
        second = recorded.play(after(recorded.prompt, picture, texts))
        assert [sent["result"]["contentItems"] for sent in second.sent] == [
            [
                {"type": "inputText", "text": "see"},
                {"type": "inputImage", "imageUrl": "data:image/png;base64,AAAA"},
            ],
            [{"type": "inputText", "text": "ab"}],
        ]

    def test_text_beside_the_results_is_in_place_before_codex_goes_on(self) -> None:
        talk = parked()
        prompt = after(with_tools(), result("c"), Text("And now?"), calls=(use("c"),))
        turn = talk.script.turn(prompt)
        played = talk.play(turn, [item("completed", "reasoning", "x", summary=["I see."])])
        (injected,) = played.sent
        assert injected["method"] == "thread/inject_items"
        assert injected["params"]["items"] == [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "And now?"}],
            }
        ]
        resumed = talk.resume(turn, {"id": injected["id"], "result": {}})
        assert resumed.sent == [{"id": 7, "result": answered("sunny")}]
        assert [type(event).__name__ for event in resumed.events] == ["Opened", "ThinkingDelta"]

    def test_refused_text_beside_the_results(self) -> None:
        talk = parked()
        turn = talk.script.turn(after(with_tools(), result("c"), Text("And?"), calls=(use("c"),)))
        (injected,) = talk.play(turn, []).sent
        with pytest.raises(BackendError, match="no"):
            talk.resume(turn, {"id": injected["id"], "error": {"code": -1, "message": "no"}})
        assert not talk.script.reusable

    @pytest.mark.parametrize(
        "order",
        [
            (RESPONSE_ENDED, question(7, "a"), question(8, "b")),
            (question(7, "a"), RESPONSE_ENDED, question(8, "b")),
            (question(8, "b"), question(7, "a"), RESPONSE_ENDED),
        ],
    )
    def test_questions_and_the_end_of_the_response_come_in_any_order(
        self, order: tuple[Json, ...]
    ) -> None:
        talk = Talk()
        prompt = with_tools()
        incoming = iter([raw_call("a"), raw_call("b"), *order])
        first = begun(talk, prompt, incoming)
        assert first.finished
        assert [e.id for e in first.events if isinstance(e, Request)] == ["a", "b"]
        for late in incoming:
            assert list(talk.script.unsolicited(late)) == []
        answers = after(prompt, result("a", "1"), result("b", "2"), calls=(use("a"), use("b")))
        second = talk.play(talk.script.turn(answers), [])
        assert sorted((sent["id"], sent["result"]) for sent in second.sent) == [
            (7, answered("1")),
            (8, answered("2")),
        ]

    def test_three_rounds(self) -> None:
        talk = Talk()
        prompt = with_tools()
        played = begun(talk, prompt, [raw_call("c0"), question(0, "c0"), RESPONSE_ENDED])
        for number in (1, 2):
            assert played.events[-1] == Completed("tool_use")
            before = f"c{number - 1}"
            prompt = after(prompt, result(before), calls=(use(before),))
            call = f"c{number}"
            played = talk.play(
                talk.script.turn(prompt), [raw_call(call), question(number, call), RESPONSE_ENDED]
            )
            assert played.sent == [{"id": number - 1, "result": answered("sunny")}]
        prompt = after(prompt, result("c2"), calls=(use("c2"),))
        last = talk.play(talk.script.turn(prompt), [delta("m", "Done."), done()])
        assert text(last.events) == "Done."
        assert last.events[-1] == Completed()

    def test_arguments_that_are_no_object_are_refused_to_the_model(self) -> None:
        talk = Talk()
        listed = raw_call("c", arguments="[1]")
        played = begun(
            talk, with_tools(), [listed, RESPONSE_ENDED, question(3, "c", arguments=[1])]
        )
        assert not played.finished
        assert requests(played.events) == []
        reason = "the arguments must be a JSON object"
        assert played.sent[-1] == {"id": 3, "result": answered(reason, success=False)}

    def test_calls_of_an_injected_history_are_old(self) -> None:
        talk = Talk()
        old = raw_call("c")
        old["params"]["turnId"] = "auto-compact-0"
        assert requests(begun(talk, with_tools(), [old, RESPONSE_ENDED]).events) == []

    def test_a_call_must_not_be_repeated(self) -> None:
        talk = Talk()
        again = notice("error", error={"message": "Reconnecting... 1/5"}, willRetry=True)
        with pytest.raises(BackendError, match="ended early"):
            begun(talk, with_tools(), [raw_call("c"), again])

    def test_the_turn_fails_after_the_results(self) -> None:
        talk = parked()
        prompt = after(with_tools(), result("c"), calls=(use("c"),))
        with pytest.raises(BackendError):
            talk.play(talk.script.turn(prompt), [failed("other", "stream disconnected")])
        assert not talk.script.reusable

    def test_the_usage_of_a_turn_is_counted_once(self) -> None:
        talk = Talk()
        usage = {"inputTokens": 5, "outputTokens": 2}
        response = notice("rawResponse/completed", turnId="u", usage=usage)
        first = begun(talk, with_tools(), [raw_call("c"), question(7, "c"), response])
        assert first.events[-1] == Completed("tool_use", Usage(input_tokens=5, output_tokens=2))
        total = {"inputTokens": 12, "outputTokens": 3}
        counted = [{"total": usage}, {"total": total}]
        second = talk.play(
            talk.script.turn(after(with_tools(), result("c"), calls=(use("c"),))),
            [*(notice("thread/tokenUsage/updated", tokenUsage=c) for c in counted), done()],
        )
        assert second.events[-1] == Completed(usage=Usage(input_tokens=7, output_tokens=1))


class TestJavaScript:
    """Models that call tools from JavaScript: questions only."""

    def test_each_call_stands_alone(self) -> None:
        recording = Recording("dynamic-tools-codemode")
        talk = Talk()
        prompt = with_tools()
        talk.bind(prompt, recording.thread(0))
        incoming = iter(recording.turn(0))
        first = talk.play(talk.script.turn(prompt), incoming)
        rome = one(first.events)
        assert (rome.name, rome.input) == ("get_weather", {"city": "Rome"})
        assert rome.id.startswith("exec-")
        assert RequestArguments(rome.id, '{"city":"Rome"}') in first.events
        assert first.events[-1] == Completed("tool_use", ONE_RESPONSE)
        for _ in range(2):  # the second call comes while nobody reads
            assert list(talk.script.unsolicited(next(incoming))) == []
        prompt = after(prompt, result(rome.id, "sun"), calls=(use(rome.id),))
        second = talk.play(talk.script.turn(prompt), incoming)
        paris = one(second.events)
        assert paris.input == {"city": "Paris"}
        assert second.sent == [{"id": 0, "result": answered("sun")}]
        prompt = after(prompt, result(paris.id, "rain"), calls=(use(paris.id),))
        third = talk.play(talk.script.turn(prompt), incoming)
        assert third.sent == [{"id": 1, "result": answered("rain")}]
        assert text(third.events) == "Sunny."
        assert isinstance(third.events[-1], Completed)

    def test_a_model_that_is_asked_again_without_the_result_is_stopped(self) -> None:
        recording = Recording("dynamic-tools-codemode")
        talk = Talk()
        talk.bind(with_tools(), recording.thread(1))
        incoming = iter(recording.turn(1))
        talk.play(talk.script.turn(with_tools()), incoming)
        assert talk.script.reusable
        sent = [send.message for send in talk.script.unsolicited(next(incoming))]
        assert [message["method"] for message in sent] == ["turn/interrupt"]
        assert not talk.script.reusable

    def test_a_tool_that_was_not_offered(self) -> None:
        talk = Talk()
        played = begun(talk, with_tools(), [question(3, "x", tool="other")])
        assert played.sent[-1]["id"] == 3
        assert played.sent[-1]["result"]["success"] is False


class TestParked:
    def test_interrupt_and_close_leave_nothing_behind(self) -> None:
        sent = [send.message for send in parked().script.close()]
        assert [(message["method"], message["params"]) for message in sent] == [
            ("turn/interrupt", {"threadId": "t", "turnId": "u"}),
            ("thread/unsubscribe", {"threadId": "t"}),
        ]

    def test_a_turn_that_ends_by_itself_spoils_the_conversation(self) -> None:
        talk = parked()
        assert list(talk.script.unsolicited(done("failed"))) == []
        assert not talk.script.reusable
        assert [send.message["method"] for send in talk.script.close()] == ["thread/unsubscribe"]

    def test_questions_of_codex_own_tools_are_answered_at_once(self) -> None:
        asks = {"id": 9, **notice("item/commandExecution/requestApproval")}
        assert list(parked().script.unsolicited(asks)) == [
            Send({"id": 9, "result": {"decision": "decline"}})
        ]

    def test_what_codex_own_tools_tell_is_told_in_the_next_turn(self) -> None:
        talk = Talk()
        prompt = with_tools(permissions=agent())
        ran = {"command": "ls", "cwd": "/w", "status": "inProgress"}
        begins = item("started", "commandExecution", "k", **ran)
        first = begun(talk, prompt, [begins, raw_call("c"), question(7, "c"), RESPONSE_ENDED])
        assert ToolCall("k", "command_execution", {"command": "ls", "cwd": "/w"}) in first.events
        ends = item(
            "completed",
            "commandExecution",
            "k",
            **ran | {"status": "completed"},
            aggregatedOutput="a",
        )
        assert list(talk.script.unsolicited(notice("item/commandExecution/outputDelta"))) == []
        assert list(talk.script.unsolicited(ends)) == []
        answers = after(prompt, result("c"), calls=(use("c"),))
        second = talk.play(talk.script.turn(answers), [])
        assert ToolOutput("k", "command_execution", "a", is_error=False) in second.events


class TestBinding:
    def test_tools_that_must_not_be_called_are_not_offered(self) -> None:
        prompt = with_tools(tool_choice=ToolChoice("none"))
        talk = Talk()
        (start,) = talk.bind(prompt).sent
        assert "dynamicTools" not in start["params"]
        assert "experimentalRawEvents" not in start["params"]
        assert talk.script.serves(prompt)
        assert not talk.script.serves(with_tools())
        assert parked().script.serves(with_tools())
        assert not parked().script.serves(prompt)

    @pytest.mark.parametrize(
        ("name", "native"),
        [
            ("get_weather", "get_weather"),
            ("apply_patch", "apply_patch"),
            ("exec_command", "client_exec_command"),
            ("client_exec_command", "client_client_exec_command"),
            ("mcp__files__read", "client_mcp__files__read"),
            ("x" * 65, f"client_{'x' * 44}_9537c5fdf120"),
        ],
    )
    def test_names(self, name: str, native: str) -> None:
        prompt = with_tools(tools=(Tool(name, "", {}),))
        talk = Talk()
        played = talk.bind(prompt)
        assert [tool["name"] for tool in played.sent[0]["params"]["dynamicTools"]] == [native]
        assert len(native) <= 64
        calls = [raw_call("c", native), question(1, "c", native), RESPONSE_ENDED]
        begins = notice("turn/started", turn={"id": "u"})
        events = talk.play(talk.script.turn(prompt), [begins, *calls]).events
        assert one(events).name == name
        assert RequestStarted("c", name) in events

    @pytest.mark.parametrize(
        "why",
        [
            "dynamic tool input schema is not supported for w: invalid type: number",
            "duplicate dynamic tool name: w",
        ],
    )
    def test_tools_that_codex_does_not_take(self, why: str) -> None:
        talk = Talk()
        refused = {"error": {"code": -32600, "message": why}}
        with pytest.raises(BackendRefused, match=why) as raised:
            talk.play(talk.script.bind(with_tools()), [refused])
        assert raised.value.param == "tools"

    def test_names_beside_codex_own_tools(self) -> None:
        prompt = with_tools(tools=(Tool("apply_patch", "", {}),), permissions=agent())
        (tool,) = Talk().bind(prompt).sent[0]["params"]["dynamicTools"]
        assert tool["name"] == "client_apply_patch"

    def test_seeded_calls_have_the_names_the_model_knows(self) -> None:
        talk = Talk()
        talk.bind(with_tools())
        call = ToolUse("c", "exec_command", {})
        (seed,) = talk.play(talk.script.seed((Message("assistant", (call,)),)), []).sent
        assert seed["params"]["items"][0]["name"] == "client_exec_command"

    def test_seeded_exchange_goes_on_from_the_results(self) -> None:
        talk = Talk()
        prompt = after(with_tools(), result(PARIS.id))
        talk.bind(prompt)
        seed = talk.play(talk.script.seed(prompt.history), [])
        turn = talk.play(talk.script.turn(prompt), [])
        items = [i for sent in (*seed.sent, turn.sent[0]) for i in sent["params"]["items"]]
        assert [(i["type"], i.get("call_id"), i.get("output")) for i in items] == [
            ("message", None, None),
            ("function_call", PARIS.id, None),
            ("function_call", ROME.id, None),
            ("function_call_output", ROME.id, "no result was given"),
            ("function_call_output", PARIS.id, "sunny"),
        ]
        assert turn.sent[1]["method"] == "turn/start"
        assert turn.sent[1]["params"]["input"] == []

    def test_nothing_is_missing_in_an_exchange_with_all_results(self) -> None:
        for prompt in (with_tools(), asked("new", *HISTORY)):
            assert settled(prompt) == prompt.new


class TestSilence:
    """codex does not tell that a response broke off after a call before it has the result."""

    def test_it_ends_a_response_with_calls(self) -> None:
        talk = Talk()
        turn = talk.script.turn(with_tools())
        begun_with(talk, turn, raw_call("c"), question(7, "c"))
        played = talk.resume(turn, None)
        assert played.finished
        assert played.events == [Completed("tool_use")]

    def test_a_call_that_comes_after_it_is_told_in_the_next_turn(self) -> None:
        talk = Talk()
        turn = talk.script.turn(with_tools())
        begun_with(talk, turn, raw_call("c"), question(7, "c"))
        talk.resume(turn, None)
        for late in (raw_call("d"), question(8, "d"), RESPONSE_ENDED):
            assert list(talk.script.unsolicited(late)) == []
        prompt = after(with_tools(), result("c"), calls=(use("c"),))
        played = talk.play(talk.script.turn(prompt), [])
        assert played.sent == [{"id": 7, "result": answered("sunny")}]
        assert requests(played.events) == told(use("d"), '{"city":"Oslo"}')
        assert played.events[-1] == Completed("tool_use")
        again = after(prompt, result("d", "wet"), calls=(use("d"),))
        assert talk.play(talk.script.turn(again), []).sent == [{"id": 8, "result": answered("wet")}]

    def test_it_ends_nothing_that_was_interrupted(self) -> None:
        talk = Talk()
        turn = talk.script.turn(with_tools())
        begun_with(talk, turn, raw_call("c"))
        list(talk.script.interrupt())
        assert not talk.resume(turn, None).finished
        ended = notice("turn/completed", turn={"id": "u", "status": "interrupted"})
        assert talk.resume(turn, ended).events[-1] == Completed("interrupted")

    def test_without_calls_it_means_nothing(self) -> None:
        talk = Talk()
        talk.bind(with_tools())
        begins = notice("turn/started", turn={"id": "u"})
        with pytest.raises(AssertionError, match="waits for ever"):
            play(talk.script.turn(with_tools()), [begins, delta("m", "Hm."), None])


class TestDecoding:
    def test_items_of_the_provider_that_are_no_calls_are_skipped(self) -> None:
        driver = started()
        head = (
            b'{"method":"rawResponseItem/completed","params":{"threadId":"t","turnId":"u","item":'
        )
        assert driver.decode(head + b'{"type":"message","content":[]}}}') is None
        call = driver.decode(head + b'{"type":"function_call","name":"w"}}}')
        assert call is not None
        assert call["params"]["item"]["name"] == "w"
        assert driver.decode(b'{"method":"rawResponse/completed"}') is not None


def answered(said: str, success: bool = True) -> Json:
    return {"contentItems": [{"type": "inputText", "text": said}], "success": success}


def use(call: str) -> ToolUse:
    return ToolUse(call, "get_weather", {"city": "Oslo"})


def one(events: list[Event]) -> Request:
    (request,) = [event for event in events if isinstance(event, Request)]
    return request


def begun(talk: Talk, prompt: Prompt, incoming: Any) -> Played:
    """Start the thread ``t`` and its turn ``u``, and feed it `incoming`."""
    talk.bind(prompt)

    def messages() -> Iterator[Json]:
        yield notice("turn/started", turn={"id": "u"})
        yield from incoming

    return talk.play(talk.script.turn(prompt), messages())


def begun_with(talk: Talk, turn: Exchange[None], *incoming: Json) -> None:
    """Start the thread ``t`` and let `turn` wait after `incoming`."""
    talk.bind(with_tools())
    begins = notice("turn/started", turn={"id": "u"})
    assert not talk.play(turn, [begins, *incoming]).finished


def parked() -> Talk:
    """A conversation that waits for the result of the call ``c``, asked for as number 7."""
    talk = Talk()
    played = running(talk, with_tools(), raw_call("c"), question(7, "c"), RESPONSE_ENDED)
    assert played.events[-1] == Completed("tool_use")
    return talk
