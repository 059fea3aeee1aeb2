"""Stored sessions: found by the beginning of an id, listed, filtered, searched and counted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from clinvkd.store import SessionQuery, Store, session_search

from .session_samples import ID, OTHER, assistant, recorded, turn, user


@pytest.mark.parametrize("owner", ["alice", None])
async def test_a_session_is_found_by_the_beginning_of_its_id(
    store: Store, owner: str | None
) -> None:
    await recorded(store, turn("one", session_id=ID))
    await recorded(store, turn("two", session_id="01" + "0" * 30))
    assert await store.sessions.find("01", owner) == (None, 2)
    session = await store.sessions.get(ID, "alice")
    assert await store.sessions.find("0123", owner) == (session, 1)
    assert await store.sessions.find(ID, owner) == (session, 1)
    for nothing in ("", "02", "g", "%", "_", ID + "0", "\0", "\ud800", "0A"):
        assert await store.sessions.find(nothing, owner) == (None, 0)


async def test_sessions_of_others_make_no_beginning_ambiguous(store: Store) -> None:
    mine = await recorded(store, turn("one", session_id=ID))
    await recorded(store, turn("two", session_id="01" + "0" * 30, client="bob"))
    assert await store.sessions.find("01", "alice") == (mine, 1)
    assert await store.sessions.find("01", None) == (None, 2)


async def test_another_owners_session_is_not_there(store: Store) -> None:
    await recorded(store, turn("one", session_id=ID))
    assert await store.sessions.get(ID, "bob") is None
    assert await store.sessions.messages(ID, "bob") == ()
    assert await store.sessions.update(ID, "bob", title="x") is None
    assert await store.sessions.fork(ID, "bob", new_id=OTHER, new_owner="bob", now=1.0) is None
    assert not await store.sessions.delete(ID, "bob")
    assert (await store.sessions.list(SessionQuery(owner="bob"))).total == 0
    assert await store.sessions.get(ID, None) is not None


async def test_a_list_begins_with_what_was_used_last(store: Store) -> None:
    for number in range(5):
        await recorded(store, turn(f"n{number}", session_id=f"{number:032x}",
                                   ended_at=float(number)))  # fmt: skip
    await recorded(store, turn("x", user("n1"), assistant("yes"), ended_at=9.0))
    page = await store.sessions.list(SessionQuery(owner="alice", limit=3))
    assert [session.title for session in page.sessions] == ["n1", "n4", "n3"]
    assert page.total == 5
    page = await store.sessions.list(SessionQuery(owner="alice", limit=3, offset=3))
    assert [session.title for session in page.sessions] == ["n2", "n0"]
    assert page.total == 5
    assert (await store.sessions.list(SessionQuery(owner=None, offset=5))).sessions == ()


async def test_filters(store: Store) -> None:
    await recorded(store, turn("a zebra", session_id=f"{1:032x}", tags=("red", "big")))
    await recorded(store, turn("b", session_id=f"{2:032x}", backend="codex", tags=("red",)))
    await recorded(store, turn("c", session_id=f"{3:032x}", workdir=Path("/tmp/here"),
                               answer="50% of ZEBRAS_are \"striped\""))  # fmt: skip
    await recorded(store, turn("d", session_id=f"{4:032x}", client="bob", tags=("red",)))
    await store.sessions.end(f"{2:032x}", "alice", "error", "no")

    async def found(**filters: Any) -> set[str | None]:
        query = SessionQuery(**{"owner": "alice", **filters})
        page = await store.sessions.list(query)
        assert page.total == len(page.sessions)
        return {session.title for session in page.sessions}

    assert await found() == {"a zebra", "b", "c"}
    assert await found(owner=None) == {"a zebra", "b", "c", "d"}
    assert await found(backend="codex") == {"b"}
    assert await found(status="error") == {"b"}
    assert await found(status="completed", backend="claude") == {"a zebra", "c"}
    assert await found(tag="red") == {"a zebra", "b"}
    assert await found(tag="re") == await found(tag="Red") == set()
    assert await found(workdir="/tmp/here") == {"c"}
    assert await found(q="zebra") == {"a zebra", "c"}
    assert await found(q="50% of") == await found(q="S_are") == await found(q='"st') == {"c"}
    assert await found(q="5%f") == await found(q="\ud800") == set()
    assert await found(q="zebra", tag="big") == {"a zebra"}
    running = frozenset({f"{1:032x}", f"{4:032x}"})
    assert await found(status="active", running=running) == {"a zebra"}
    assert await found(status="completed", running=running) == {"c"}
    assert await found(status="active") == set()


async def test_a_text_is_searched_slice_by_slice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_search, "SLICE", 3)
    for number in range(20):
        text = "odd" if number % 2 else "even"
        await recorded(store, turn(text, session_id=f"{number:032x}",
                                   ended_at=float(number // 4)))  # fmt: skip
    odd = [f"{number:032x}" for number in range(19, 0, -2)]
    for limit, offset in ((100, 0), (1, 0), (4, 0), (4, 3), (10, 9), (1, 10)):
        query = SessionQuery(owner="alice", q="ODD", limit=limit, offset=offset)
        page = await store.sessions.list(query)
        assert [session.id for session in page.sessions] == odd[offset : offset + limit]
        assert page.total == 10
    nobody = await store.sessions.list(SessionQuery(owner="bob", q="odd"))
    assert (nobody.sessions, nobody.total) == ((), 0)


async def test_a_search_lets_others_use_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_search, "SLICE", 1)
    for number in range(20):
        await recorded(store, turn("hay", session_id=f"{number:032x}"))
    everything = SessionQuery(owner="alice", q="hay")
    search = asyncio.get_running_loop().create_task(store.sessions.list(everything))
    await asyncio.sleep(0)
    assert await store.sessions.delete(f"{7:032x}", "alice")
    assert not search.done()
    page = await search
    assert {session.id for session in page.sessions} == {
        f"{number:032x}" for number in range(20) if number != 7
    }


async def test_the_counts_are_those_of_the_rows(store: Store) -> None:
    async def counts() -> dict[tuple[str | None, str | None, Any], int]:
        found = {}
        for owner in ("alice", "bob", None):
            for backend in ("claude", "codex", None):
                for status in ("completed", "error", None):
                    query = SessionQuery(owner=owner, backend=backend, status=status)
                    page = await store.sessions.list(query)
                    assert page.total == len(page.sessions), query
                    found[owner, backend, status] = page.total
        return found

    await recorded(store, turn("one", session_id=ID))
    await recorded(store, turn("two", session_id=OTHER, client="bob"))
    assert (await counts())[None, None, None] == 2
    await recorded(store, turn("x", user("one"), assistant("yes"), session_id=ID,
                               stored_messages=2, backend="codex"))  # fmt: skip
    await store.sessions.end(OTHER, "bob", "error", "no")
    assert (await counts())[None, "codex", "completed"] == 1
    await store.sessions.fork(OTHER, None, new_id=f"{1:032x}", new_owner="alice", now=5.0)
    assert (await counts())["alice", "claude", "error"] == 1
    await store.sessions.delete(OTHER, None)
    assert (await counts())[None, None, None] == 2
    assert await store.sessions.prune(6.0, 10) == 1
    assert await store.sessions.count() == 1
    assert await store.sessions.count("bob") == 0
    await counts()
