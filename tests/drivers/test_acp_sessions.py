"""The ACP driver: opening sessions, giving them histories, models and modes, and ending them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clinvkd.drivers.base import Json
from clinvkd.errors import (
    BackendRefused,
)
from clinvkd.events import Completed, Event, Opened
from clinvkd.prompt import Audio, Image, Message, Prompt, Sampling, Text, ToolResult, ToolUse

from .acp_talk import (
    SCRATCH,
    TOOLS,
    Rules,
    Talk,
    answering,
    chunk,
    error,
    gemini,
    plain,
    prompt,
    result,
    said,
    text,
    update,
)

HISTORY = (said("user", "hello"), said("assistant", "hi"))
WAV = Audio("audio/wav", "QUJD")


def test_the_session_opened_in_advance_is_used_and_replaced() -> None:
    talk = plain()
    script = talk.driver.open()
    assert talk.ask(script, prompt("hi"))[0] == Opened("s1")
    assert talk.methods() == ["initialize", "session/new", "session/prompt", "session/new"]
    assert talk.ask(talk.driver.open(), prompt("hi"))[0] == Opened("s2")
    assert talk.again(script, prompt("more"))[0] == Opened("s1")


def test_a_session_being_opened_in_advance_is_taken_over() -> None:
    talk = plain()
    answers, talk.agent = talk.agent, lambda m: answers(m) if "prompt" in m["method"] else ()
    talk.ask(talk.driver.open(), prompt("one"))
    sent = len(talk.sent)
    script = talk.driver.open()
    exchange = script.turn(prompt("two"))
    events: list[Event] = []
    assert not talk.resume(exchange, script, events)
    assert len(talk.sent) == sent
    talk.incoming.append(result(talk.sent[-1], {"sessionId": "late"}))
    assert talk.resume(exchange, script, events)
    assert events[0] == Opened("late")


def test_gemini_opens_one_session_at_a_time() -> None:
    talk = gemini()
    answers, talk.agent = talk.agent, lambda m: () if "new" in m["method"] else answers(m)
    scripts = [talk.driver.open() for _ in range(3)]
    turns = [
        script.turn(prompt("x", workdir=SCRATCH / str(index), permissions=TOOLS))
        for index, script in enumerate(scripts)
    ]
    events: list[list[Event]] = [[], [], []]
    for index in range(3):
        assert not talk.resume(turns[index], scripts[index], events[index])
    opened = [m for m in talk.sent if m.get("method") == "session/new"]
    assert [m["params"]["cwd"] for m in opened] == ["/scratch/chat", "/scratch/0"]
    list(scripts[1].close())
    talk.incoming.append(result(opened[-1], {"sessionId": "a"}))
    assert talk.resume(turns[0], scripts[0], events[0])
    opened = [m for m in talk.sent if m.get("method") == "session/new"]
    assert opened[-1]["params"]["cwd"] == "/scratch/2"
    talk.incoming.append(result(opened[-1], {"sessionId": "c"}))
    assert talk.resume(turns[2], scripts[2], events[2])
    assert (events[0][0], events[2][0]) == (Opened("a"), Opened("c"))


def test_a_conversation_closed_while_it_opens_lets_the_next_one_go() -> None:
    talk = gemini()
    answers, talk.agent = talk.agent, lambda m: () if "new" in m["method"] else answers(m)
    first, second = talk.driver.open(), talk.driver.open()
    asked = prompt("x", workdir=SCRATCH / "user", permissions=TOOLS)
    talk.play(first.turn(asked), first)
    waiting = second.turn(asked)
    talk.resume(waiting, second, [])
    opening = talk.sent[-1]
    list(first.close())
    talk.incoming.append(result(opening, {"sessionId": "orphan"}))
    talk.settle()
    assert talk.sent[-1]["method"] == "session/new"
    assert talk.sent[-1]["id"] != opening["id"]
    # It was opened in the user's directory: no other conversation may have it.
    spare = talk.driver.take_spare()
    assert spare is not None
    assert spare[0] == "s1"


def test_an_agent_without_histories_gets_one_marked_text_with_images_in_place() -> None:
    talk = plain()
    history = (
        Message("user", (Text("see"), Image("image/png", "QUJD"))),
        Message("assistant", (Text("looking"), ToolUse("t1", "look", {"a": 1}))),
        Message("user", (ToolResult("t1", (Text("a cat"),)), ToolResult("t2", (), is_error=True))),
        Message("assistant", (Text("a cat"),)),
    )
    talk.ask(talk.driver.open(), prompt("/why", *history, system="Be kind."))
    assert talk.last("session/prompt")["prompt"] == [
        {
            "type": "text",
            "text": "<system>\nBe kind.\n</system>\n\n<conversation>\n<user>\nsee",
        },
        {"type": "image", "mimeType": "image/png", "data": "QUJD"},
        {
            "type": "text",
            "text": (
                "\n</user>\n<assistant>\nlooking\n"
                "<tool_call id='t1' name='look'>{\"a\":1}</tool_call>\n"
                "\n</assistant>\n<user>\n\n<tool_result id='t1'>a cat</tool_result>\n"
                "\n<tool_result id='t2' status='error'></tool_result>\n\n</user>\n"
                "<assistant>\na cat\n</assistant>\n</conversation>\n\n"
                "Go on with this conversation. The user now says:\n\n\u200b/why"
            ),
        },
    ]


def test_what_was_given_as_text_is_given_once() -> None:
    talk = plain()
    script = talk.driver.open()
    talk.ask(script, prompt("one", *HISTORY))
    talk.again(script, prompt("two", *HISTORY, said("user", "one"), said("assistant", "yes")))
    assert talk.last("session/prompt")["prompt"] == [{"type": "text", "text": "two"}]


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (Image("image/png", "QUJD"), "takes no images"),
        (Audio("audio/wav", "QUJD"), "takes no audio"),
    ],
)
@pytest.mark.parametrize("later", [(), HISTORY[1:]])
def test_media_for_an_agent_that_takes_none_are_refused(
    block: Image | Audio, says: str, later: tuple[Message, ...]
) -> None:
    talk = plain(initialize={"protocolVersion": 1, "agentCapabilities": {"loadSession": True}})
    media = Message("user", (block,))
    asked = Prompt(backend="it", messages=(media, *later, said("user", "x")))
    with pytest.raises(BackendRefused, match=says) as caught:
        talk.ask(talk.driver.open(), asked)
    assert caught.value.param == "messages"


def test_recordings_for_an_agent_that_takes_them_stay_what_they_are() -> None:
    capabilities = {"promptCapabilities": {"audio": True}}
    talk = plain(initialize={"protocolVersion": 1, "agentCapabilities": capabilities})
    recording = Message("user", (Text("hear"), Audio("audio/wav", "QUJD")))
    talk.ask(talk.driver.open(), Prompt(backend="it", messages=(recording,)))
    assert talk.last("session/prompt")["prompt"] == [
        {"type": "text", "text": "hear"},
        {"type": "audio", "mimeType": "audio/wav", "data": "QUJD"},
    ]


def test_an_embedded_agent_gets_system_history_and_options_natively() -> None:
    talk = Talk(Rules(), "python3", "-m", "clinvkd.agents.echo").start()
    sampling = Sampling(temperature=0.5, stop=("END",))
    asked = prompt("/x", *HISTORY, system="Be kind.", sampling=sampling, max_tokens=9)
    talk.ask(talk.driver.open(), asked)
    assert talk.methods() == ["initialize", "session/new", "session/prompt"]
    assert talk.last("session/new") == {
        "cwd": "/scratch/work",
        "mcpServers": [],
        "_meta": {
            "clinvk": {
                "history": [
                    {"role": "user", "content": [{"type": "text", "text": "hello"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
                ],
                "system": "Be kind.",
            }
        },
    }
    assert talk.last("session/prompt")["prompt"] == [{"type": "text", "text": "/x"}]
    assert talk.last("session/prompt")["_meta"] == {
        "clinvk": {"options": {"max_tokens": 9, "temperature": 0.5, "stop": ["END"]}}
    }


def test_an_embedded_agent_says_which_stop_text_ended_the_answer() -> None:
    prompted = answering("a", _meta={"clinvk": {"stopSequence": "END"}})
    talk = Talk(Rules(session_prompt=prompted), "python3", "-m", "clinvkd.agents.echo").start()
    completed = talk.ask(talk.driver.open(), prompt("x"))[-1]
    assert isinstance(completed, Completed)
    assert (completed.stop_reason, completed.stop_sequence) == ("stop_sequence", "END")


def repeating(request: Json) -> list[Json]:
    """A gemini that repeats a history while and after it loads it."""
    user = {"type": "text", "text": "hello"}
    return [
        update(request, sessionUpdate="user_message_chunk", content=user),
        result(request, {"modes": {"availableModes": [], "currentModeId": "default"}}),
        chunk(request, "hi"),
        update(request, sessionUpdate="tool_call", toolCallId="t1", status="completed", title="x"),
        update(request, sessionUpdate="available_commands_update", availableCommands=[]),
    ]


def test_gemini_loads_a_history_from_a_chat_file_and_its_repetition_is_dropped() -> None:
    talk = gemini(session_load=repeating, session_prompt=answering("hi", " again"))
    history = (
        Message("user", (Text("/hello"), Image("image/png", "QUJD"), WAV)),
        Message("assistant", (Text("hi"), ToolUse("t1", "look", {"a": 1}), ToolUse("t3", "b", {}))),
        Message("user", (ToolResult("t1", (Text("cat"), Image("image/png", "QQ=="))),)),
        Message("assistant", ()),
        Message("user", (ToolResult("lost", (Text("text"),)), Text(""))),
        Message("assistant", (Text("done"),)),
    )
    events = talk.ask(talk.driver.open(), prompt("go on", *history))
    assert text(events) == "hi again"
    assert len(events) == 4
    loaded = talk.last("session/load")
    (file,) = talk.files
    session = loaded["sessionId"]
    assert loaded == {"sessionId": session, "cwd": "/scratch/chat", "mcpServers": []}
    chats = SCRATCH / "home/.gemini/tmp/chat/chats"
    assert file.path == chats / f"session-2000-01-01T00-00-{session[:8]}.jsonl"
    assert file.data is not None
    head, *records = [json.loads(line) for line in file.data.splitlines()]
    assert head["sessionId"] == session
    assert [{k: v for k, v in r.items() if k not in ("id", "timestamp")} for r in records] == [
        {
            "type": "user",
            "content": [
                {"text": "\u200b/hello"},
                {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
                {"inlineData": {"mimeType": "audio/wav", "data": "QUJD"}},
            ],
        },
        {
            "type": "gemini",
            "content": "hi",
            "toolCalls": [
                {
                    "id": "t1",
                    "name": "look",
                    "args": {"a": 1},
                    "status": "success",
                    "result": [
                        {
                            "functionResponse": {
                                "id": "t1",
                                "name": "look",
                                "response": {"output": "cat"},
                            }
                        },
                        {"inlineData": {"mimeType": "image/png", "data": "QQ=="}},
                    ],
                },
                {
                    "id": "t3",
                    "name": "b",
                    "args": {},
                    "status": "error",
                    "result": [
                        {
                            "functionResponse": {
                                "id": "t3",
                                "name": "b",
                                "response": {"error": "no result"},
                            }
                        }
                    ],
                },
            ],
        },
        {"type": "user", "content": [{"text": "text"}]},
        {"type": "gemini", "content": "done"},
    ]


@pytest.mark.parametrize("load", [error(-32000, "Authentication required"), {"modes": {}}])
def test_gemini_that_does_not_read_the_chat_file_gets_the_history_as_text(load: Any) -> None:
    talk = gemini(session_load=load)
    events = talk.ask(talk.driver.open(), prompt("go on", *HISTORY))
    assert events[0] == Opened("s1")
    assert "<user>\nhello\n</user>" in talk.last("session/prompt")["prompt"][0]["text"]


MODELS = {"availableModels": [{"modelId": "m1", "name": "One"}], "currentModelId": "m1"}
OPTION = {
    "id": "model",
    "category": "model",
    "currentValue": "p/a",
    "options": [{"options": [{"value": "p/a", "name": "A"}, {"value": "p/b", "name": "B"}]}, {}],
}


SET_OPTION = "session/set_config_option"
SECOND = {"configId": "model", "value": "p/b"}


@pytest.mark.parametrize(
    ("offered", "model", "method", "params"),
    [
        ({}, "any", "session/set_model", {"modelId": "any"}),
        ({"models": MODELS}, "m1", None, None),
        ({"models": MODELS}, "One", None, None),
        ({"configOptions": [OPTION]}, "p/b", SET_OPTION, SECOND),
        ({"configOptions": [{}, OPTION]}, "B", SET_OPTION, SECOND),
    ],
)  # fmt: skip
def test_a_model_is_set_as_the_agent_offers_it(
    offered: Json, model: str, method: str | None, params: Json | None
) -> None:
    talk = plain(session_new={"sessionId": "s", **offered})
    talk.ask(talk.driver.open(), prompt("x", model=model))
    assert talk.methods()[2] == (method or "session/prompt")
    if params is not None:
        assert talk.sent[2]["params"] == {"sessionId": "s", **params}
        assert talk.methods()[3] == "session/prompt"  # not waited for


def test_a_model_the_agent_does_not_have_is_refused() -> None:
    talk = plain(session_new={"sessionId": "s", "models": MODELS})
    with pytest.raises(BackendRefused, match="it has m1") as caught:
        talk.ask(talk.driver.open(), prompt("x", model="m2"))
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("code", "words"), [(-32601, "cannot choose a model"), (-32602, "does not take the model")]
)
def test_an_agent_that_does_not_take_the_model_fails_the_turn(code: int, words: str) -> None:
    talk = plain(session_set_model=error(code, "no"), session_prompt=lambda _: ())
    script = talk.driver.open()
    with pytest.raises(BackendRefused, match=words):
        talk.ask(script, prompt("x", model="m"))
    assert [send.message["method"] for send in script.close()] == ["session/cancel"]


def test_modes_are_set_where_the_agent_has_them_and_a_refused_one_does_no_harm() -> None:
    option = {
        "id": "mode",
        "category": "mode",
        "currentValue": "plan",
        "options": [{"value": "build"}],
    }
    talk = Talk(
        Rules(
            session_new={"sessionId": "s", "configOptions": [option]},
            session_set_config_option=error(-32602, "no"),
        ),
        "opencode",
    ).start()
    assert text(talk.ask(talk.driver.open(), prompt("x"))) == "yes"
    assert talk.sent[2]["params"] == {"sessionId": "s", "configId": "mode", "value": "build"}
    modes = {"availableModes": [{"id": "plan"}], "currentModeId": "plan"}
    for offered in ({"modes": modes}, {}, {"configOptions": [{**option, "options": []}]}):
        talk = Talk(Rules(session_new={"sessionId": "s", **offered}), "opencode").start()
        talk.ask(talk.driver.open(), prompt("x"))
        assert talk.methods()[2] == "session/prompt"
