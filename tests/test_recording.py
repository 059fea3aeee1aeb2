"""What the engine records of turns, and what it does when the store does not work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clinvkd.config import Settings
from clinvkd.engine import BY_HISTORY, Engine
from clinvkd.errors import BackendError, Conflict, NotFound
from clinvkd.events import Completed
from clinvkd.prompt import Message, OutputSchema, Prompt, Text
from clinvkd.sessions import Keeping, SessionStore
from clinvkd.store import StoredSession

from .api.service import until
from .pools import prompt, text_of


@asynccontextmanager
async def running(environ: Mapping[str, str], **session: Any) -> AsyncIterator[Engine]:
    settings = Settings.model_validate({"default_backend": "echo", "session": session})
    engine = Engine(settings, environ)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment without agents; what the engine keeps on disk is below `tmp_path`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "private"))
    (tmp_path / "private").mkdir()
    return {"PATH": str(tmp_path / "no-programs"), "HOME": str(tmp_path)}


def asked(text: str, *history: tuple[str, str], **options: Any) -> Prompt:
    return prompt(text, *history, backend="echo", **options)


async def say(engine: Engine, prompt: Prompt, keeping: Keeping = BY_HISTORY) -> str:
    events = []
    async with engine.turn(prompt, keeping) as turn:
        async for batch in turn:
            events += batch
    assert isinstance(events[-1], Completed)
    return text_of(events)


async def begun(engine: Engine, text: str, **keeping: Any) -> str:
    name = SessionStore.new_id()
    await say(engine, asked(text), Keeping(session_id=name, **keeping))
    return name


async def going_on(engine: Engine, name: str, text: str) -> tuple[Prompt, Keeping]:
    """A prompt that goes on with a session, and where it is kept."""
    before = await engine.sessions.get(name, "")
    messages = (*before.messages, Message("user", (Text(text),)))
    return Prompt(backend="echo", messages=messages), Keeping(session_id=name, before=before)


def files_with(words: bytes, folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if words in path.read_bytes()]


async def listed(engine: Engine) -> tuple[StoredSession, ...]:
    return (await engine.sessions.list("")).sessions


async def test_a_finished_turn_is_stored_before_its_caller_knows(environ: dict[str, str]) -> None:
    async with running(environ, default_tags=["home"]) as engine:
        name = SessionStore.new_id()
        keeping = Keeping(session_id=name, metadata={"k": "v"}, tags=("own",))
        async with engine.turn(asked("hello"), keeping) as turn:
            while not isinstance((await anext(turn))[-1], Completed):
                assert await listed(engine) == ()
            (session,) = await listed(engine)
        assert (session.id, session.title, session.status) == (name, "hello", "completed")
        assert (session.tags, session.metadata) == (("home", "own"), {"k": "v"})
        assert session.agent_session_id
        assert session.usage.output_tokens > 0
    async with running(environ) as engine:
        kept = await engine.sessions.get(name, "")
        answer = Message("assistant", (Text("hello"),))
        assert kept.messages == (*asked("hello").messages, answer)


async def test_callers_who_resend_their_history_get_one_session(environ: dict[str, str]) -> None:
    async with running(environ) as engine:
        history: list[tuple[str, str]] = []
        for text in ("one", "two", "three"):
            history += [("user", text), ("assistant", await say(engine, asked(text, *history)))]
        (session,) = await listed(engine)
        assert (session.turn_count, session.message_count) == (3, 6)
        kept = await engine.sessions.get(session.id, "")
        assert [message.text for message in kept.messages] == [text for _, text in history]
        await say(engine, asked("two", ("user", "edited"), ("assistant", "one")))
        assert await engine.sessions.count() == 2


async def test_a_session_goes_on_after_a_restart(environ: dict[str, str]) -> None:
    async with running(environ) as engine:
        name = await begun(engine, "remember")
    async with running(environ) as engine:
        told = json.loads(await say(engine, *await going_on(engine, name, "[[history]]")))
        texts = [message["content"][0]["text"] for message in told["history"]]
        assert texts == ["remember", "remember"]
        assert (await engine.sessions.look_up(name, "")).turn_count == 2


async def test_who_answers_at_once_finds_the_session_free(environ: dict[str, str]) -> None:
    async with running(environ) as engine:
        name = await begun(engine, "one")
        first = await going_on(engine, name, "two")
        async with engine.turn(*first) as turn:
            async for _ in turn:
                pass
            await say(engine, *await going_on(engine, name, "three"))
        assert (await engine.sessions.look_up(name, "")).message_count == 6


async def test_a_second_turn_of_a_session_is_refused(environ: dict[str, str]) -> None:
    async with running(environ) as engine:
        name = await begun(engine, "one")
        async with engine.turn(*await going_on(engine, name, "[[silent 600]]")):
            turns = sum(engine.pool("echo").figures().turns.values())
            with pytest.raises(Conflict) as caught:
                await say(engine, *await going_on(engine, name, "two"))
            assert caught.value.param == "session_id"
            assert sum(engine.pool("echo").figures().turns.values()) == turns
            prompt, _ = await going_on(engine, name, "[[history]]")
            await say(engine, prompt)  # who names no session is not in the way
        await until(lambda: not engine.sessions.running)
        assert (await engine.sessions.look_up(name, "")).message_count == 2
        assert await engine.sessions.count() == 2


async def test_a_turn_that_fails_or_is_left_leaves_the_history_as_it_was(
    environ: dict[str, str],
) -> None:
    async with running(environ) as engine:
        name = await begun(engine, "one")

        async def ended(status: str) -> StoredSession:
            session = await engine.sessions.look_up(name, "")
            for _ in range(1_000):  # each look waits for what was asked of the store before
                if session.status == status:
                    break
                session = await engine.sessions.look_up(name, "")
            assert session.status == status
            return session

        with pytest.raises(BackendError):
            await say(engine, *await going_on(engine, name, "[[fail broken]]"))
        session = await ended("error")
        assert "broken" in (session.error or "")
        assert (session.turn_count, session.message_count) == (1, 2)
        async with engine.turn(*await going_on(engine, name, "[[silent 600]]")):
            assert (await engine.sessions.look_up(name, "")).status == "active"
        session = await ended("canceled")
        assert (session.error, session.message_count) == (None, 2)
        await say(engine, *await going_on(engine, name, "two"))
        assert (await engine.sessions.look_up(name, "")).status == "completed"


async def test_a_first_turn_that_fails_or_is_left_makes_no_session(environ: dict[str, str]) -> None:
    async with running(environ) as engine:
        for keeping in (BY_HISTORY, Keeping(session_id=SessionStore.new_id())):
            with pytest.raises(BackendError):
                await say(engine, asked("[[fail no]]"), keeping)
            async with engine.turn(asked("[[silent 600]]"), keeping):
                pass
        assert await engine.sessions.count() == 0


async def test_nothing_of_an_ephemeral_turn_is_stored(
    environ: dict[str, str], tmp_path: Path
) -> None:
    async with running(environ) as engine:
        name = await begun(engine, "kept-marker")
        going, keeping = await going_on(engine, name, "secret-marker")
        ephemeral = Prompt(backend="echo", messages=going.messages, ephemeral=True)
        await say(engine, ephemeral, keeping)
        await say(engine, asked("secret-marker alone", ephemeral=True))
        assert await engine.sessions.count() == 1
        assert (await engine.sessions.look_up(name, "")).message_count == 2
    assert files_with(b"kept-marker", tmp_path)
    assert not files_with(b"secret-marker", tmp_path)


async def test_a_structured_turn_is_recorded_with_the_answer_the_caller_got(
    environ: dict[str, str],
) -> None:
    async with running(environ) as engine:
        name = SessionStore.new_id()
        output = OutputSchema({"type": "object"})
        async with engine.turn(asked('{"a": 1}', output=output), Keeping(session_id=name)) as turn:
            async for events in turn:
                if isinstance(events[-1], Completed):
                    assert await engine.sessions.count() == 1
        kept = await engine.sessions.get(name, "")
        assert [message.text for message in kept.messages] == ['{"a": 1}', '{"a": 1}']


async def test_token_counts_can_be_left_out(environ: dict[str, str]) -> None:
    async with running(environ, store_token_usage=False) as engine:
        await begun(engine, "one")
        (session,) = await listed(engine)
        assert session.usage.input_tokens == session.usage.output_tokens == 0


async def test_a_caller_who_leaves_while_it_is_recorded_loses_nothing(
    environ: dict[str, str],
) -> None:
    async with running(environ) as engine:
        name = await begun(engine, "one")
        going, keeping = await going_on(engine, name, "two")

        async def leave() -> None:
            async with engine.turn(going, keeping) as turn:
                task = asyncio.current_task()
                assert task is not None
                turn.when_completed.append(task.cancel)  # type: ignore[arg-type]
                async for _ in turn:
                    pass

        async with asyncio.TaskGroup() as group:
            left = group.create_task(leave())
            await asyncio.wait((left,))
        assert left.cancelled()
        await until(lambda: not engine.sessions.running)
        await say(engine, *await going_on(engine, name, "three"))
        kept = await engine.sessions.get(name, "")
        assert [message.text for message in kept.messages[::2]] == ["one", "two", "three"]


async def test_an_answer_does_not_wait_for_its_record(environ: dict[str, str]) -> None:
    async with running(environ) as engine, engine.turn(asked("hello")) as turn:
        given = [batch async for batch in turn]
    assert text_of([event for batch in given[:-1] for event in batch]) == "hello"
    assert [type(event) for event in given[-1]] == [Completed]


async def test_a_caller_who_leaves_with_the_whole_answer_finds_it_recorded(
    environ: dict[str, str],
) -> None:
    async with running(environ) as engine:
        async with engine.turn(asked("hello")) as turn:
            async for _ in turn:
                if turn.completed is not None:
                    break
        await until(lambda: not engine.sessions.running)
        await engine.background.aclose(60)
        assert [session.title for session in await listed(engine)] == ["hello"]


async def test_without_a_store_turns_run_all_the_same(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".clinvk").write_text("a file where the directory of the store belongs")
    async with running(environ) as engine:
        assert await say(engine, asked("stateless")) == "stateless"
        name = await begun(engine, "one")
        assert await say(engine, *await going_on(engine, name, "two")) == "two"
        assert engine.store.healthy() is not None


async def test_a_deleted_session_stays_so_though_a_turn_of_it_ends_later(
    environ: dict[str, str],
) -> None:
    async with running(environ) as engine:
        name = await begun(engine, "one")
        async with engine.turn(*await going_on(engine, name, "two")) as turn:
            await engine.sessions.delete(name, "")
            async for _ in turn:
                pass
        with pytest.raises(NotFound):
            await engine.sessions.get(name, "")
        assert await engine.sessions.count() == 0
