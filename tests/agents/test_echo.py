"""The echo agent does exactly what the directives in a prompt say."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from .client import REPOSITORY, AgentClient, AgentError, running_agent, text

USER = {"role": "user", "content": [text("My name is Ada.")]}
ASSISTANT = {"role": "assistant", "content": [text("Hello Ada.")]}


@pytest.mark.parametrize(
    "prompt",
    [
        "one",
        "two words",
        "  leading, doubled  and trailing \n\n lines\t",
        "\u00fcml\u00e4ut \U0001f30a \u2028 and a lone \ud800 surrogate",
        "[[unknown]] [[slow]] [not a directive] ]]",
        "NUL \x00 and / and - and @",
    ],
)
async def test_answer_is_the_text_of_the_prompt(echo: AgentClient, prompt: str) -> None:
    session = await echo.new_session()
    answering, result = await echo.prompt(session, prompt)
    assert answering.text == prompt
    assert result["stopReason"] == "end_turn"


async def test_standard_library_is_enough() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-m", "clinvkd.agents.echo"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
        env={},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"initialize"}\n')
    assert b'"echo"' in await process.stdout.readline()
    assert await process.communicate(b"") == (b"", b"")
    assert process.returncode == 0


async def test_chunks_are_word_sized_and_keep_whitespace(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering, result = await echo.prompt(session, " a  b\nc", "second block")
    assert answering.chunks() == [" ", "a  ", "b\n", "c\n", "second ", "block"]
    assert result["usage"] == {"inputTokens": 5, "outputTokens": 5, "totalTokens": 10}


async def test_prompt_of_ten_megabytes_comes_back_whole(echo: AgentClient) -> None:
    session = await echo.new_session()
    prompt = "".join(f"word{number} " for number in range(800_000)) + "x" * 1_200_000
    assert len(prompt) > 9_000_000
    answering, result = await echo.prompt(session, prompt)
    assert answering.text == prompt
    assert max(map(len, answering.chunks())) <= 2_000
    assert result["usage"]["outputTokens"] == 800_001


async def test_long_repeats_the_words(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering, _ = await echo.prompt(session, "a [[long 5]] b")
    assert answering.chunks() == ["a ", "b ", "a ", "b ", "a"]


async def test_long_without_text_numbers_its_words(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering, _ = await echo.prompt(session, "[[long 3]]")
    assert answering.chunks() == ["word1 ", "word2 ", "word3"]


async def test_slow_and_silent_wait_without_changing_the_answer(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering, _ = await echo.prompt(session, "[[silent 0.01]][[slow 0.01]]a b c")
    assert answering.chunks() == ["a ", "b ", "c"]


async def test_silent_turn_says_nothing_while_another_answers(echo: AgentClient) -> None:
    silent, other = await echo.new_session(), await echo.new_session()
    waiting = echo.start(silent, "[[silent 3600]] never said")
    await echo.prompt(other, "said")
    assert waiting.updates == []


async def test_thoughts_come_first_and_are_counted(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering, result = await echo.prompt(session, "answer[[think let me see]]")
    kinds = [update["sessionUpdate"] for update in answering.updates]
    assert kinds == ["agent_thought_chunk"] * 3 + ["agent_message_chunk"]
    assert answering.chunks("agent_thought_chunk") == ["let ", "me ", "see"]
    assert result["usage"]["thoughtTokens"] == 3
    assert result["usage"]["totalTokens"] == sum(
        result["usage"][name] for name in ("inputTokens", "outputTokens", "thoughtTokens")
    )


async def test_tool_calls_carry_their_arguments_and_distinct_ids(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering, _ = await echo.prompt(session, 'x[[tool Read {"nested": [["]]"]]} ]][[tool Other]]y')
    first, first_end, second, second_end = answering.updates[:4]
    assert (first["sessionUpdate"], first["title"], first["status"]) == (
        "tool_call",
        "Read",
        "in_progress",
    )
    assert first["rawInput"] == {"nested": [["]]"]]}
    assert (first_end["sessionUpdate"], first_end["status"]) == ("tool_call_update", "completed")
    assert first_end["toolCallId"] == first["toolCallId"]
    assert first_end["rawOutput"] == first["rawInput"]
    assert json.loads(first_end["content"][0]["content"]["text"]) == first["rawInput"]
    assert (second["title"], second["rawInput"]) == ("Other", {})
    assert second["toolCallId"] == second_end["toolCallId"] != first["toolCallId"]
    assert answering.text == "xy"


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        ({"outcome": "selected", "optionId": "allow"}, "Bash allowed\ndone"),
        ({"outcome": "selected", "optionId": "reject"}, "Bash rejected\ndone"),
        ({"outcome": "cancelled"}, "Bash cancelled\ndone"),
    ],
)
async def test_ask_tells_what_was_granted(
    echo: AgentClient, outcome: dict[str, str], answer: str
) -> None:
    session = await echo.new_session()
    answering = echo.start(session, "[[ask Bash]]done")
    question = await echo.permissions.get()
    assert question["params"]["sessionId"] == session
    assert question["params"]["toolCall"]["title"] == "Bash"
    kinds = [option["kind"] for option in question["params"]["options"]]
    assert kinds == ["allow_once", "reject_once"]
    echo.send({"id": question["id"], "result": {"outcome": outcome}})
    await answering.finished
    assert answering.text == answer


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32601, "message": "no permissions here"}},
        {"result": {"outcome": {"outcome": "selected", "optionId": "unheard of"}}},
        {"result": {}},
    ],
)
async def test_ask_fails_the_prompt_when_the_answer_is_none(
    echo: AgentClient, answer: dict[str, object]
) -> None:
    session = await echo.new_session()
    answering = echo.start(session, "[[ask Bash]]done")
    question = await echo.permissions.get()
    echo.send({"id": question["id"], **answer})
    with pytest.raises(AgentError):
        await answering.finished
    assert answering.updates == []


async def test_fail_comes_after_the_text(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering = echo.start(session, "some text [[fail the provider is gone]]")
    with pytest.raises(AgentError, match=r"^the provider is gone$") as failure:
        await answering.finished
    assert failure.value.code == -32603
    assert answering.text == "some text "


async def test_exit_ends_the_process_after_the_text(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering = echo.start(session, "last words [[exit 7]]")
    assert await echo.exited == 7
    assert answering.text == "last words "
    assert not answering.finished.done()


async def test_history_and_system_prompt_can_be_seeded(echo: AgentClient) -> None:
    session = await echo.new_session(system="Be brief.", history=[USER, ASSISTANT])
    answering, result = await echo.prompt(session, "ignored [[history]]")
    assert json.loads(answering.text) == {"system": "Be brief.", "history": [USER, ASSISTANT]}
    assert result["usage"]["inputTokens"] == 2 + 4 + 2 + 2


async def test_finished_turns_become_history(echo: AgentClient) -> None:
    session = await echo.new_session()
    await echo.prompt(session, "[[long 2]] hi")
    answering, _ = await echo.prompt(session, "[[history]]")
    assert json.loads(answering.text) == {
        "system": None,
        "history": [
            {"role": "user", "content": [text("[[long 2]] hi")]},
            {"role": "assistant", "content": [text("hi hi")]},
        ],
    }


async def test_failed_turn_leaves_no_trace(echo: AgentClient) -> None:
    session = await echo.new_session()
    with pytest.raises(AgentError):
        await echo.prompt(session, "said [[fail no]]")
    answering, _ = await echo.prompt(session, "[[history]]")
    assert json.loads(answering.text)["history"] == []


async def test_options_are_told_as_received(echo: AgentClient) -> None:
    session = await echo.new_session()
    options = {"max_tokens": 1, "temperature": 0.5, "stop": ["a b"], "unheard_of": [1]}
    answering, _ = await echo.prompt(session, "[[options]]", **options)
    assert json.loads(answering.text) == options


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ('{"name": "Ann", "ages": [1, 2]}', '{"name": "Ann", "ages": [1, 2]}'),
        ("12", "12"),
        ('not "JSON"', '{"echo":"not \\"JSON\\""}'),
        ("NaN", '{"echo":"NaN"}'),
        ("[[long 3]] go", '{"echo":"go go go"}'),
        ("[" * 100_000, None),
    ],
)
async def test_with_a_schema_the_answer_is_json(
    echo: AgentClient, prompt: str, answer: str | None
) -> None:
    session = await echo.new_session()
    answering, _ = await echo.prompt(session, prompt, schema={"type": "object"})
    assert answering.text == (answer or '{"echo":"' + prompt + '"}')


async def test_max_tokens_counts_chunks(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering, result = await echo.prompt(session, "a b c d", max_tokens=2)
    assert answering.chunks() == ["a ", "b "]
    assert result["stopReason"] == "max_tokens"
    _, result = await echo.prompt(session, "a b c d", max_tokens=4)
    assert result["stopReason"] == "end_turn"


async def test_stop_cuts_before_the_first_stop_string(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering, result = await echo.prompt(session, "one two three four", stop=["four", "o thr"])
    assert answering.chunks() == ["one ", "tw"]
    assert result["stopReason"] == "end_turn"
    assert result["_meta"] == {"clinvk": {"stopSequence": "o thr"}}


async def test_max_tokens_before_the_stop_string_wins(echo: AgentClient) -> None:
    session = await echo.new_session()
    answering, result = await echo.prompt(session, "a b c STOP", stop=["STOP"], max_tokens=1)
    assert answering.text == "a "
    assert result["stopReason"] == "max_tokens"
    assert "_meta" not in result


async def test_environment_names_are_sorted(tmp_path: Path) -> None:
    extra = {"ZEBRA": "1", "APPLE": "2"}
    async with running_agent(tmp_path, "echo", environment=extra) as echo:
        session = await echo.new_session()
        answering, _ = await echo.prompt(session, "[[env]]")
    names = json.loads(answering.text)
    assert names == sorted(names)
    # LC_CTYPE is set by the interpreter itself where the locale is "C".
    assert set(names) - {"LC_CTYPE"} == {"APPLE", "HOME", "PATH", "ZEBRA"}


async def test_working_directory_is_the_sessions_own(echo: AgentClient) -> None:
    first, second = await echo.new_session("/usr"), await echo.new_session("/usr/lib")
    told = [(await echo.prompt(session, "[[cwd]]"))[0].text for session in (second, first)]
    assert told == ["/usr/lib", "/usr"]


async def test_model_is_told_again(echo: AgentClient) -> None:
    session, other = await echo.new_session(), await echo.new_session()
    await echo.request("session/set_model", {"sessionId": session, "modelId": "large"})
    assert (await echo.prompt(session, "[[model]]"))[0].text == "large"
    assert (await echo.prompt(other, "[[model]]"))[0].text == "echo"


async def test_images_are_described(echo: AgentClient) -> None:
    data = os.urandom(1000)
    image = {
        "type": "image",
        "mimeType": "image/png",
        "data": base64.b64encode(data).decode(),
    }
    session = await echo.new_session()
    answering, _ = await echo.prompt(session, "look [[image]]", image)
    assert json.loads(answering.text) == [
        {"mediaType": "image/png", "bytes": 1000, "sha256": hashlib.sha256(data).hexdigest()}
    ]


@pytest.mark.parametrize(
    "directive",
    [
        "[[slow soon]]",
        "[[slow -1]]",
        "[[silent nan]]",
        "[[long 0]]",
        "[[long many]]",
        "[[long 99999999]]",
        "[[exit 256]]",
        "[[tool Read {broken]]",
        "[[tool Read {} {}]]",
    ],
)
async def test_wrong_argument_fails_before_anything_is_said(
    echo: AgentClient, directive: str
) -> None:
    session = await echo.new_session()
    answering = echo.start(session, f"text [[think first]] {directive}")
    with pytest.raises(AgentError, match=r"^directive \[\[\w+\]\] takes ") as failure:
        await answering.finished
    assert failure.value.code == -32602
    assert answering.updates == []


async def test_image_that_is_not_base64_is_refused(echo: AgentClient) -> None:
    session = await echo.new_session()
    with pytest.raises(AgentError, match="base64"):
        await echo.prompt(
            session, "[[image]]", {"type": "image", "mimeType": "image/png", "data": "?"}
        )
