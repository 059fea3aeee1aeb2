"""Commands at a terminal: chats, lanes that are drawn over, tables, and what is kept from it."""

from __future__ import annotations

import pytest

from .running import Commands

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_chat(clinvk: Commands) -> None:
    async with clinvk.on_terminal("chat", "-b", "echo") as screen:
        await screen.shows("/help tells")
        await screen.shows("> ")
        screen.type("my name is Ada\n")
        await screen.shows("my name is Ada\r\n")  # as it was typed
        await screen.shows("my name is Ada\r\n> ")
        screen.type("/title A talk\n")
        await screen.shows("\n> ")
        screen.type("[[history]]\n")
        await screen.shows("[[history]]\r\n")
        assert "my name is Ada" in await screen.shows("> ")
        screen.type("/new\n/model large\n[[history]][[model]]\n")
        await screen.shows("[[model]]\r\n")
        answer = await screen.shows("> ")
        assert "Ada" not in answer
        assert "large" in answer
        screen.type('"""\nseveral\nlines\n"""\n')
        await screen.shows('"""\r\n. several\r\n. lines\r\n. """\r\nseveral\r\nlines\r\n> ')
        screen.type("begun \\\nended\n")
        await screen.shows(". ended\r\nbegun \r\nended\r\n> ")
        screen.type("//slash\n")
        await screen.shows("\n/slash\r\n> ")
        screen.type("/nonsense\n")
        await screen.shows("there is no /nonsense")
        await screen.shows("> ")
        screen.type("\x04")
        assert await screen.ends() == 0
    assert "A talk" in (await clinvk.succeed("sessions", "list", "--search", "A talk")).out


async def test_a_chat_lists_and_changes_backends(clinvk: Commands) -> None:
    async with clinvk.on_terminal("chat") as screen:
        await screen.shows("> ")
        screen.type("/backend\n")
        assert "claude  not installed" in await screen.shows("> ")
        screen.type("/backend nobody\n")
        await screen.shows("there is no backend 'nobody'")
        await screen.shows("> ")
        screen.type("/backend claude\nhello\n")
        await screen.shows("is not available")
        await screen.shows("> ")
        screen.type("/backend echo\nhello\n")
        await screen.shows("\nhello\r\n> ")
        screen.type("/title\n/help\n")
        await screen.shows("/exit             leave")
        screen.type("/exit\n")
        assert await screen.ends() == 0


async def test_ctrl_c_interrupts_an_answer_and_then_leaves(clinvk: Commands) -> None:
    async with clinvk.on_terminal("chat") as screen:
        await screen.shows("> ")
        screen.type("before\n")
        await screen.shows("\nbefore\r\n> ")
        screen.type("[[slow 600]]first then\n")
        await screen.shows("\nfirst ")
        screen.type("\x03")
        await screen.shows("(interrupted")
        await screen.shows("> ")
        screen.type("[[history]]\n")
        await screen.shows("[[history]]\r\n")
        assert "before" in await screen.shows("> ")
        assert await screen.ends("\x03") == 130


async def test_what_is_typed_is_kept_only_if_asked_for(clinvk: Commands) -> None:
    file = clinvk.directory / "history"
    for text in ("the first time", "the second time"):
        async with clinvk.on_terminal("chat", "--history", "history") as screen:
            await screen.shows("> ")
            screen.type(f"{text}\n")
            await screen.shows(f"\n{text}\r\n")
            screen.type("/exit\n")
            assert await screen.ends() == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert "the first time\n" in file.read_text()
    assert "the second time\n" in file.read_text()
    assert [path.name for path in clinvk.directory.iterdir()] == ["history"]


async def test_a_history_that_cannot_be_written_is_told(clinvk: Commands) -> None:
    folder = clinvk.directory / "folder"
    folder.mkdir()
    async with clinvk.on_terminal("chat", "--history", "folder/history") as screen:
        await screen.shows("> ")
        (folder / "history").unlink()
        folder.rmdir()
        screen.type("/exit\n")
        await screen.shows("clinvk: --history: folder/history: cannot be written")
        assert await screen.ends() == 74
    assert "Traceback" not in screen.text


async def test_a_chat_without_a_terminal_takes_lines(clinvk: Commands) -> None:
    done = await clinvk.succeed("chat", stdin="one\n\n/model large\n[[model]]\n/exit\nnever\n")
    assert (done.out, done.err) == ("one\nlarge\n", "")
    failed = await clinvk("chat", stdin="one\n[[fail broken]]\nnever\n")
    assert (failed.status, failed.out) == (1, "one\n")
    session = (await clinvk.succeed("prompt", "--json", "known")).json["session_id"]
    assert "known" in (await clinvk.succeed("chat", "--session", session, stdin="[[history]]")).out
    assert (await clinvk("chat", "--session", "ffffffff", stdin="x")).status == 65


async def test_a_session_is_chosen_and_gone_on_with(clinvk: Commands) -> None:
    await clinvk.succeed("prompt", "an old story")
    async with clinvk.on_terminal("resume") as screen:
        await screen.shows("an old story")
        await screen.shows("Which one [1]: ")
        screen.type("\n")
        await screen.shows("going on with")
        await screen.shows("> ")
        screen.type("[[history]]\n")
        await screen.shows("[[history]]\r\n")
        assert "an old story" in await screen.shows("> ")
        screen.type("\x04")
        assert await screen.ends() == 0


@pytest.mark.parametrize("key", ["\x03", "\x04"])
async def test_who_chooses_no_session_leaves(clinvk: Commands, key: str) -> None:
    await clinvk.succeed("prompt", "one to choose")
    async with clinvk.on_terminal("resume") as screen:
        await screen.shows("Which one [1]: ")
        assert await screen.ends(key) == 130
    assert "Aborted" not in screen.text
    assert screen.text.endswith("\n")


async def test_nobody_commands_the_terminal(clinvk: Commands) -> None:
    prompt = "\x1b[31mred\x07 \x9b2J"
    async with clinvk.on_terminal("prompt", prompt) as screen:
        assert await screen.ends() == 0
    assert "[31mred 2J" in screen.text
    assert not {"\x1b[31m", "\x07", "\x9b"} & set(screen.text)
    assert "\x1b[31m" not in screen.text
    assert (await clinvk.succeed("prompt", prompt)).out == f"{prompt}\n"


async def test_lanes_are_drawn_over_and_results_stay(clinvk: Commands) -> None:
    (clinvk.directory / "tasks.json").write_text(
        '[{"prompt":"[[slow 0.2]]one two three","name":"slow \\u001b[31m"},{"prompt":"quick"}]'
    )
    async with clinvk.on_terminal("parallel", "-f", "tasks.json") as screen:
        await screen.shows("of 2 ended")
        await screen.shows("== 1 slow")
        await screen.shows("one two three")
        await screen.shows("quick")
        assert await screen.ends() == 0
    assert "\x1b[31m\r" not in screen.text


async def test_answers_stand_side_by_side(clinvk: Commands) -> None:
    arguments = ("compare", "--backends", "echo,echo/large", "the model is [[model]]")
    async with clinvk.on_terminal(*arguments) as screen:
        assert await screen.ends() == 0
    assert any("echo" in line and "echo/large" in line for line in screen.text.splitlines())
    async with clinvk.on_terminal(*arguments, columns=50) as narrow:
        await narrow.shows("== 1 echo")
        assert await narrow.ends() == 0


async def test_ctrl_c_leaves_the_terminal_as_it_was(clinvk: Commands) -> None:
    (clinvk.directory / "tasks.json").write_text('[{"prompt":"[[silent 600]]never"}]')
    async with clinvk.on_terminal("parallel", "-f", "tasks.json") as screen:
        await screen.shows("0 of 1 ended")
        screen.type("\x03")
        assert await screen.ends() == 130
    hidden, shown = screen.text.rfind("\x1b[?25l"), screen.text.rfind("\x1b[?25h")
    assert 0 <= hidden < shown
    assert "Traceback" not in screen.text


@pytest.mark.parametrize(("key", "decided"), [("y", "allowed"), ("n", "rejected")])
async def test_an_agent_that_asks_is_answered(clinvk: Commands, key: str, decided: str) -> None:
    arguments = ("prompt", "-w", ".", "--approval-mode", "ask", "[[ask Shell]]done")
    async with clinvk.on_terminal(*arguments) as screen:
        await screen.shows("wants to: ")
        await screen.shows("allow it? [y/N]\r\n")
        screen.type(f"{key}\n")
        await screen.shows(f"Shell {decided}")
        assert await screen.ends() == 0
