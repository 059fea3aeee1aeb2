"""Chat messages of every kind, and what the agent gets of them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from .talk import CHAT, PNG, OpenAI, assistant, image, user

pytestmark = pytest.mark.asyncio(loop_scope="session")

DATA_URL = f"data:image/png;base64,{PNG}"
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + b"\0" * 20).decode()


def system(text: Any, role: str = "system") -> dict[str, Any]:
    return {"role": role, "content": text}


def call(identity: str, arguments: str = '{"city":"Rome"}') -> dict[str, Any]:
    function = {"name": "weather", "arguments": arguments}
    return {"id": identity, "type": "function", "function": function}


def result(identity: str | None, text: Any = "sunny") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identity, "content": text}


def text_of(message: Any) -> str:
    return "".join(part["text"] for part in message["content"])


async def test_user_and_assistant_keep_their_roles_and_order(openai: OpenAI) -> None:
    held = await openai.held([user("one"), assistant("two"), user("three"), assistant("four")])
    assert [(message["role"], text_of(message)) for message in held["history"]] == [
        ("user", "one"),
        ("assistant", "two"),
        ("user", "three"),
        ("assistant", "four"),
    ]
    assert held["system"] is None


async def test_parts_are_joined_as_they_stand(openai: OpenAI) -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    refusal = [{"type": "refusal", "refusal": "never"}]
    held = await openai.held([user(parts), assistant(refusal)])
    assert [text_of(message) for message in held["history"]] == ["one two", "never"]


async def test_leading_system_messages_are_the_system_prompt_in_order(openai: OpenAI) -> None:
    held = await openai.held(
        [
            system("first"),
            system([{"type": "text", "text": "second"}], "developer"),
            system("third"),
        ]
    )
    assert held == {"system": "first\n\nsecond\n\nthird", "history": []}


async def test_a_later_system_message_keeps_its_place(openai: OpenAI) -> None:
    held = await openai.held(
        [system("first"), user("one"), assistant("two"), system("from now on"), assistant("three")]
    )
    assert held["system"] == "first"
    texts = [(message["role"], text_of(message)) for message in held["history"]]
    assert texts[0] == ("user", "one")
    assert texts[1] == ("assistant", "two")
    assert texts[2][0] == "user"
    assert "from now on" in texts[2][1]
    assert texts[3] == ("assistant", "three")


async def test_a_chat_of_system_messages_alone_is_led_by_the_last(openai: OpenAI) -> None:
    assert await openai.text([system("be brief"), system("say hello")]) == "say hello"
    held = json.loads(await openai.text([system("be brief"), system("[[history]]")]))
    assert held["system"] == "be brief"


async def test_calls_and_their_results_reach_the_agent(openai: OpenAI) -> None:
    messages = [
        user("weather?"),
        assistant(None, tool_calls=[call("c1"), call("c2", '{"city":"Oslo"}')]),
        result("c2", [{"type": "text", "text": "snow"}]),
        result("c1"),
        assistant("There."),
    ]
    held = await openai.held(messages)
    calls, results = (held["history"][index]["content"] for index in (1, 2))
    assert [(c["type"], c["id"], c["input"]) for c in calls] == [
        ("tool_use", "c1", {"city": "Rome"}),
        ("tool_use", "c2", {"city": "Oslo"}),
    ]
    assert [(r["type"], r["toolUseId"], r["content"][0]["text"]) for r in results] == [
        ("tool_result", "c2", "snow"),
        ("tool_result", "c1", "sunny"),
    ]


async def test_a_chat_may_end_with_a_result(openai: OpenAI) -> None:
    messages = [user("weather?"), assistant(None, tool_calls=[call("c1")]), result("c1")]
    assert "sunny" in await openai.text(messages)


async def test_the_legacy_form_of_calls_and_results(openai: OpenAI) -> None:
    messages = [
        user("weather?"),
        assistant(None, function_call={"name": "weather", "arguments": '{"city":"Rome"}'}),
        {"role": "function", "name": "weather", "content": "sunny"},
        assistant("Fine."),
    ]
    held = await openai.held(messages)
    (called,), (given,) = (held["history"][index]["content"] for index in (1, 2))
    assert (called["type"], called["input"]) == ("tool_use", {"city": "Rome"})
    assert given["toolUseId"] == called["id"]
    assert given["content"][0]["text"] == "sunny"


@pytest.mark.parametrize(
    "arguments", ["", "not JSON", "[1]", '{"a": "\\ud800"}', '{"a": NaN}', '{"a":' * 5_000]
)
async def test_what_a_model_once_wrote_wrong_does_no_harm(openai: OpenAI, arguments: str) -> None:
    messages = [user("?"), assistant(None, tool_calls=[call("c1", arguments)]), result("c1")]
    assert "sunny" in await openai.text([*messages, assistant("ok"), user("[[history]]")])


@pytest.mark.parametrize("identity", ["c2", "", None])
async def test_a_result_of_an_unknown_call(openai: OpenAI, identity: str | None) -> None:
    messages = [user("?"), assistant(None, tool_calls=[call("c1")]), result(identity)]
    error = await openai.refused(CHAT, "messages.[2].tool_call_id", messages=messages)
    assert f"'tool_call_id' of '{identity or ''}' not found" in error["message"]
    lost = {"role": "function", "name": "weather", "content": "sunny"}
    await openai.refused(CHAT, "messages[1]", messages=[user("?"), lost])


async def test_images_reach_the_agent_as_they_are(openai: OpenAI) -> None:
    parts = [
        {"type": "text", "text": "[[image]]"},
        {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
        image(f"data:image/jpeg;charset=utf-8;base64,{JPEG}"),
    ]
    data = [base64.b64decode(PNG), base64.b64decode(JPEG)]
    assert json.loads(await openai.text([user(parts)])) == [
        {
            "mediaType": media_type,
            "bytes": len(each),
            "sha256": hashlib.sha256(each).hexdigest(),
        }
        for media_type, each in zip(("image/png", "image/jpeg"), data, strict=True)
    ]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("data:image/png;base64,###", "not valid base64"),
        ("data:image/png;base64,aGVsbG8=", "not an image of type image/png"),
        (f"data:image/jpeg;base64,{PNG}", "not an image of type image/jpeg"),
        (f"data:image/tiff;base64,{PNG}", "must be one of image/png"),
        (f"data:text/plain;base64,{PNG}", "must be one of image/png"),
        ("data:image/png,hello", "must be a data URL"),
        ("http://127.0.0.1:1/a.png", "media.fetch_urls"),
        ("https://example.com/a.png", "media.fetch_urls"),
        ("file:///etc/passwd", "must be a data URL"),
        ("", "must be a data URL"),
    ],
)
async def test_what_is_no_image(openai: OpenAI, url: str, says: str) -> None:
    where = "messages[0].content[1].image_url.url"
    parts = [{"type": "text", "text": "look"}, image(url)]
    error = await openai.refused(CHAT, where, messages=[user(parts)])
    assert says in error["message"]


@pytest.mark.parametrize(
    ("part", "param", "says"),
    [
        ({"type": "file", "file": {}}, "messages[0].content[0].file.file_data", "data URL"),
        ({"type": "file"}, "messages[0].content[0]", "file is required"),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}},
            "messages[0].content[0].file.file_data",
            "not a PDF",
        ),
        ({"type": "video"}, "messages[0].content[0]", "unknown"),
        ({"type": "text"}, "messages[0].content[0]", "text is required"),
        ({"type": "image_url"}, "messages[0].content[0]", "image_url is required"),
        ({"text": "x"}, "messages[0].content[0].type", "required"),
        ({"type": "image_url", "image_url": DATA_URL}, "messages[0].content[0].image_url", ""),
    ],
)
async def test_parts_that_no_agent_takes(
    openai: OpenAI, part: dict[str, Any], param: str, says: str
) -> None:
    error = await openai.refused(CHAT, param, messages=[user([part])])
    assert says in error["message"]


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ("hello", "messages"),
        (None, "messages"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": "robot", "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([user("x"), assistant("y")], "messages"),
        ([user("")], "messages"),
        ([user("  \n")], "messages"),
        ([user(None)], "messages"),
        ([user("a\0b")], "messages"),
        ([system([image(DATA_URL)]), user("x")], "messages[0]"),
        ([user("x"), assistant(None, tool_calls=[{"id": "c"}])], "messages[1]"),
    ],
)
async def test_messages_that_are_none(openai: OpenAI, messages: Any, param: str) -> None:
    await openai.refused(CHAT, param, messages=messages)


async def test_a_lone_surrogate_is_named(openai: OpenAI) -> None:
    body = b'{"model": "echo", "messages": [{"role": "user", "content": "\\ud800"}]}'
    answer = await openai.request("POST", CHAT, body)
    assert answer.status == 400
    assert answer.json["error"]["param"] == "messages[0].content"


async def test_five_thousand_messages(openai: OpenAI) -> None:
    messages = [(user if index % 2 == 0 else assistant)(f"m{index}") for index in range(5_000)]
    held = await openai.held(messages)
    assert [text_of(message) for message in held["history"]] == [f"m{i}" for i in range(5_000)]


async def test_ten_megabytes(openai: OpenAI) -> None:
    text = "0123456789" * 1_000_000
    assert await openai.text(text) == text
    error = await openai.post(CHAT, messages=[user("x" * 11_000_000)])
    assert error.status == 413


async def test_a_text_file_reaches_the_agent_and_a_pdf_only_who_takes_it(openai: OpenAI) -> None:
    note = base64.b64encode(b"the note").decode()
    file = {"file_data": f"data:text/plain;base64,{note}", "filename": "note.txt"}
    said = await openai.text([user([{"type": "file", "file": file}])])
    assert "the note" in said
    assert "note.txt" in said
    pdf = base64.b64encode(b"%PDF-1.7 x").decode()
    part = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{pdf}"}}
    error = await openai.refused(CHAT, "messages", messages=[user([part])])
    assert "PDF" in error["message"]
