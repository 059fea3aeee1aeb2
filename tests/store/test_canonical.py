from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinvkd.prompt import (
    Image,
    Message,
    OutputSchema,
    Permissions,
    Prompt,
    Sampling,
    Text,
    ToolResult,
    ToolUse,
)
from clinvkd.store import decode_binding, decode_messages, encode_binding, encode_messages
from clinvkd.store.canonical import from_json, to_json

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates as well
FINITE = st.floats(allow_nan=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=10,
)
JSON_OBJECTS = st.dictionaries(ANY_TEXT, JSON, max_size=3)
PARTS = st.builds(Text, ANY_TEXT) | st.builds(Image, ANY_TEXT, ANY_TEXT)
BLOCKS = (
    PARTS
    | st.builds(ToolUse, ANY_TEXT, ANY_TEXT, JSON_OBJECTS)
    | st.builds(ToolResult, ANY_TEXT, st.lists(PARTS, max_size=3).map(tuple), st.booleans())
)
MESSAGES = st.builds(
    Message, st.sampled_from(["user", "assistant"]), st.lists(BLOCKS, max_size=3).map(tuple)
)
TEXTS = st.lists(ANY_TEXT, max_size=3).map(tuple)
MAYBE_NUMBERS = st.none() | FINITE
MAYBE_COUNTS = st.none() | st.integers()
PROMPTS = st.builds(
    Prompt,
    backend=ANY_TEXT,
    messages=st.lists(MESSAGES, max_size=4).map(tuple),
    system=st.none() | ANY_TEXT,
    model=st.none() | ANY_TEXT,
    workdir=st.none() | st.sampled_from([Path("/"), Path("/srv/with space/ü")]),
    permissions=st.builds(
        Permissions,
        tools=st.booleans(),
        approval=st.sampled_from(["default", "auto", "none", "always"]),
        sandbox=st.sampled_from(["default", "read-only", "workspace", "full"]),
        allowed_tools=TEXTS,
        trusted=st.booleans(),
    ),
    max_tokens=MAYBE_COUNTS,
    max_turns=MAYBE_COUNTS,
    sampling=st.builds(
        Sampling,
        temperature=MAYBE_NUMBERS,
        top_p=MAYBE_NUMBERS,
        top_k=MAYBE_COUNTS,
        seed=MAYBE_COUNTS,
        stop=TEXTS,
        thinking_tokens=MAYBE_COUNTS,
        effort=st.none() | ANY_TEXT,
    ),
    output=st.none() | st.builds(OutputSchema, JSON_OBJECTS, ANY_TEXT),
    options=st.lists(
        st.tuples(ANY_TEXT, ANY_TEXT | st.integers() | FINITE | st.booleans()), max_size=3
    ).map(tuple),
    ephemeral=st.booleans(),
    raw_events=st.booleans(),
    client=ANY_TEXT,
)


@given(PROMPTS)
def test_a_prompt_comes_back_equal(prompt: Prompt) -> None:
    binding = to_json(encode_binding(prompt))
    history = to_json(encode_messages(prompt.messages))
    # No database takes anything else as text.
    binding.encode()
    history.encode()

    again = decode_binding(from_json(binding), decode_messages(from_json(history)))

    assert again == prompt
    assert repr(again) == repr(prompt)  # True is not 1, and 1 is not 1.0


def test_every_field_of_a_prompt_is_kept() -> None:
    prompt = Prompt(backend="claude", messages=())
    kept = set(encode_binding(prompt)) - {"version"}
    assert kept == {field.name for field in fields(Prompt)} - {"messages", "trace"}


def test_a_field_that_came_later_gets_its_default() -> None:
    binding = encode_binding(Prompt(backend="claude", messages=(), max_tokens=5))
    del binding["max_tokens"]
    assert decode_binding(binding, ()) == Prompt(backend="claude", messages=())


@given(JSON)
def test_a_json_value_comes_back_equal(value: Any) -> None:
    assert repr(from_json(to_json(value))) == repr(value)


def test_text_is_stored_as_it_reads() -> None:
    assert to_json(["Grüße, 世界"]) == '["Grüße, 世界"]'
    assert to_json(["Grüße\ud83d"]) == r'["Gr\u00fc\u00dfe\ud83d"]'


def test_a_form_of_the_future_is_not_guessed_at() -> None:
    history = encode_messages(()) | {"version": 2}
    with pytest.raises(ValueError, match="form 2, this version reads 1"):
        decode_messages(history)
    binding = encode_binding(Prompt(backend="claude", messages=())) | {"version": 2}
    with pytest.raises(ValueError, match="form 2, this version reads 1"):
        decode_binding(binding, ())


def test_an_unknown_block_is_not_dropped() -> None:
    history = {"version": 1, "messages": [{"role": "user", "content": [{"type": "video"}]}]}
    with pytest.raises(ValueError, match="unknown block 'video'"):
        decode_messages(history)
