"""Bodies of every kind: each gets an answer or an error of its own, and none is our defect."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from structlog.testing import capture_logs

from clinvkd.api.openai.chat_models import ChatRequest
from clinvkd.api.openai.completions import CompletionRequest
from clinvkd.api.openai.responses.models import ResponseRequest

from ..service import Answer
from .talk import CHAT, PNG, OpenAI, check_error

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Echo obeys what stands in double brackets; a machine that is told to fail may.
text = st.text(max_size=30).filter(lambda value: "[[" not in value)
name = st.sampled_from(["a", "b", "c1", ""]) | text
value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=8,
)


def record(optional: dict[str, Any], **required: Any) -> st.SearchStrategy[Any]:
    """Objects with these members, now and then with anything in one or in an unknown one."""
    return st.fixed_dictionaries(
        {key: st.one_of(each, each, each, value) for key, each in required.items()},
        optional={key: st.one_of(each, each, value) for key, each in optional.items()}
        | {"unknown": value},
    )


def sensible(members: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """A strategy for every field of a model."""
    return {field: members.get(field, value) for field in model.model_fields}


url = st.sampled_from([f"data:image/png;base64,{PNG}", "data:image/png;base64,!", "http://x/"])
parts = st.lists(
    record({}, type=st.just("text"), text=text)
    | record({}, type=st.just("image_url"), image_url=record({"detail": text}, url=url))
    | record({"text": text, "refusal": text}, type=text),
    max_size=3,
)
function = record({}, name=name, arguments=st.sampled_from(["{}", "[", '{"a":"\\ud800"}']) | text)
message = record(
    {
        "name": name,
        "tool_call_id": name,
        "tool_calls": st.lists(record({"type": text}, id=name, function=function), max_size=2),
        "function_call": function,
    },
    role=st.sampled_from(["developer", "system", "user", "user", "assistant", "tool", "function"]),
    content=text | parts | st.none(),
)
stop = st.none() | text | st.lists(text, max_size=3)
schema = record({"type": text, "properties": value})
number = st.none() | st.floats(-1, 3) | st.integers(-1, 3)
shared: dict[str, Any] = {
    "n": st.integers(1, 3),
    "stop": stop,
    "stream": st.booleans(),
    "stream_options": record({"include_usage": st.booleans()}),
    "max_tokens": st.integers(0, 4),
    "temperature": number,
    "top_p": number,
    "seed": st.integers(),
    "metadata": st.dictionaries(text, text, max_size=2),
}
chat = sensible(
    {
        **shared,
        "max_completion_tokens": st.integers(0, 4),
        "tools": st.just([]),
        "functions": st.none(),
        "response_format": record(
            {"json_schema": record({"schema": schema, "strict": st.booleans()}, name=name)},
            type=st.sampled_from(["text", "json_object", "json_schema"]),
        ),
    },
    ChatRequest,
)
completion = sensible(
    {**shared, "echo": st.booleans(), "suffix": text},
    CompletionRequest,
)
item = (
    record(
        {"id": name, "type": st.just("message")},
        role=st.sampled_from(["user", "user", "assistant", "system", "developer"]),
        content=text
        | st.lists(
            record(
                {"text": text, "image_url": url},
                type=st.sampled_from(["input_text", "output_text", "input_image", "input_file"]),
            ),
            max_size=2,
        ),
    )
    | record(
        {"id": name, "name": name, "arguments": text}, type=st.just("function_call"), call_id=name
    )
    | record({"output": text | parts}, type=st.just("function_call_output"), call_id=name)
    | record({"summary": value}, type=st.sampled_from(["reasoning", "item_reference"]))
)
response = sensible(
    {
        **shared,
        "store": st.booleans(),
        "background": st.none() | st.just(False),
        "max_output_tokens": st.integers(0, 4),
        "instructions": text,
        "previous_response_id": st.none() | text,
        "tools": st.just([]),
        "include": st.lists(text, max_size=2),
        "truncation": st.sampled_from(["auto", "disabled"]),
        "reasoning": record({"effort": text, "summary": st.sampled_from(["auto", "detailed"])}),
        "text": record(
            {
                "verbosity": st.sampled_from(["low", "high"]),
                "format": record(
                    {"name": name, "schema": schema},
                    type=st.sampled_from(["text", "json_object", "json_schema"]),
                ),
            }
        ),
    },
    ResponseRequest,
)
model = st.sampled_from(["echo", "echo", "plain", "claude", "unheard-of", "echo/echo"])


def body(fields: dict[str, Any], **required: Any) -> st.SearchStrategy[Any]:
    optional = {key: each for key, each in fields.items() if key not in (*required, "model")}
    return record(optional, model=model, **required)


async def send(openai: OpenAI, path: str, asked: Any) -> Answer:
    """Send a body; its answer must be well formed, and the log without a trace."""
    with capture_logs() as logged:
        answer = await openai.request("POST", path, asked)
    assert not [line for line in logged if "exc_info" in line or line["log_level"] == "error"]
    if answer.status >= 400:
        check_error(answer.json)
        if answer.status >= 500:
            # What fails behind us is no defect of ours, but it must say that it is that.
            assert answer.status == 503 or answer.json["error"]["code"] == "backend_error"
    elif answer.headers["Content-Type"] == "application/json":
        assert answer.json["object"]
    else:
        assert answer.text.startswith(("data: {", "event: "))
    return answer


fuzzed = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@fuzzed
@given(body(chat, messages=st.lists(message, min_size=1, max_size=4)))
async def test_chat(openai: OpenAI, asked: Any) -> None:
    await send(openai, CHAT, asked)


@fuzzed
@given(body(completion, prompt=text | st.lists(text, max_size=3) | st.lists(st.integers())))
async def test_completions(openai: OpenAI, asked: Any) -> None:
    await send(openai, "/completions", asked)


@fuzzed
@given(body(response, input=text | st.lists(item, max_size=4)))
async def test_responses(openai: OpenAI, asked: Any) -> None:
    answer = await send(openai, "/responses", asked)
    whole = answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    if whole and answer.json["store"]:
        items = await openai.get(f"/responses/{answer.json['id']}/input_items")
        assert all(isinstance(each["id"], str) for each in items["data"])


@fuzzed
@given(st.sampled_from([CHAT, "/completions", "/responses"]), st.binary(max_size=60) | value)
async def test_what_is_no_body(openai: OpenAI, path: str, asked: Any) -> None:
    answer = await send(openai, path, b"null" if asked is None else asked)
    assert answer.status == 400
