"""Turns of codex, read from recorded lines."""

from __future__ import annotations

import pytest

from clinvkd.drivers.base import Json
from clinvkd.events import (
    Completed,
    Opened,
    Progress,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolCall,
    ToolOutput,
)
from clinvkd.prompt import Image, Message, OutputSchema, Permissions, Prompt, Sampling, Text

from .codex_talk import (
    HISTORY,
    USAGE,
    Recording,
    Talk,
    agent,
    ask,
    asked,
    delta,
    done,
    item,
    notice,
    running,
    text,
)


class TestTurn:
    def test_two_turns(self) -> None:
        recording = Recording("two-turns")
        talk = Talk()
        first = ask("two-turns", 0, asked("hello"), talk)
        thread = recording.thread(0)["thread"]["id"]
        assert first.sent == [
            {
                "id": 5,
                "method": "thread/inject_items",
                "params": {
                    "threadId": thread,
                    "items": [
                        {
                            "type": "message",
                            "role": "user",
                            "content": [{"type": "input_text", "text": "hello"}],
                        }
                    ],
                },
            },
            {"id": 6, "method": "turn/start", "params": {"threadId": thread, "input": []}},
        ]
        assert first.events == [
            Opened(thread, "gpt-5.5"),
            TextDelta("tok0 "),
            TextDelta("tok1 "),
            TextDelta("tok2 "),
            TokenUsage(USAGE),
            Completed(usage=USAGE),
        ]
        again = talk.play(talk.script.turn(asked("again")), recording.turn(1))
        assert again.events[-2:] == [TokenUsage(USAGE), Completed(usage=USAGE)]
        assert text(again.events) == "tok0 tok1 "
        assert talk.script.reusable

    def test_after_injected_history(self) -> None:
        events = ask("stateless-replay").events
        assert text(events) == "tok0 tok1 "
        assert events[-1] == Completed(usage=USAGE)

    def test_thinking(self) -> None:
        talk = Talk()
        prompt = asked(options=(("effort", "high"), ("summary", "auto")))
        played = ask("reasoning", 0, prompt, talk)
        assert played.sent[-1]["params"].items() >= {"effort": "high", "summary": "auto"}.items()
        assert played.events[1:3] == [ThinkingDelta("think0 "), ThinkingDelta("think1 ")]
        assert text(played.events) == '{"a": "b"}'
        assert talk.script.reusable

    def test_effort_and_schema_are_said_in_every_turn(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
        prompt = asked(sampling=Sampling(effort="low"), output=OutputSchema(schema))
        talk = Talk()
        talk.bind(prompt)
        said = {"threadId": "t", "input": [], "effort": "low", "outputSchema": schema}
        for _ in range(2):
            played = talk.play(talk.script.turn(prompt), [delta("m", '{"a"'), done()])
            assert played.sent[-1]["params"] == said
            assert played.events[0] == TextDelta('{"a"')
            assert talk.script.reusable

    def test_the_option_goes_before_the_neutral_effort(self) -> None:
        prompt = asked(sampling=Sampling(effort="low"), options=(("effort", "high"),))
        assert running(Talk(), prompt, done()).sent[-1]["params"]["effort"] == "high"

    def test_of_an_agent_that_is_asked_for_json_only_the_last_message_counts(self) -> None:
        events = running(
            Talk(),
            asked(permissions=agent(), output=OutputSchema({"type": "object"})),
            delta("a", '{"first": '),
            delta("a", "1}"),
            item("completed", "agentMessage", "a", text='{"first": 1}'),
            item("completed", "webSearch", "w", query="cats"),
            delta("b", '{"second": '),
            delta("b", "2}"),
            done(),
        ).events
        assert text(events) == '{"second": 2}'
        assert events[-1] == Completed()

    def test_agent_is_given_new_text_and_images_as_input(self) -> None:
        talk = Talk()
        message = Message("user", (Text("look"), Text(""), Image("image/png", "AAAA")))
        earlier = Message("user", (Text("earlier"),))
        prompt = Prompt(backend="codex", messages=(*HISTORY, earlier, message), permissions=agent())
        inject, start = running(talk, prompt, done()).sent
        assert inject["params"]["items"] == [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "earlier"}],
            }
        ]
        assert start["params"]["input"] == [
            {"type": "text", "text": "look", "text_elements": []},
            {"type": "image", "url": "data:image/png;base64,AAAA"},
        ]

    def test_agent_is_given_tool_results_as_items(self) -> None:
        prompt = Prompt(backend="codex", messages=HISTORY[:3], permissions=agent())
        inject, start = running(Talk(), prompt, done()).sent
        assert [kind["type"] for kind in inject["params"]["items"]] == [
            "function_call_output",
            "function_call_output",
            "message",
        ]
        assert start["params"]["input"] == []

    @pytest.mark.parametrize("permissions", [Permissions(), agent()])
    def test_nothing_new(self, permissions: Permissions) -> None:
        prompt = Prompt(backend="codex", messages=HISTORY, permissions=permissions)
        (start,) = running(Talk(), prompt, done()).sent
        assert start["params"] == {"threadId": "t", "input": []}

    def test_messages_of_one_turn_are_set_apart(self) -> None:
        events = running(
            Talk(),
            asked(),
            delta("a", "One"),
            delta("a", "."),
            item("completed", "agentMessage", "a", text="One."),
            item("completed", "agentMessage", "b", text="Two.\n\n"),
            delta("c", "Three."),
            item("completed", "agentMessage", "d", text=""),
            done(),
        ).events
        assert events[1:5] == [
            TextDelta("One"),
            TextDelta("."),
            TextDelta("\n\nTwo.\n\n"),
            TextDelta("Three."),
        ]

    def test_parts_of_thinking_are_set_apart(self) -> None:
        def thought(part: int, text: str) -> Json:
            return notice(
                "item/reasoning/summaryTextDelta", itemId="r", delta=text, summaryIndex=part
            )

        events = running(
            Talk(),
            asked(),
            thought(0, "a"),
            thought(1, "b"),
            item("completed", "reasoning", "r", summary=["a", "b"]),
            item("completed", "reasoning", "s", summary=["c", "d"]),
            item("completed", "reasoning", "empty", summary=[]),
            notice("item/reasoning/textDelta", itemId="q", delta="raw", contentIndex=0),
            done(),
        ).events
        assert events[1:5] == [
            ThinkingDelta("a"),
            ThinkingDelta("\n\nb"),
            ThinkingDelta("\n\nc\n\nd"),
            ThinkingDelta("\n\nraw"),
        ]

    def test_plan_and_web_search(self) -> None:
        step = {"step": "think", "status": "inProgress"}
        events = running(
            Talk(),
            asked(permissions=agent()),
            notice("turn/plan/updated", plan=[step]),
            item("started", "contextCompaction", "x"),
            item("completed", "webSearch", "w", query="cats"),
            done(),
        ).events
        assert events[1:-1] == [
            Progress("plan", "[inProgress] think"),
            Progress("compacting"),
            ToolCall("w", "web_search", {"query": "cats"}),
            ToolOutput("w", "web_search", ""),
        ]

    def test_failed_tool_of_an_mcp_server(self) -> None:
        fields = {"server": "s", "tool": "x", "arguments": {}, "status": "failed"}
        events = running(
            Talk(),
            asked(permissions=agent()),
            item("completed", "mcpToolCall", "m", error={"message": "gone"}, **fields),
            done(),
        ).events
        assert events[2] == ToolOutput("m", "mcp__s__x", "gone", is_error=True)

    def test_unknown_messages_are_ignored(self) -> None:
        events = running(
            Talk(),
            asked(),
            notice("item/new/kind", itemId="x"),
            item("started", "novelty", "n"),
            item("completed", "novelty", "n"),
            {"method": "item/agentMessage/delta", "params": {"threadId": "t", "delta": 5}},
            {"method": "thread/closed", "params": {"threadId": "somebody else's"}},
            {"method": "configWarning", "params": {}},
            {"id": 99, "result": {}},
            done(),
        ).events
        assert events == [Opened("t", "m"), Completed()]
