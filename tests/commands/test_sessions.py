"""`clinvk sessions` against a daemon of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ..daemon import daemon, environment
from .running import Commands

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clinvk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Commands]:
    home = tmp_path_factory.mktemp("sessions")
    config = "default_backend: echo\nlog:\n  level: error\n"
    async with daemon(home, config) as started:
        environ = environment(home, started.temporary, CLINVK_URL=started.url)
        yield Commands(environ, home)


async def made(clinvk: Commands, prompt: str) -> str:
    """The id of a new session."""
    return str((await clinvk.succeed("prompt", "--json", prompt)).json["session_id"])


async def ids(clinvk: Commands, *arguments: str) -> list[str]:
    page = (await clinvk.succeed("sessions", "list", "--json", *arguments)).json
    return [session["id"] for session in page["sessions"]]


async def test_sessions_are_listed_the_last_used_first(clinvk: Commands) -> None:
    first, second = await made(clinvk, "about boats"), await made(clinvk, "about\tcarts")
    assert (await ids(clinvk))[:2] == [second, first]
    assert await ids(clinvk, "--search", "boats") == [first]
    assert (await ids(clinvk, "-n", "1"), await ids(clinvk, "-b", "claude")) == ([second], [])
    assert (await ids(clinvk, "--offset", "1"))[0] == first
    head, *rows = (await clinvk.succeed("sessions", "list")).out.splitlines()
    assert head.split() == ["session", "backend", "status", "used", "turns", "title"]
    assert rows[1].split()[:3] == [first[:12], "echo", "completed"]
    assert rows[1].rstrip().endswith("1      about boats")


async def test_a_session_is_shown_with_its_messages(clinvk: Commands) -> None:
    session = await made(clinvk, "shown to me")
    await clinvk.succeed("resume", session, "and more[[think hm]]")
    told = (await clinvk.succeed("sessions", "show", session[:16])).out
    assert told.startswith(f"session    {session}\n")
    assert "turns      2\n" in told
    assert told.count("== user\n") == told.count("== assistant\n") == 2
    assert "\n== user\nshown to me\n" in told
    document = (await clinvk.succeed("sessions", "show", session, "--json")).json
    assert document["id"] == session
    assert len(document["messages"]) == 4


async def test_sessions_are_deleted_all_or_none(clinvk: Commands) -> None:
    one, two, three = [await made(clinvk, f"number {n}") for n in range(3)]
    mistyped = await clinvk("sessions", "delete", one, "f" * 32)
    assert mistyped.status == 65
    assert one in await ids(clinvk)
    done = await clinvk.succeed("sessions", "delete", one, two[:16])
    assert sorted(done.out.split()) == sorted([one, two])
    assert set(await ids(clinvk)) & {one, two, three} == {three}
    assert (await clinvk.succeed("sessions", "delete", "--json", three)).json == {
        "deleted": [three]
    }
    short = await clinvk("sessions", "delete", "abc")
    assert (short.status, "too short" in short.err) == (2, True)


async def test_old_sessions_are_cleaned_up(clinvk: Commands) -> None:
    await made(clinvk, "old by then")
    everything = await ids(clinvk)
    assert (await clinvk.succeed("sessions", "clean", "--older-than", "1d")).out == ""
    assert (await clinvk.succeed("sessions", "clean", "--older-than", "0s", "-b", "x")).out == ""
    dry = await clinvk.succeed("sessions", "clean", "--older-than", "0s", "--dry-run")
    assert sorted(dry.out.split()) == sorted(everything) == sorted(await ids(clinvk))
    done = await clinvk.succeed("sessions", "clean", "--older-than", "0s", "--json")
    assert sorted(done.json["deleted"]) == sorted(everything)
    assert await ids(clinvk) == []


async def test_a_time_is_written_with_its_unit(clinvk: Commands) -> None:
    done = await clinvk("sessions", "clean", "--older-than", "30")
    assert done.status == 2
    assert "30d" in done.err


async def test_a_time_longer_than_there_are_dates_is_refused(clinvk: Commands) -> None:
    done = await clinvk("sessions", "clean", "--older-than", "999999d")
    assert (done.status, "longer than" in done.err) == (2, True)


async def test_sessions_of_a_directory_are_found_by_any_of_its_names(
    clinvk: Commands, tmp_path: Path
) -> None:
    place, link = tmp_path / "place", tmp_path / "link"
    place.mkdir()
    link.symlink_to(place)
    prompt = await clinvk.succeed("prompt", "--json", "-w", str(link), "in a place")
    wanted = [prompt.json["session_id"]]
    for name in (str(place), f"{place}/", str(link)):
        assert await ids(clinvk, "--workdir", name) == wanted, name
    nearby = Commands(clinvk.environ, tmp_path)
    assert await ids(nearby, "--workdir", "link/.") == wanted
    assert await ids(clinvk, "--workdir", str(tmp_path)) == []


async def test_what_was_said_and_is_not_stored(tmp_path: Path) -> None:
    config = "default_backend: echo\nsession:\n  store_content: false\n"

    async with daemon(tmp_path, config) as started:
        environ = environment(tmp_path, started.temporary, CLINVK_URL=started.url)
        clinvk = Commands(environ, tmp_path)
        session = await made(clinvk, "not to be kept")
        job = (await clinvk.succeed("prompt", "--background", "not to be kept")).out.strip()
        assert "not to be kept" in (await clinvk.succeed("jobs", "follow", job)).out
    # In memory they were; a daemon that starts again knows nothing of them.
    async with daemon(tmp_path, config) as started:
        environ = environment(tmp_path, started.temporary, CLINVK_URL=started.url)
        forgetful = Commands(environ, tmp_path)
        told = (await forgetful.succeed("sessions", "show", session)).out
        document = (await forgetful.succeed("sessions", "show", session, "--json")).json
        shown = (await forgetful.succeed("jobs", "show", job)).out
        followed = await forgetful.succeed("jobs", "follow", job)
    assert "not stored" in told
    assert "not to be kept" not in told
    assert document["id"] == session
    assert "in memory only" in shown
    assert "not to be kept" not in shown + followed.out
