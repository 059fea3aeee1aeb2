"""Whatever JSON a caller sends, it gets an answer or is told what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from clinvkd.api.anthropic.models import CountRequest, MessagesRequest

from .talk import PNG, Anthropic, Stream, check_message, error_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Echo obeys what stands in double brackets; a machine that is told to fail may.
text = st.text(max_size=30).filter(lambda value: "[[" not in value)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


def one_of(**members: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these members, some of them missing or of any type."""
    return st.fixed_dictionaries({}, optional={k: s | values for k, s in members.items()})


sources = one_of(
    type=st.sampled_from(["base64", "url", "text", "content"]),
    media_type=st.sampled_from(["image/png", "application/pdf", "text/plain"]),
    data=st.sampled_from([PNG, "JVBERi0x", "plain"]),
    url=text,
    content=text,
)
blocks = one_of(
    type=st.sampled_from(
        ["text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result"]
    ),
    text=text,
    source=sources,
    title=text,
    thinking=text,
    signature=text,
    data=text,
    id=st.sampled_from(["a", "b"]),
    name=text,
    input=st.dictionaries(text, values, max_size=2),
    tool_use_id=st.sampled_from(["a", "b"]),
    content=text,
)
texts = st.fixed_dictionaries({"type": st.just("text"), "text": text})
content = text | st.lists(texts | blocks, max_size=3)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": content}
    ),
    max_size=4,
)
sensible: dict[str, st.SearchStrategy[Any]] = {
    "model": st.sampled_from(["echo", "echo", "plain", "claude", "echo/x", "mystery", "-", "\0"]),
    "messages": messages,
    "system": text | st.lists(texts, max_size=2),
    "tools": st.just([]),
    "max_tokens": st.integers(-1, 3000),
    "stream": st.booleans(),
    "stop_sequences": st.lists(text, max_size=3),
    "temperature": st.floats(0, 1),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(0, 9),
    "thinking": one_of(
        type=st.sampled_from(["enabled", "disabled", "adaptive"]),
        budget_tokens=st.integers(1000, 3000),
    ),
    "output_config": one_of(
        effort=text,
        format=one_of(
            type=st.just("json_schema"), schema=st.dictionaries(text, values, max_size=2)
        ),
    ),
    "thread": one_of(type=st.sampled_from(["create", "continue"]), previous_message_id=text),
}
usual = st.fixed_dictionaries(
    {
        "model": sensible["model"],
        "max_tokens": st.integers(1, 50),
        "messages": st.tuples(
            messages, st.just({"role": "user", "content": "words at the end"})
        ).map(lambda both: [*both[0], both[1]]),
    },
    optional={
        name: sensible.get(name, values)
        for name in MessagesRequest.model_fields
        if name not in ("model", "max_tokens", "messages")
    },
)
wild = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(sensible.get(name, values), values)
        for name in (*MessagesRequest.model_fields, "container", "unknown")
    },
)
fuzzed = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@fuzzed
@given(body=usual | wild)
async def test_no_message_is_a_defect_of_ours(anthropic: Anthropic, body: dict[str, Any]) -> None:
    with capture_logs() as log:
        answer = await anthropic.request("POST", "/messages", body)
    assert answer.status < 500 or answer.status in (503, 529), answer.text
    if answer.status != 200:
        error_of(answer)
    elif answer.headers["Content-Type"] == "text/event-stream":
        Stream.of(answer)
    else:
        check_message(answer.json)
    assert not [line for line in log if line["log_level"] == "error"]


@fuzzed
@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            name: st.one_of(sensible.get(name, values), values)
            for name in CountRequest.model_fields
        },
    )
)
async def test_no_count_is_a_defect_of_ours(anthropic: Anthropic, body: dict[str, Any]) -> None:
    with capture_logs() as log:
        answer = await anthropic.request("POST", "/messages/count_tokens", body)
    assert answer.status < 500 or answer.status == 503, answer.text
    if answer.status == 200:
        assert answer.json["input_tokens"] >= 1
    else:
        error_of(answer)
    assert not [line for line in log if line["log_level"] == "error"]
