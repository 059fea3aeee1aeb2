from __future__ import annotations

from types import MappingProxyType

import pytest

from . import (
    DEFAULT_TEXT,
    Conversation,
    Failure,
    Kind,
    RecordedRequest,
    Reply,
    ScriptError,
    ToolCall,
    Utterance,
    in_turn,
    obey_directives,
)


def asked(*utterances: Utterance) -> RecordedRequest:
    return RecordedRequest(
        method="POST",
        path="/",
        headers=MappingProxyType({}),
        body={},
        received_at=0.0,
        kind=Kind.TURN,
        conversation=Conversation.of(utterances, model="m", streaming=True),
    )


def said(text: str) -> RecordedRequest:
    return asked(Utterance("user", text))


def test_a_prompt_without_a_directive_gets_the_default() -> None:
    assert obey_directives(said("hi %% there")) == Reply()
    assert obey_directives(said("hi"), Reply(text="x")) == Reply(text="x")


def test_a_directive_sets_the_fields_of_the_reply() -> None:
    reply = obey_directives(
        said('say %%{"text": "a}b", "delay": 0.5, "error": 401, "tools": [{"name": "t"}]}%% now')
    )
    assert reply == Reply(text="a}b", delay=0.5, error=Failure(401), tools=(ToolCall("t"),))


def test_the_last_directive_of_the_newest_user_text_counts() -> None:
    reply = obey_directives(
        asked(
            Utterance("user", '%%{"text": "old"}%%'),
            Utterance("assistant", '%%{"text": "not mine"}%%'),
            Utterance("user", '%%{"text": "1"}%% %%{"text": "2"}%%'),
        )
    )
    assert reply.text == "2"


@pytest.mark.parametrize(
    "directive",
    ['{"texts": "x"}', '{"chunks": 0}', '{"error": "no"}', '{"text": "x"', '{"text": "x"} '],
)
def test_a_bad_directive_is_not_ignored(directive: str) -> None:
    with pytest.raises(ScriptError, match="directive"):
        obey_directives(said(f"%%{directive}%%"))


def test_after_tool_results_the_next_reply_is_due() -> None:
    prompt = Utterance("user", '%%{"tools": [{"name": "t"}], "then": {"text": "one"}}%%')
    results = (Utterance("tool", "r1"), Utterance("tool", "r2"))
    spoken = Utterance("assistant", "one")
    assert obey_directives(asked(prompt)).tools
    assert obey_directives(asked(prompt, *results)) == Reply(text="one")
    assert obey_directives(asked(prompt, *results, spoken, *results)) == Reply()
    assert obey_directives(asked(prompt, *results, Utterance("user", "thanks"))) == Reply()


@pytest.mark.parametrize("chunks", [1, 3, 7, 1000])
def test_the_pieces_make_up_the_text(chunks: int) -> None:
    pieces = Reply(text="Grüße, world", chunks=chunks).pieces(said("hi"))
    assert "".join(pieces) == "Grüße, world"
    assert len(pieces) == min(chunks, 12)
    assert all(pieces)


def test_an_empty_text_has_no_pieces() -> None:
    assert Reply(text="").pieces(said("hi")) == []


def test_words_are_sent_one_by_one() -> None:
    assert Reply(words=3).pieces(said("hi")) == ["word1 ", "word2 ", "word3 "]


def test_a_marker_is_echoed_unless_a_text_is_given() -> None:
    request = said("please, marker=a.b-7.")
    assert "".join(Reply().pieces(request)) == f"{DEFAULT_TEXT} marker=a.b-7"
    assert Reply(words=1).pieces(request) == ["word1 ", "marker=a.b-7"]
    assert Reply(text="x").pieces(request) == ["x"]


def test_tool_calls_come_without_text_unless_it_is_given() -> None:
    assert Reply(tools=(ToolCall("t"),)).pieces(said("hi marker=1")) == []
    assert Reply(tools=(ToolCall("t"),), text="x").pieces(said("hi")) == ["x"]


def test_replies_in_turn_repeat_the_last() -> None:
    script = in_turn(Reply(text="1"), Reply(text="2"))
    assert [script(said("hi")).text for _ in range(3)] == ["1", "2", "2"]


def test_notes_of_the_client_are_no_utterances() -> None:
    conversation = asked(
        Utterance("user", "<environment_context>\n<cwd>/</cwd></environment_context>"),
        Utterance("user", "<system-reminder>\nsunny\n</system-reminder>\n\n hi "),
        Utterance("system", "be brief"),
    ).conversation
    assert conversation.utterances == (Utterance("user", "hi "),)
    assert conversation.system == "be brief"
