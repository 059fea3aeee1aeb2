"""Models, chat completions and legacy completions with the official Python SDK."""

from __future__ import annotations

import pytest
import pytest_asyncio

from .programs.pictures import PIXEL
from .reading import holds, is_ordered, schemas, spoken
from .stage import REAL, SDKS, Run, Stages, python_client

pytestmark = pytest.mark.timeout(300)

EVERYWHERE = pytest.mark.parametrize(("backend", "sdk"), SDKS)
WITH_PROVIDER = pytest.mark.parametrize(
    ("backend", "sdk"), [one for one in SDKS if one.values[0] in REAL]
)

CACHED_AND_REASONING = {"claude": (13, 7, 3), "codex": (13, 7, 3), "gemini": (10, 0, 0)}
"""Completion, cached and reasoning tokens: gemini tells the last two to nobody over ACP."""


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str, sdk: str) -> Run:
    return await stages.run(backend, python_client(sdk, "openai_chat"))


@EVERYWHERE
def test_models_are_the_backend_its_models_and_the_aliases(run: Run) -> None:
    named = [f"{run.backend}/fake-1"] if run.backend in REAL else []
    models = run.result("models_list")
    assert [model["id"] for model in models] == [run.backend, *named, "my-codex"]
    assert {model["owned_by"] for model in models} == {"clinvoker"}
    assert run.result("model_retrieve") == models[0]
    missing = run.result("model_missing")
    assert missing == {"status": 404, "code": "model_not_found", "param": "model"}


@EVERYWHERE
def test_a_completion_is_whole(run: Run) -> None:
    completion = run.result("chat_create")
    [choice] = completion["choices"]
    assert run.is_reply(choice["message"]["content"], "chat_create")
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] == "stop"
    assert completion["id"].startswith("chatcmpl-")
    assert (completion["object"], completion["model"]) == ("chat.completion", run.backend)
    assert completion["request_id"]


@WITH_PROVIDER
def test_usage_is_that_of_the_provider(run: Run) -> None:
    output, cached, reasoning = CACHED_AND_REASONING[run.backend]
    for usage, times in (
        (run.result("chat_create")["usage"], 1),
        (run.result("chat_stream")["usage"], 1),
        (run.result("several")["usage"], 2),
    ):
        assert usage["prompt_tokens"] == 31 * times
        assert usage["completion_tokens"] == output * times
        assert usage["total_tokens"] == (31 + output) * times
        assert usage["prompt_tokens_details"]["cached_tokens"] == cached * times
        assert usage["completion_tokens_details"]["reasoning_tokens"] == reasoning * times


@WITH_PROVIDER
def test_the_model_after_the_backend_is_asked_for(run: Run) -> None:
    model, text = run.result("named_model")
    assert model == f"{run.backend}/fake-1"
    assert run.is_reply(text, "named_model")
    assert run.turn("named_model").model == "fake-1"
    assert run.turn("chat_create").model != "fake-1"


@EVERYWHERE
def test_a_stream_begins_with_the_role_and_ends_with_the_usage(run: Run) -> None:
    told = run.result("chat_stream")
    assert told["roles"] == ["assistant"]
    assert told["first"] == "assistant"
    assert run.is_reply("".join(told["pieces"]), "chat_stream")
    assert len(told["pieces"]) > 1
    assert told["finish"] == ["stop"]
    assert len(told["ids"]) == 1
    assert told["last_choices"] == 0
    assert told["usage"]["total_tokens"] > 0


@WITH_PROVIDER
def test_the_same_conversation_whole_and_streamed_gives_the_same(run: Run) -> None:
    whole, streamed = run.result("whole_and_streamed")
    assert run.is_reply(whole[0], "whole_and_streamed")
    assert streamed == whole
    first, second = run.turns("whole_and_streamed")
    assert spoken(first) == spoken(second)


@EVERYWHERE
def test_the_stream_helper_puts_the_answer_together(run: Run) -> None:
    told = run.result("chat_stream_helper")
    assert run.is_reply(told["text"], "chat_stream_helper")
    assert "content.delta" in told["kinds"]
    assert told["kinds"][-1] == "content.done"


@WITH_PROVIDER
def test_an_answer_is_parsed_into_a_model(run: Run) -> None:
    assert run.result("parse") == ["Weather", {"city": "Oslo", "degrees": 3}]
    # Claude Code may ask once more, for the text after its tool's call.
    request = run.turns("parse")[0]
    wanted = {"city": {"title": "City", "type": "string"},
              "degrees": {"title": "Degrees", "type": "integer"}}  # fmt: skip
    [schema] = [schema for schema in schemas(request) if schema["properties"] == wanted]
    assert schema["required"] == ["city", "degrees"]
    assert schema["additionalProperties"] is False


@EVERYWHERE
def test_system_and_developer_messages_are_kept_in_order(run: Run) -> None:
    assert run.is_reply(run.result("system_messages"), "system_messages")
    if run.backend in REAL:
        request = run.turn("system_messages")
        assert is_ordered(
            request, "First rule: be brief.", "Second rule: be kind.", "Third rule: be exact."
        )
        assert spoken(request) == [("user", "Say hello marker=system_messages")]


@EVERYWHERE
def test_an_image_reaches_the_provider_or_is_refused(run: Run) -> None:
    result = run.result("image")
    if run.backend == "local":
        assert "'local' does not take images" in result["refused"]
        return
    assert run.is_reply(result["text"], "image")
    if run.backend in REAL:
        assert holds(run.turn("image"), PIXEL)


@EVERYWHERE
def test_history_keeps_its_roles(run: Run) -> None:
    assert run.is_reply(run.result("history"), "history")
    if run.backend in REAL:
        assert spoken(run.turn("history")) == [
            ("user", "I am called Ada."),
            ("assistant", "Hello Ada."),
            ("user", "I like tea."),
            ("assistant", "Noted."),
            ("user", "Say hello marker=history"),
        ]


@EVERYWHERE
def test_a_chat_that_sends_its_history_again_is_continued(run: Run) -> None:
    told = run.result("five_turns")
    assert told["ways"].pop("continue") == 4
    assert sum(told["ways"].values()) == 1
    for number, answer in enumerate(told["answers"], 1):
        assert run.is_reply(answer, f"five_turns_{number}")
    if run.backend in REAL:
        questions = [f"Say hello marker=five_turns_{number}" for number in range(1, 6)]
        assert (
            spoken(run.turn("five_turns_5"))
            == [
                part
                for question, answer in zip(questions, told["answers"], strict=True)
                for part in (("user", question), ("assistant", answer))
            ][:-1]
        )


@EVERYWHERE
def test_several_answers_come_at_once(run: Run) -> None:
    choices = run.result("several")["choices"]
    assert [index for index, _ in choices] == [0, 1]
    assert all(run.is_reply(text, "several") for _, text in choices)
    streamed = run.result("several_streamed")
    assert all(run.is_reply(text, "several_streamed") for text in streamed)
    if run.backend in REAL:
        assert len(run.turns("several")) == len(run.turns("several_streamed")) == 2


@EVERYWHERE
def test_a_stop_text_ends_the_answer(run: Run) -> None:
    text, finish = run.result("stop")
    if run.backend != "local":  # which says what it likes
        assert (text, finish) == ("one ", "stop")
    assert "END" not in text
    if run.backend == "claude":
        assert run.turn("stop").body["stop_sequences"] == ["END"]


@EVERYWHERE
def test_a_limit_ends_the_answer(run: Run) -> None:
    text, finish = run.result("limit")
    assert finish == "length"
    if run.backend == "claude":  # which leaves it to the provider, and the fake one does not count
        assert run.turn("limit").body["max_tokens"] == 5
    else:
        assert len(text) <= 5 * len("million ")


@EVERYWHERE
def test_what_is_not_honoured_is_named(run: Run) -> None:
    told = run.result("ignored")
    assert run.is_reply(told["text"], "ignored")
    honours = run.backend in ("gemini", "local")
    honoured = {"temperature", "top_p", "seed"} if honours else set()
    assert set(told["header"].split(", ")) == {
        "temperature", "top_p", "seed", "frequency_penalty", "logit_bias", "logprobs",
        "service_tier", "unheard_of",
    } - honoured  # fmt: skip
    assert told["request_id"]


@EVERYWHERE
def test_a_text_is_completed(run: Run) -> None:
    completion = run.result("completions_create")
    [choice] = completion["choices"]
    prompt = "Say hello marker=completions_create"
    assert choice["text"].startswith(prompt)
    assert run.is_reply(choice["text"].removeprefix(prompt), "completions_create")
    assert completion["object"] == "text_completion"
    assert completion["usage"]["total_tokens"] > 0
    first, second = run.result("completions_list")
    assert run.is_reply(first[1], "completions_list_1")
    assert run.is_reply(second[1], "completions_list_2")
    assert (first[0], second[0]) == (0, 1)


@EVERYWHERE
def test_a_completion_is_streamed(run: Run) -> None:
    told = run.result("completions_stream")
    assert run.is_reply("".join(told["pieces"]), "completions_stream")
    assert len(told["pieces"]) > 1
    assert told["finish"] == ["stop"]


@EVERYWHERE
def test_the_asynchronous_client_runs_two_calls_at_once(run: Run) -> None:
    whole, streamed = run.result("asynchronous")
    assert run.is_reply(whole, "asynchronous_whole")
    assert run.is_reply("".join(streamed["pieces"]), "asynchronous_stream")
    assert streamed["usage"] is None


@WITH_PROVIDER
def test_a_client_that_leaves_ends_its_turn(run: Run) -> None:
    assert run.result("closed_stream") == [["", "word1 "], True]
    assert run.result("closed_asynchronous_stream") == [["", "word1 "], True]
    assert run.result("cancelled_call") is True
    for marker in ("closed_stream", "closed_asynchronous_stream", "cancelled_call"):
        assert len(run.turns(marker)) == 1
    # None of these answers would ever have ended by itself.
    assert run.unfinished == 0
