"""The claude driver with the real CLIs: effort, stop texts, limits and answers of a given form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinvkd.errors import BackendError, BackendRefused
from clinvkd.events import Event, TextDelta
from clinvkd.pool import Way
from clinvkd.prompt import OutputSchema, Permissions, Sampling
from tests.pools import text_of
from tests.providers import Reply
from tests.providers.script import ToolCall, in_turn

from .claude_stage import BOTH, Stage, asked, collect, completed, messages, stage

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
ANN = {"name": "Ann", "age": 5}


def answer(**value: Any) -> Reply:
    return Reply(tools=(ToolCall("StructuredOutput", value),))


async def go_on(on: Stage, text: str, *history: tuple[str, str], **options: Any) -> list[Event]:
    """Ask in a conversation that has to be continued, not made anew."""
    events: list[Event] = []
    async with on.pool.turn(asked(text, *history, **options), 60) as turn:
        assert turn.way is Way.CONTINUE
        await collect(turn, events)
    return events


@BOTH
async def test_stop_texts_and_limit_change_from_turn_to_turn(name: str, tmp_path: Path) -> None:
    script = in_turn(Reply(text="abc", stop="stop_sequence"), Reply(text="def"))
    async with stage(name, tmp_path, script) as on:
        one = await on.ask("one", max_tokens=77, sampling=Sampling(stop=("END", "\n")))
        assert text_of(one) == "abc"
        assert completed(one).stop_reason == "stop_sequence"
        assert completed(one).stop_sequence == "END"
        history = [("user", "one"), ("assistant", "abc")]
        await go_on(on, "two", *history, max_tokens=77, sampling=Sampling(stop=("FIN",)))
        history += [("user", "two"), ("assistant", "def")]
        await go_on(on, "three", *history, max_tokens=77)
        history += [("user", "three"), ("assistant", "def")]
        await go_on(on, "four", *history)
        bodies = [request.body for request in on.provider.turns]
    assert [body.get("stop_sequences") for body in bodies] == [["END"], ["FIN"], None, None]
    assert [body["max_tokens"] == 77 for body in bodies] == [True, True, True, False]


@BOTH
async def test_a_stop_text_the_provider_does_not_take_ends_the_answer_too(
    name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as on:
        text = '%%{"text": "one\\ntwo", "chunks": 7}%%'
        events = await on.ask(text, sampling=Sampling(stop=("\n",)))
        assert text_of(events) == "one"
        assert completed(events).stop_sequence == "\n"
        assert "stop_sequences" not in on.provider.turns[0].body


@BOTH
async def test_an_answer_that_begins_with_its_stop_text_is_empty(name: str, tmp_path: Path) -> None:
    script = in_turn(Reply(text="", stop="stop_sequence"), Reply(text="more"))
    async with stage(name, tmp_path, script) as on:
        events = await on.ask("one", sampling=Sampling(stop=("END",)))
        assert text_of(events) == ""
        assert completed(events).stop_sequence == "END"


@BOTH
async def test_effort_stays_in_its_conversation(name: str, tmp_path: Path) -> None:
    low = Sampling(effort="minimal")
    async with stage(name, tmp_path) as on:
        first = text_of(await on.ask("one", sampling=low))
        await go_on(on, "two", ("user", "one"), ("assistant", first), sampling=low)
        await on.ask("other")
        efforts = [request.body["output_config"]["effort"] for request in on.provider.turns]
    assert efforts[:2] == ["low", "low"]
    assert efforts[2] != "low"


@BOTH
@pytest.mark.parametrize("tools", [False, True])
async def test_an_answer_of_the_form_asked_for(name: str, tools: bool, tmp_path: Path) -> None:
    script = in_turn(answer(name="Ann"), answer(**ANN), answer(name="Bob", age=6))
    wanted: dict[str, Any] = {
        "output": OutputSchema(PERSON),
        "permissions": Permissions(tools=tools),
        "max_turns": 2,
    }
    async with stage(name, tmp_path, script) as on:
        text = text_of(await on.ask("who?", **wanted))
        assert json.loads(text) == ANN
        again = await go_on(on, "and?", ("user", "who?"), ("assistant", text), **wanted)
        assert json.loads(text_of(again)) == {"name": "Bob", "age": 6}
        assert completed(again).stop_reason == "end_turn"
        (schema,) = [
            tool["input_schema"]
            for tool in on.provider.turns[0].body["tools"]
            if tool["name"] == "StructuredOutput"
        ]
        assert schema.items() >= PERSON.items()
        assert len(on.provider.turns) == 3


@BOTH
async def test_any_object_streams(name: str, tmp_path: Path) -> None:
    script = in_turn(answer(first=1, second=[True, None, "ä"]))
    async with stage(name, tmp_path, script) as on:
        events = await on.ask("who?", system="S", output=OutputSchema({"type": "object"}))
        assert len([event for event in events if isinstance(event, TextDelta)]) > 1
        assert json.loads(text_of(events)) == {"first": 1, "second": [True, None, "ä"]}
        assert on.provider.turns[0].body["system"][-1]["text"] == "S"


@BOTH
async def test_text_instead_of_the_form_asked_for_is_an_error(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path, in_turn(Reply(text="No."))) as on:
        with pytest.raises(BackendError, match=r"in the form asked for: No\."):
            await on.ask("who?", output=OutputSchema(PERSON))


@BOTH
async def test_a_schema_the_agent_drops_is_refused(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        with pytest.raises(BackendRefused, match="JSON Schema"):
            await on.ask("who?", output=OutputSchema({**PERSON, "x-unknown": 1}))


@BOTH
async def test_a_seeded_history_and_a_schema_go_together(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path, in_turn(answer(**ANN))) as on:
        history = (("user", "one"), ("assistant", "two"))
        events = await on.ask("who?", *history, output=OutputSchema(PERSON))
        assert json.loads(text_of(events)) == ANN
        spoken = messages(on.provider.turns[0])
    assert [(role, blocks[-1]["text"]) for role, blocks in spoken] == [*history, ("user", "who?")]
