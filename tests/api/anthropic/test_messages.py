"""What of a request reaches the agent, and what comes back as one message."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from ..service import Answer
from .talk import (
    PNG,
    Anthropic,
    assistant,
    check_message,
    document,
    error_of,
    image,
    serving,
    text,
    user,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = base64.b64encode(b"%PDF-1.4 nothing").decode()


async def test_a_message(anthropic: Anthropic) -> None:
    message = await anthropic.message("Hello there")
    assert message.pop("id").startswith("msg_")
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "echo",
        "content": [{"type": "text", "text": "Hello there"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 2,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 2,
            "output_tokens_details": {"thinking_tokens": 0},
        },
    }


async def test_every_message_has_an_id_of_its_own(anthropic: Anthropic) -> None:
    ids = [(await anthropic.message("same"))["id"] for _ in range(3)]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    "system",
    [
        "Be brief.\n\nBe kind.",
        [text("Be brief."), text("Be kind.", cache_control={"type": "ephemeral"})],
        # What Claude Code tells its provider only, another value each time.
        [text("x-anthropic-billing-header: cch=1;"), text("Be brief."), text("Be kind.")],
    ],
)
async def test_system_prompts(anthropic: Anthropic, system: Any) -> None:
    held = await anthropic.held([], system=system)
    assert held == {"system": "Be brief.\n\nBe kind.", "history": []}


async def test_system_entries_stay_in_their_place(anthropic: Anthropic) -> None:
    messages = [
        user("one"),
        {"role": "system", "content": "a note"},
        assistant("two"),
        {"role": "system", "content": [text("another")]},
    ]
    note = "<system-reminder>\na note\n</system-reminder>\n\n"
    assert await anthropic.turns(messages) == [("user", f"one\n\n{note}"), ("assistant", "two")]
    answer = await anthropic.text([*messages, user("three")])
    assert answer == "<system-reminder>\nanother\n</system-reminder>\n\nthree"


async def test_a_conversation_keeps_roles_and_order(anthropic: Anthropic) -> None:
    messages = [user("one"), assistant([text("two"), text(" three")]), user("four"), user("five")]
    assert await anthropic.turns([*messages[:2], user("x"), assistant("y")]) == [
        ("user", "one"),
        ("assistant", "two three"),
        ("user", "x"),
        ("assistant", "y"),
    ]
    assert await anthropic.text(messages) == "four\n\nfive"


async def test_a_resent_conversation_goes_on_in_the_same_agent(anthropic: Anthropic) -> None:
    history = [user("begin here")]
    history.append(assistant((await anthropic.message(history))["content"]))
    before = anthropic.ways()
    for number in range(5):
        history.append(user(f"question {number}"))
        message = await anthropic.message(history)
        history.append(assistant(message["content"]))
    after = anthropic.ways()
    assert after["continue"] - before.get("continue", 0) == 5


async def test_images(anthropic: Anthropic) -> None:
    answer = await anthropic.text([user([text("[[image]]"), image()])])
    assert f'"bytes":{len(base64.b64decode(PNG))}' in answer.replace(" ", "")


@pytest.mark.parametrize(
    ("source", "title", "seen"),
    [
        ({"type": "text", "media_type": "text/plain", "data": "All of it."}, "Tale", "All of it."),
        ({"type": "content", "content": [text("Part one."), text("Part two.")]}, None, "Part two."),
        ({"type": "content", "content": "In one."}, None, "In one."),
    ],
)
async def test_text_documents(
    anthropic: Anthropic, source: dict[str, Any], title: str | None, seen: str
) -> None:
    block = document(source, title=title, citations={"enabled": False})
    answer = await anthropic.text([user([block, text("What is it?")])])
    assert seen in answer
    assert (title or "") in answer
    assert answer.endswith("What is it?")


async def test_tool_calls_and_results_of_earlier_turns(anthropic: Anthropic) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("3 degrees")]}
    messages = [user("Weather?"), assistant([text("I look."), call]), user([result])]
    held = await anthropic.held([*messages, assistant("It is cold.")])
    assert "Oslo" in str(held["history"])
    assert "3 degrees" in str(held["history"])


async def test_thinking_handed_back_is_left_out_where_no_agent_takes_it(
    anthropic: Anthropic,
) -> None:
    thoughts = [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
    ]
    turns = await anthropic.turns([user("one"), assistant([*thoughts, text("two")])])
    assert turns == [("user", "one"), ("assistant", "two")]


async def test_thinking_is_told_only_when_asked(anthropic: Anthropic) -> None:
    prompt = "[[think deep thought]]said"
    assert [block["type"] for block in (await anthropic.message(prompt))["content"]] == ["text"]
    for thinking in ({"type": "adaptive"}, {"type": "enabled", "budget_tokens": 1024}):
        message = await anthropic.message(prompt, thinking=thinking, max_tokens=2000)
        assert message["content"] == [
            {"type": "thinking", "thinking": "deep thought", "signature": ""},
            {"type": "text", "text": "said"},
        ]
        assert message["usage"]["output_tokens_details"] == {"thinking_tokens": 2}
    off = await anthropic.message(prompt, thinking={"type": "disabled"})
    assert [block["type"] for block in off["content"]] == ["text"]


@pytest.mark.parametrize("model", ["echo", "plain"])
async def test_stop_sequences(anthropic: Anthropic, model: str) -> None:
    message = await anthropic.message(
        "one two three", model=model, stop_sequences=["three", "tw"], max_tokens=100
    )
    assert message["content"] == [{"type": "text", "text": "one "}]
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "tw")


async def test_the_length_limit_is_true(anthropic: Anthropic) -> None:
    message = await anthropic.message("one two three", max_tokens=2)
    assert (message["stop_reason"], message["stop_sequence"]) == ("max_tokens", None)
    assert message["content"] == [{"type": "text", "text": "one two "}]


async def test_an_answer_of_a_form(anthropic: Anthropic) -> None:
    config = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert await anthropic.text("plain words", output_config=config) == '{"echo":"plain words"}'


async def test_sampling_reaches_the_agent(anthropic: Anthropic) -> None:
    answer = await anthropic.post("[[options]]", temperature=0.5, top_p=0.25, top_k=7)
    options = str(answer.json["content"])
    for figure in ("0.5", "0.25", "7"):
        assert figure in options


async def test_what_has_no_effect_is_named(anthropic: Anthropic) -> None:
    answer = await anthropic.post(
        "hi",
        model="plain",
        temperature=0.5,
        output_config={"effort": "high", "task_budget": {"type": "tokens", "total": 20000}},
        thinking={"type": "enabled", "budget_tokens": 1024},
        max_tokens=2000,
        inference_geo="eu",
        metadata={"user_id": "u"},
        stream=False,
    )
    ignored = answer.headers["X-Clinvk-Ignored"].split(", ")
    assert {"thinking", "output_config.effort", "inference_geo"} <= set(ignored)
    assert not {"metadata", "stream", "model", "max_tokens"} & set(ignored)
    assert "X-Clinvk-Ignored" not in (await anthropic.post("hi")).headers


@pytest.mark.parametrize("name", ["two\r\nlines", "ü", "", "x" * 65, "a, b"])
async def test_names_no_header_can_hold_are_left_out(anthropic: Anthropic, name: str) -> None:
    answer = await anthropic.post("hi", **{name: 1, "fine": 1})
    assert answer.status == 200, answer.text
    assert answer.headers["X-Clinvk-Ignored"] == "fine"


async def test_as_many_names_as_a_header_should_hold(anthropic: Anthropic) -> None:
    answer = await anthropic.post("hi", **{f"f{number}": 1 for number in range(5000)})
    assert len(answer.headers["X-Clinvk-Ignored"].split(", ")) == 32


async def test_a_model_that_means_nothing_is_answered_and_named(anthropic: Anthropic) -> None:
    answer = await anthropic.post("hi", model="mystery-1")
    assert check_message(answer.json)["model"] == "mystery-1"
    assert answer.headers["X-Clinvk-Ignored"] == "model"


async def test_every_root_and_way_to_say_who_one_is(anthropic: Anthropic) -> None:
    body = {"model": "echo", "max_tokens": 9, "messages": [user("hi")]}
    for prefix in ("/anthropic/v1", "/anthropic/v1/v1"):
        for headers in (
            {},
            {"x-api-key": "k", "anthropic-version": "2023-06-01"},
            {"Authorization": "Bearer k", "anthropic-version": "2999-01-01"},
            {"anthropic-beta": "one-2024-01-01,two-2025-01-01"},
        ):
            answer = await anthropic.request(
                "POST", "/messages?beta=true", body, headers, prefix=prefix
            )
            assert answer.status == 200, answer.text
            check_message(answer.json)


@pytest.mark.parametrize("root", ["", "/", "/v1", "/v1/", "/v1/v1"])
async def test_somebody_is_there(anthropic: Anthropic, root: str) -> None:
    answer = await anthropic.request("HEAD", root, prefix="/anthropic")
    assert (answer.status, answer.text) == (200, "")


@pytest.mark.parametrize("fetched", [False, True])
async def test_images_by_url_only_where_the_configuration_says_so(
    tmp_path: Path, fetched: bool
) -> None:
    media = {"fetch_urls": fetched, "allow_private_networks": False}
    source = {"type": "url", "url": "http://127.0.0.1:9/x.png"}
    blocks = [text("[[image]]"), {"type": "image", "source": source}]
    async with serving(tmp_path, media=media) as anthropic:
        message = await anthropic.refused("messages[0].content[1].source", [user(blocks)])
    assert ("media.fetch_urls" in message) is not fetched
    assert ("not public" in message) is fetched


def _blocks() -> list[tuple[str, Any]]:
    first = "messages[0].content[0]"
    odd = {"type": "base64", "media_type": "application/pdf", "data": "!"}
    return [
        (first, {"type": "audio"}),
        (first, {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}),
        (first, {"text": "no type"}),
        (first, {"type": "text"}),
        (first, {"type": "text", "text": 7}),
        (first, {"type": "image", "source": "x"}),
        (f"{first}.source", {"type": "image", "source": {"type": "file", "file_id": "f"}}),
        (f"{first}.source", {"type": "image", "source": {"type": "url", "url": "http://x/y"}}),
        (f"{first}.source", image("!!!")),
        (f"{first}.source", image(PNG, "image/jpeg")),
        (f"{first}.source", image(PNG, "image/tiff")),
        (f"{first}.source", document({"type": "url", "url": "http://x/y"})),
        (f"{first}.source", document(odd)),
        (f"{first}.source", document(odd | {"data": PNG})),
        (f"{first}.source", document({"type": "content", "content": [image()]})),
        (first, {"type": "thinking", "thinking": "unsigned"}),
        (first, {"type": "tool_use", "id": "x", "name": "y", "input": "z"}),
        ("messages.0.content.0", {"type": "tool_result", "tool_use_id": "nobody", "content": "x"}),
        (f"{first}.content", {"type": "tool_result", "tool_use_id": "x", "content": 7}),
    ]


@pytest.mark.parametrize(("param", "block"), _blocks())
async def test_wrong_blocks_are_refused_and_named(
    anthropic: Anthropic, param: str, block: Any
) -> None:
    await anthropic.refused(param, [user([block])])


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("messages", {"messages": [user("hi"), assistant("Well,")]}),
        ("messages", {"messages": []}),
        ("messages", {"messages": [user("")]}),
        ("messages", {"messages": [user(" \n")]}),
        ("messages[0].role", {"messages": [{"role": "tool", "content": "x"}]}),
        ("tools[0]", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("container", {"container": "c_1"}),
        ("mcp_servers", {"mcp_servers": [{"type": "url", "url": "http://x", "name": "x"}]}),
        ("compaction", {"compaction": {"type": "enabled"}}),
        ("max_tokens", {"max_tokens": 0}),
        ("max_tokens", {"max_tokens": "7"}),
        ("temperature", {"temperature": 1.5}),
        ("top_k", {"top_k": -1}),
        ("stop_sequences", {"stop_sequences": "x"}),
        ("system[0]", {"system": [image()]}),
        ("thinking.budget_tokens", {"thinking": {"type": "enabled"}}),
        ("thinking.budget_tokens", {"thinking": {"type": "enabled", "budget_tokens": 7}}),
        ("thinking.budget_tokens", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ("thinking.type", {"thinking": {"type": "sometimes"}}),
        ("model", {"model": ""}),
        ("output_config.format", {"output_config": {"format": {"type": "xml"}}}),
        (
            "output_config.format.schema",
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": 5}}}},
        ),
    ],
)
async def test_wrong_requests_are_refused_and_the_field_named(
    anthropic: Anthropic, param: str, body: dict[str, Any]
) -> None:
    await anthropic.refused(param, **{"messages": "hi", **body})


async def test_what_is_required(anthropic: Anthropic) -> None:
    whole = {"model": "echo", "max_tokens": 9, "messages": [user("hi")]}
    for name in whole:
        body = {key: value for key, value in whole.items() if key != name}
        answer: Answer = await anthropic.request("POST", "/messages", body)
        assert answer.status == 400
        assert error_of(answer)["message"].startswith(name)


async def test_a_pdf_no_agent_takes_is_refused(anthropic: Anthropic) -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    message = await anthropic.refused("messages", [user([document(source), text("?")])])
    assert "PDF" in message


@pytest.mark.parametrize("count", [5_000])
async def test_long_conversations(anthropic: Anthropic, count: int) -> None:
    turns = [(user if number % 2 == 0 else assistant)(f"m{number}") for number in range(count)]
    held = await anthropic.held(turns)
    assert len(held["history"]) == count
