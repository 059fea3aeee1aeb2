"""Stored sessions: recorded turn by turn, continued by id and by history, changed, forgotten."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from clinvkd.events import Usage
from clinvkd.prompt import Message, Text, Tool, ToolResult
from clinvkd.store import (
    SessionQuery,
    Store,
    StoredMessage,
    StoredSession,
    decode_binding,
    sqlite,
)

from .samples import HISTORY, opened
from .session_samples import ID, OTHER, assistant, recorded, said, turn, user


async def test_a_turn_makes_a_session(store: Store) -> None:
    usage = Usage(input_tokens=5, output_tokens=4, cached_tokens=3, cache_write_tokens=2)
    session = await recorded(
        store,
        turn(
            "  Why is\nthe sky blue?  ", session_id=ID, usage=usage, cost_usd=0.5, model="opus",
            workdir=Path("/tmp"), agent_session_id="agent-1", metadata={"k": "v"},
            tags=("a", "b", "a"),
        ),
    )  # fmt: skip
    assert session == StoredSession(
        id=ID, owner="alice", backend="claude", model="opus", workdir="/tmp",
        title="Why is the sky blue?", status="completed", created_at=1_000.5, updated_at=1_000.5,
        turn_count=1, message_count=2, usage=usage, cost_usd=0.5, agent_session_id="agent-1",
        tags=("a", "b"), metadata={"k": "v"},
    )  # fmt: skip
    assert await store.sessions.messages(ID, "alice") == (
        StoredMessage(position=0, message=user("  Why is\nthe sky blue?  "), created_at=1_000.5),
        StoredMessage(position=1, message=assistant("yes"), created_at=1_000.5, usage=usage),
    )


async def test_a_session_goes_on_by_its_id(store: Store) -> None:
    first = turn("one", session_id=ID, usage=Usage(input_tokens=1), metadata={"k": "v"})
    await recorded(store, first)
    second = turn(
        "two", *first.prompt.messages, first.reply, answer="no", session_id=ID, stored_messages=2,
        usage=Usage(input_tokens=10, reasoning_tokens=1), cost_usd=0.25, ended_at=2_000.0,
        backend="codex",
    )  # fmt: skip
    session = await recorded(store, second)
    assert session.turn_count == 2
    assert session.usage == Usage(input_tokens=11, reasoning_tokens=1)
    assert session.cost_usd == 0.25
    assert (session.created_at, session.updated_at) == (1_000.5, 2_000.0)
    assert (session.backend, session.title) == ("codex", "one")
    assert session.metadata == {"k": "v"}
    assert await said(store, ID) == ["one", "yes", "two", "no"]
    third = turn(
        "three", *second.prompt.messages, second.reply, session_id=ID, stored_messages=4,
        metadata={"k": "w"}, usage=Usage(input_tokens=1),
    )  # fmt: skip
    session = await recorded(store, third)
    assert session.metadata == {"k": "w"}
    assert (session.cost_usd, session.usage.input_tokens) == (0.25, 12)


async def test_a_session_goes_on_by_its_history(store: Store) -> None:
    first = turn("one")
    session = await recorded(store, first)
    history = (*first.prompt.messages, first.reply)
    again = await recorded(store, turn("two", *history, answer="no"))
    assert again.id == session.id
    assert await said(store, session.id) == ["one", "yes", "two", "no"]
    # Callers may split what was said otherwise than it was given to them.
    split = (user("one"), Message("assistant", (Text("y"), Text("es"))), user("t"), user("wo"))
    third = await recorded(store, turn("three", *split, assistant("no")))
    assert third.id == session.id
    assert third.turn_count == 3


async def test_all_content_tells_histories_apart(store: Store) -> None:
    session = await recorded(store, turn("x", *HISTORY))
    whole = (*HISTORY, user("x"), assistant("yes"))
    (result,) = HISTORY[2].content
    assert isinstance(result, ToolResult)
    changed = Message("user", (replace(result, is_error=False),))
    other = await recorded(store, turn("y", *whole[:2], changed, *whole[3:]))
    assert other.id != session.id
    assert (await recorded(store, turn("y", *whole))).id == session.id


@pytest.mark.parametrize(
    "change",
    [{"client": "bob"}, {"backend": "codex"}, {"busy": frozenset({ID})}],
    ids=["owner", "backend", "busy"],
)
async def test_a_history_of_others_makes_a_new_session(
    store: Store, change: dict[str, Any]
) -> None:
    await recorded(store, turn("one", session_id=ID))
    session = await recorded(store, turn("two", user("one"), assistant("yes"), **change))
    assert session.id != ID
    assert session.message_count == 4
    assert await said(store, session.id) == ["one", "yes", "two", "yes"]
    assert await said(store, ID) == ["one", "yes"]


async def test_a_changed_history_makes_a_new_session(store: Store) -> None:
    first = await recorded(store, turn("one"))
    second = await recorded(store, turn("two", user("one"), assistant("no")))
    third = await recorded(store, turn("one"))
    assert len({first.id, second.id, third.id}) == 3


async def test_of_two_that_go_on_at_once_the_second_branches_off(store: Store) -> None:
    first = await recorded(store, turn("one"))
    left = await recorded(store, turn("two", user("one"), assistant("yes"), answer="left"))
    right = await recorded(store, turn("two", user("one"), assistant("yes"), answer="right"))
    assert left.id == first.id
    assert right.id != first.id
    assert await said(store, right.id) == ["one", "yes", "two", "right"]


async def test_a_named_turn_is_found_by_its_history_afterwards(store: Store) -> None:
    await recorded(store, turn("one", session_id=ID))
    history = (user("one"), assistant("yes"))
    await recorded(store, turn("two", *history, session_id=ID, stored_messages=2))
    session = await recorded(store, turn("three", *history, user("two"), assistant("yes")))
    assert session.id == ID


async def test_a_turn_of_a_session_that_is_gone_or_has_moved_on_is_not_recorded(
    store: Store,
) -> None:
    await recorded(store, turn("one", session_id=ID))
    history = (user("one"), assistant("yes"))
    late = turn("two", *history, session_id=ID, stored_messages=2)
    assert await store.sessions.record(replace(late, session_id=OTHER)) is None
    assert await store.sessions.record(turn("x", *history, client="bob", session_id=ID,
                                            stored_messages=2)) is None  # fmt: skip
    assert await store.sessions.record(late) is not None
    assert await store.sessions.record(late) is None
    assert await said(store, ID) == ["one", "yes", "two", "yes"]
    await store.sessions.delete(ID, "alice")
    assert await store.sessions.record(replace(late, stored_messages=4)) is None
    assert await store.sessions.count() == 0


async def test_what_could_not_be_stored_before_comes_with_the_next_turn(store: Store) -> None:
    await recorded(store, turn("one", session_id=ID))
    history = (user("one"), assistant("yes"), user("two"), assistant("no"))
    await recorded(store, turn("three", *history, session_id=ID, stored_messages=2))
    assert await said(store, ID) == ["one", "yes", "two", "no", "three", "yes"]
    by_history = await recorded(store, turn("x", *history, user("three"), assistant("yes")))
    assert by_history.id == ID


async def test_all_that_is_needed_to_go_on_comes_back(store: Store) -> None:
    tool = Tool("look", "looks", {"type": "object"})
    record = turn("x", *HISTORY, session_id=ID, system="Be brief.", tools=(tool,), model="m")
    await recorded(store, record)
    history = await store.sessions.history(ID, "alice")
    assert history is not None
    assert history.messages == (*record.prompt.messages, record.reply)
    assert history.binding is not None
    assert decode_binding(history.binding, record.prompt.messages) == record.prompt
    assert await store.sessions.history(ID, "bob") is None


async def test_without_content_nothing_of_it_is_stored(path: Path) -> None:
    marker = "zebra-marker"
    async with opened(path) as store:
        session = await recorded(
            store, turn(f"the {marker}", session_id=ID, system=f"a {marker}", content=False)
        )
        assert (session.title, session.message_count, session.turn_count) == (None, 2, 1)
        again = await recorded(
            store, turn("two", user(f"the {marker}"), assistant("yes"), content=False)
        )
        assert again.id == ID
        history = await store.sessions.history(ID, "alice")
        assert history is not None
        assert (history.binding, history.messages) == (None, None)
    for file in path.parent.iterdir():
        assert marker.encode() not in file.read_bytes()


async def test_a_session_whose_first_turns_have_no_content_has_no_history(store: Store) -> None:
    await recorded(store, turn("one", session_id=ID, content=False))
    await recorded(store, turn("two", user("one"), assistant("yes")))
    history = await store.sessions.history(ID, "alice")
    assert history is not None
    assert history.messages is None
    assert await said(store, ID) == ["two", "yes"]


async def test_how_a_turn_ended_changes_no_more_than_that(store: Store) -> None:
    before = await recorded(store, turn("one", session_id=ID))
    assert await store.sessions.end(ID, "alice", "error", "it broke\0\ud800")
    after = await store.sessions.get(ID, "alice")
    assert after == replace(before, status="error", error="it broke\ufffd?")
    assert not await store.sessions.end(ID, "bob", "canceled")
    assert await store.sessions.end(ID, "alice", "canceled")
    assert (await store.sessions.get(ID, "alice")) == replace(before, status="canceled")
    after = await recorded(store, turn("two", user("one"), assistant("yes")))
    assert (after.status, after.error) == ("completed", None)


async def test_title_and_tags_can_be_changed(store: Store) -> None:
    before = await recorded(store, turn("one", session_id=ID, tags=("a",)))
    after = await store.sessions.update(ID, "alice", title="Better")
    assert after == replace(before, title="Better")
    after = await store.sessions.update(ID, "alice", tags=("c", "b", "c"))
    assert after == replace(before, title="Better", tags=("c", "b"))
    for tag, number in (("a", 0), ("b", 1)):
        assert (await store.sessions.list(SessionQuery(owner=None, tag=tag))).total == number
    after = await store.sessions.update(ID, "alice", title="", tags=())
    assert after == replace(before, title=None, tags=())
    assert await store.sessions.update(ID, "alice") == after
    assert await store.sessions.update(OTHER, "alice", title="x") is None


async def test_what_a_deleted_session_said_is_not_in_the_file_any_more(path: Path) -> None:
    async with opened(path) as store:
        long = "platypus " * 2_000
        await recorded(store, turn(long, session_id=ID))
        await recorded(store, turn("a short walrus", session_id=OTHER))
        assert files_with(path, b"platypus") == {f"{path.name}-wal"}
    assert files_with(path, b"platypus") == {path.name}
    async with opened(path) as store:
        await store.sessions.delete(ID, "alice")
        assert files_with(path, b"platypus") == set()
        assert files_with(path, b"walrus") == {path.name}
        assert await store.sessions.prune(1e12, 10) == 1
        assert files_with(path, b"walrus") == set()


async def test_who_reads_the_file_meanwhile_holds_no_deletion_up(path: Path) -> None:
    async with opened(path) as store:
        await recorded(store, turn("a platypus", session_id=ID))
        await recorded(store, turn("one", session_id=OTHER))
        with closing(sqlite3.connect(path)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM sessions").fetchone() == (2,)
            assert await store.sessions.delete(ID, "alice")
            assert reader.execute("SELECT count(*) FROM sessions").fetchone() == (2,)
        assert files_with(path, b"platypus")
        assert await store.sessions.delete(OTHER, "alice")
        assert files_with(path, b"platypus") == set()


async def test_a_log_that_cannot_be_emptied_costs_no_deletion(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite, "empty_log", fails)
    async with opened(path) as store:
        await recorded(store, turn("one", session_id=ID))
        assert await store.sessions.delete(ID, "alice")
        assert await store.sessions.get(ID, "alice") is None
        assert (await recorded(store, turn("two", session_id=OTHER))).title == "two"


def files_with(path: Path, word: bytes) -> set[str]:
    """The files beside the database, and itself, that hold a word."""
    return {file.name for file in path.parent.iterdir() if word in file.read_bytes()}


async def test_a_deleted_session_leaves_nothing(path: Path) -> None:
    async with opened(path) as store:
        await recorded(store, turn("one", session_id=ID, tags=("a",)))
        assert await store.sessions.delete(ID, "alice")
        assert not await store.sessions.delete(ID, "alice")
        # The prefix of an id deletes nothing.
        await recorded(store, turn("one", session_id=OTHER))
        assert not await store.sessions.delete(OTHER[:8], "alice")
        await store.sessions.delete(OTHER, "alice")
    with closing(sqlite3.connect(path)) as database:
        for table in ("sessions", "session_messages", "session_tags"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


async def test_a_fork_goes_its_own_way(store: Store) -> None:
    origin = await recorded(
        store, turn("one", session_id=ID, tags=("a",), cost_usd=1.0, usage=Usage(input_tokens=1))
    )
    fork = await store.sessions.fork(ID, "alice", new_id=OTHER, new_owner="bob", now=5_000.0)
    assert fork == replace(
        origin, id=OTHER, owner="bob", parent_id=ID, created_at=5_000.0, updated_at=5_000.0,
        turn_count=0, cost_usd=None, usage=Usage(),
    )  # fmt: skip
    history = (user("one"), assistant("yes"))
    await recorded(store, turn("two", *history, session_id=OTHER, client="bob", stored_messages=2))
    assert await said(store, OTHER) == ["one", "yes", "two", "yes"]
    assert await said(store, ID) == ["one", "yes"]
    assert (await store.sessions.list(SessionQuery(owner="bob", tag="a"))).total == 1
    await store.sessions.delete(ID, "alice")
    assert await said(store, OTHER) == ["one", "yes", "two", "yes"]


async def test_pruning_goes_in_batches_from_the_oldest_and_spares_what_runs(store: Store) -> None:
    for number in range(6):
        await recorded(store, turn(f"n{number}", session_id=f"{number:032x}",
                                   ended_at=float(number)))  # fmt: skip
    spared = frozenset({f"{1:032x}"})
    assert await store.sessions.prune(5.0, 2, spared) == 2
    page = await store.sessions.list(SessionQuery(owner=None))
    assert [session.title for session in page.sessions] == ["n5", "n4", "n3", "n1"]
    assert await store.sessions.prune(5.0, 10, spared) == 2
    assert await store.sessions.prune(5.0, 10, spared) == 0
    assert await store.sessions.count() == 2


async def test_text_no_database_takes_comes_back_equal(store: Store) -> None:
    text = "a\0b \U0001f5bc"
    record = turn("x", session_id=ID)
    record = replace(record, reply=assistant(text))
    await store.sessions.record(replace(record, prompt=replace(record.prompt, model="m")))
    assert (await store.sessions.messages(ID, None))[1].message == assistant(text)


async def test_a_long_prompt_makes_a_short_title(store: Store) -> None:
    session = await recorded(store, turn("word " * 10_000))
    assert session.title is not None
    assert len(session.title) == 80
    assert session.title.endswith("…")
    assert (await recorded(store, turn(" \n "))).title is None
