"""The door to the sessions: going on with them, looking at them, changing them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinvkd.config import SessionSettings
from clinvkd.errors import ClinvkError, Conflict, InvalidRequest, NotFound, StoreUnavailable
from clinvkd.prompt import Message, Prompt, Text
from clinvkd.sessions import Keeping, SessionStore
from clinvkd.store import Store, TurnRecord

OTHER_ID = "f" * 32


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


class Stage:
    """Sessions over a real store, as one daemon after another would have them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = SessionSettings()
        self.stored = Store.open(path)
        self.sessions = self._new()

    def _new(self) -> SessionStore:
        return SessionStore(lambda: self.stored, lambda: self.settings)

    async def restart(self) -> None:
        await self.stored.aclose()
        self.stored = Store.open(self.path)
        self.sessions = self._new()

    async def say(self, text: str, keeping: Keeping, *history: Message, client: str = "") -> None:
        """Record a turn that answers with the text in capital letters."""
        if keeping.before is not None:
            history = keeping.before.messages
        asked = Prompt(backend="echo", messages=(*history, user(text)), client=client)
        record = TurnRecord(prompt=asked, reply=assistant(text.upper()), ended_at=5.0)
        await self.sessions.record(record, keeping)

    async def begun(self, text: str = "one", client: str = "", **keeping: Any) -> str:
        """The id of a session of one turn."""
        name = SessionStore.new_id()
        await self.say(text, Keeping(session_id=name, **keeping), client=client)
        return name

    async def go_on(self, name: str, text: str, client: str = "") -> None:
        before = await self.sessions.get(name, client)
        await self.say(text, Keeping(session_id=name, before=before), client=client)

    async def texts(self, name: str, client: str = "") -> list[str]:
        return [each.text for each in (await self.sessions.get(name, client)).messages]


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr("clinvkd.store.sqlite.BUSY_TIMEOUT_SECS", 0.1)
    stage = Stage(tmp_path / "clinvk.db")
    yield stage
    await stage.stored.aclose()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program writes: the database can only be read."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def test_an_id_is_32_hexadecimal_digits_and_new() -> None:
    ids = {SessionStore.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in ids)


async def test_a_session_goes_on_over_restarts(stage: Stage) -> None:
    name = await stage.begun("one", metadata={"k": "v"})
    before = await stage.sessions.get(name, "")
    await stage.restart()
    again = await stage.sessions.get(name, "")
    assert again == before
    assert again.metadata == {"k": "v"}
    await stage.go_on(name, "two")
    await stage.restart()
    assert await stage.texts(name) == ["one", "ONE", "two", "TWO"]
    summary = await stage.sessions.look_up(name, "")
    assert (summary.turn_count, summary.message_count) == (2, 4)


@pytest.mark.parametrize("wrong", ["", "0", "a" * 31, "A" * 32, "\0", "\ud800", "x" * 10_000])
async def test_only_the_full_id_finds_a_session_to_go_on_with(stage: Stage, wrong: str) -> None:
    await stage.begun()
    with pytest.raises(NotFound, match="there is no such session") as caught:
        await stage.sessions.get(wrong, "")
    assert caught.value.param == "session_id"


async def test_another_clients_session_is_not_there(stage: Stage) -> None:
    name = await stage.begun(client="me")
    for held in (True, False):
        for other in ("", "you"):
            for call in (
                stage.sessions.get(name, other),
                stage.sessions.look_up(name[:8], other),
                stage.sessions.messages(name, other),
                stage.sessions.update(name, other, title="x"),
                stage.sessions.delete(name, other),
                stage.sessions.fork(name, other, new_owner=other),
            ):
                with pytest.raises(NotFound, match="there is no such session"):
                    await call
            assert (await stage.sessions.list(other)).total == 0
        if held:
            await stage.restart()
    assert (await stage.sessions.look_up(name, None)).owner == "me"
    assert (await stage.sessions.list(None)).total == 1


async def test_who_may_see_all_sessions_can_change_them(stage: Stage) -> None:
    name = await stage.begun(client="me")
    await stage.sessions.update(name, None, title="seen")
    fork = await stage.sessions.fork(name, None, new_owner="admin")
    assert (fork.owner, fork.parent_id, fork.title) == ("admin", name, "seen")
    await stage.go_on(fork.id, "two", client="admin")
    await stage.sessions.delete(name, None)
    with pytest.raises(NotFound):
        await stage.sessions.get(name, "me")
    await stage.restart()
    assert await stage.texts(fork.id, "admin") == ["one", "ONE", "two", "TWO"]


async def test_a_session_is_looked_up_by_a_beginning_only_it_has(stage: Stage) -> None:
    name = await stage.begun()
    assert (await stage.sessions.look_up(name[:20], "")).id == name
    for number in range(3):
        keeping = Keeping(session_id=f"{number:x}".rjust(32, "0"))
        await stage.say("x", keeping)
    with pytest.raises(InvalidRequest, match="3 sessions begin with '00'") as caught:
        await stage.sessions.look_up("00", "")
    assert caught.value.param == "session_id"


async def test_one_turn_at_a_time_runs_in_a_session(stage: Stage) -> None:
    name = await stage.begun()
    session = await stage.sessions.get(name, "")
    other = await stage.sessions.get(await stage.begun(), "")
    with stage.sessions.occupied(session):
        second = stage.sessions.occupied(session)
        with pytest.raises(Conflict, match="still running") as caught, second:
            pass
        assert caught.value.param == "session_id"
        assert (await stage.sessions.look_up(name, "")).status == "active"
        page = await stage.sessions.list("", status="active")
        assert [(each.id, each.status) for each in page.sessions] == [(name, "active")]
        with stage.sessions.occupied(other):
            pass
    assert (await stage.sessions.look_up(name, "")).status == "completed"
    with stage.sessions.occupied(session):
        pass


async def test_no_turn_begins_from_what_a_session_was_before(stage: Stage) -> None:
    name = await stage.begun()
    before = await stage.sessions.get(name, "")
    await stage.go_on(name, "two")
    late = stage.sessions.occupied(before)
    with pytest.raises(Conflict, match="has just ended") as caught, late:
        pass
    assert caught.value.param == "session_id"
    with stage.sessions.occupied(await stage.sessions.get(name, "")):
        pass


async def test_a_history_is_not_found_in_a_session_in_which_a_turn_runs(stage: Stage) -> None:
    name = await stage.begun()
    history = (user("one"), assistant("ONE"))
    with stage.sessions.occupied(await stage.sessions.get(name, "")):
        await stage.say("two", Keeping(), *history)
    assert await stage.texts(name) == ["one", "ONE"]
    assert await stage.sessions.count() == 2


async def test_a_held_session_grows_with_a_turn_that_found_it_by_its_history(stage: Stage) -> None:
    name = await stage.begun()
    assert await stage.texts(name) == ["one", "ONE"]
    split = (user("o"), user("ne"), assistant("ONE"))
    await stage.say("two", Keeping(), *split)
    assert await stage.texts(name) == ["one", "ONE", "two", "TWO"]
    await stage.go_on(name, "three")
    await stage.restart()
    assert await stage.texts(name) == ["one", "ONE", "two", "TWO", "three", "THREE"]


async def test_new_sessions_get_the_configured_tags(stage: Stage) -> None:
    stage.settings = SessionSettings(default_tags=("home",))
    name = await stage.begun(tags=("own", "home"))
    assert (await stage.sessions.look_up(name, "")).tags == ("home", "own")


async def test_a_turn_does_not_bring_back_a_deleted_session(stage: Stage) -> None:
    name = await stage.begun()
    before = await stage.sessions.get(name, "")
    await stage.sessions.delete(name, "")
    await stage.say("two", Keeping(session_id=name, before=before))
    with pytest.raises(NotFound):
        await stage.sessions.get(name, "")
    assert await stage.sessions.count() == 0


async def test_messages_can_be_looked_at(stage: Stage) -> None:
    name = await stage.begun()
    messages = await stage.sessions.messages(name, "")
    assert messages is not None
    assert [(each.role, each.message.text) for each in messages] == [
        ("user", "one"),
        ("assistant", "ONE"),
    ]
    assert messages[0].usage is None
    assert messages[1].usage is not None


async def test_without_content_messages_are_in_memory_alone(stage: Stage) -> None:
    stage.settings = SessionSettings(store_content=False)
    name = await stage.begun()
    await stage.go_on(name, "two")
    assert await stage.texts(name) == ["one", "ONE", "two", "TWO"]
    messages = await stage.sessions.messages(name, "")
    assert messages is not None
    assert [each.position for each in messages] == [0, 1, 2, 3]
    fork = await stage.sessions.fork(name, "", new_owner="")
    await stage.go_on(fork.id, "three")
    assert (await stage.texts(fork.id))[-1] == "THREE"
    await stage.say("two", Keeping(), user("one"), assistant("ONE"), user("two"), assistant("TWO"))
    assert (await stage.texts(name))[-1] == "TWO"

    await stage.restart()
    summary = await stage.sessions.look_up(name, "")
    assert (summary.title, summary.turn_count, summary.message_count) == (None, 3, 6)
    assert await stage.sessions.messages(name, "") is None
    with pytest.raises(NotFound, match=r"session\.store_content is off") as caught:
        await stage.sessions.get(name, "")
    assert caught.value.param == "session_id"


async def test_what_a_turn_of_a_failing_store_said_comes_with_the_next(stage: Stage) -> None:
    name = await stage.begun()
    with locked(stage.path):
        await stage.go_on(name, "two")
        other = await stage.begun("alone")
        await stage.say("by history", Keeping())
        assert stage.stored.healthy() is not None
        assert await stage.texts(name) == ["one", "ONE", "two", "TWO"]
        for call in (
            stage.sessions.delete(name, ""),
            stage.sessions.update(name, "", title="x"),
            stage.sessions.fork(name, "", new_owner=""),
        ):
            with pytest.raises(StoreUnavailable):
                await call
        assert (await stage.sessions.look_up(name, "")).message_count == 2
        assert await stage.sessions.count() == 1
    await stage.go_on(name, "three")
    await stage.go_on(other, "again")
    assert stage.stored.healthy() is None
    await stage.restart()
    assert await stage.texts(name) == ["one", "ONE", "two", "TWO", "three", "THREE"]
    assert await stage.texts(other) == ["alone", "ALONE", "again", "AGAIN"]
    assert await stage.sessions.count() == 2


async def test_without_a_store_only_what_is_held_can_go_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a directory belongs")
    stage = Stage(tmp_path / "file" / "clinvk.db")
    name = await stage.begun()
    assert await stage.texts(name) == ["one", "ONE"]
    for call in (
        stage.sessions.get(OTHER_ID, ""),
        stage.sessions.look_up(name, ""),
        stage.sessions.list(""),
        stage.sessions.delete(name, ""),
        stage.sessions.count(),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    await stage.sessions.note_end(await stage.sessions.get(name, ""), "error", "no")
    await stage.stored.aclose()


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 2**31}, "offset"),
        ({"status": "paused"}, "status"),
        ({"status": ""}, "status"),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused(
    stage: Stage, wrong: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest, match=param) as caught:
        await stage.sessions.list("", **wrong)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"title": "x" * 201}, "title"),
        ({"title": "two\nlines"}, "title"),
        ({"title": "\ud800"}, "title"),
        ({"tags": ("ok", "")}, "tags[1]"),
        ({"tags": ("x" * 65,)}, "tags[0]"),
        ({"tags": ("a\0b",)}, "tags[0]"),
        ({"tags": tuple(map(str, range(33)))}, "tags"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(
    stage: Stage, wrong: dict[str, Any], param: str
) -> None:
    name = await stage.begun()
    before = await stage.sessions.look_up(name, "")
    with pytest.raises(InvalidRequest) as caught:
        await stage.sessions.update(name, "", **wrong)
    assert caught.value.param == param
    assert await stage.sessions.look_up(name, "") == before


async def test_title_and_tags_can_be_changed(stage: Stage) -> None:
    name = await stage.begun()
    before = await stage.sessions.look_up(name, "")
    after = await stage.sessions.update(name, "", title="Größer 🖼", tags=("ä b", "c"))
    assert after == replace(before, title="Größer 🖼", tags=("ä b", "c"))
    assert (await stage.sessions.update(name, "", title="")).title is None


async def test_only_the_full_id_changes_a_session(stage: Stage) -> None:
    name = await stage.begun()
    cut = name[:-1]
    for call in (
        stage.sessions.update(cut, "", title="x"),
        stage.sessions.delete(cut, ""),
        stage.sessions.fork(cut, "", new_owner=""),
    ):
        with pytest.raises(ClinvkError, match="there is no such session"):
            await call
    assert await stage.sessions.count() == 1
