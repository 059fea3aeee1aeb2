"""`clinvk prompt` and `clinvk resume` against a daemon."""

from __future__ import annotations

import asyncio
import json
import re
import signal

import pytest
from aiohttp import ClientSession

from ..daemon import Daemon
from .running import PATIENCE, Commands, interrupted, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_answer_is_printed(clinvk: Commands) -> None:
    done = await clinvk("prompt", "one two three")
    assert (done.status, done.out, done.err) == (0, "one two three\n", "")


@pytest.mark.parametrize("argument", [(), ("-",)])
async def test_standard_input_is_a_prompt(clinvk: Commands, argument: tuple[str, ...]) -> None:
    assert (await clinvk.succeed("prompt", *argument, stdin="zwölf\nlines")).out == "zwölf\nlines\n"


@pytest.mark.parametrize("stdin", [b"", b" \n", b"\xff\xfe"])
async def test_no_prompt_is_a_wrong_command_line(clinvk: Commands, stdin: bytes) -> None:
    done = await clinvk("prompt", stdin=stdin)
    assert (done.status, done.out) == (2, "")
    assert "prompt is empty" in done.err or "no UTF-8" in done.err
    assert (await clinvk("prompt", "--json", stdin=stdin)).error["code"] == "usage"


async def test_the_answer_comes_as_it_is_made(clinvk: Commands) -> None:
    process = await clinvk.begin("prompt", "[[slow 600]]first then")
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readexactly(6) == b"first "
    done = await interrupted(process)
    assert (done.status, done.out, done.err) == (130, "\n", "")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
async def test_a_signal_interrupts_the_turn(
    clinvk: Commands, running: Daemon, number: int, status: int
) -> None:
    async with ClientSession() as client:

        async def busy() -> bool:
            async with client.get(f"{running.url}/health") as answer:
                backends = (await answer.json())["backends"]
            (echo,) = (b for b in backends if b["name"] == "echo")
            return bool(echo["pool"]["busy"])

        async def idle() -> bool:
            return not await busy()

        process = await clinvk.begin("prompt", "--json", "[[silent 600]]never")
        await until(busy)
        done = await interrupted(process, number)
        await until(idle)
    assert done.status == status
    if number == signal.SIGINT:
        assert done.error["code"] == "interrupted"


async def test_nobody_who_reads_is_no_failure_to_talk_of(clinvk: Commands) -> None:
    process = await clinvk.begin("prompt", "[[long 500000]]")
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readexactly(100)
    process.stdout._transport.close()  # type: ignore[attr-defined]
    async with asyncio.timeout(PATIENCE):
        assert await process.stderr.read() == b""
        assert await process.wait() == 141


async def test_json_is_one_document(clinvk: Commands) -> None:
    answer = (await clinvk.succeed("prompt", "--json", "one two")).json
    assert answer["output"] == "one two"
    assert answer["token_usage"] == {"input_tokens": 2, "output_tokens": 2}


@pytest.mark.parametrize(
    ("arguments", "status", "code", "says"),
    [
        (("[[fail broken]]",), 1, "backend_error", "broken"),
        (("some text [[fail broken]]",), 1, "backend_error", "broken"),
        (("-b", "nobody", "x"), 65, "not_found", "there is no backend 'nobody'"),
        (("--session", "ffffffff", "x"), 65, "not_found", "session"),
        (("-b", "claude", "x"), 75, "backend_unavailable", "not installed"),
        (("-w", "/etc", "x"), 77, "forbidden", "/etc"),
        (("--timeout", "0.2", "[[silent 600]]x"), 124, "timed_out", "longer than 0.2 s"),
        (("--extra", "--nonsense=1", "x"), 65, "invalid_request", "--nonsense"),
        (("--session", "a", "-c", "x"), 2, "usage", "--session"),
        (("--background", "--timeout", "1", "x"), 2, "usage", "--timeout"),
        (("--schema", "none.json", "x"), 2, "usage", "none.json: cannot be read"),
    ],
)
async def test_failures_have_their_status(
    clinvk: Commands, arguments: tuple[str, ...], status: int, code: str, says: str
) -> None:
    done = await clinvk("prompt", "--json", *arguments)
    assert (done.status, done.err, done.error["code"]) == (status, "", code)
    assert says in done.error["message"]


async def test_without_json_failures_are_told_in_words(clinvk: Commands) -> None:
    done = await clinvk("prompt", "-b", "nobody", "x")
    assert (done.status, done.out) == (65, "")
    assert done.err.startswith("clinvk: there is no backend 'nobody'")


async def test_what_came_before_a_failure_stays(clinvk: Commands) -> None:
    done = await clinvk("prompt", "some text[[fail broken]]")
    assert (done.status, done.out) == (1, "some text\n")


async def test_options_reach_the_agent(clinvk: Commands) -> None:
    (clinvk.directory / "inner").mkdir()
    done = await clinvk.succeed("prompt", "-w", "inner", "[[cwd]]")
    assert done.out == f"{clinvk.directory / 'inner'}\n"
    assert (await clinvk.succeed("prompt", "-m", "large", "[[model]]")).out == "large\n"
    history = await clinvk.succeed("prompt", "--system-prompt", "Be brief.", "[[history]]")
    assert json.loads(history.out)["system"] == "Be brief."
    assert (
        await clinvk.succeed("prompt", "--max-tokens", "2", "one two three")
    ).out == "one two \n"


async def test_a_schema_from_a_file(clinvk: Commands) -> None:
    schema = {"type": "object", "properties": {"echo": {"type": "string"}}}
    (clinvk.directory / "schema.json").write_text(json.dumps(schema))
    done = await clinvk.succeed("prompt", "--schema", "schema.json", "hello")
    assert json.loads(done.out) == {"echo": "hello"}


async def test_a_dry_run_tells_what_would_be_sent(clinvk: Commands) -> None:
    done = await clinvk.succeed("prompt", "--dry-run", "for nobody")
    assert done.out.startswith("Would execute: ")
    assert '"for nobody"' not in done.out.splitlines()[0]
    assert "for nobody" in done.out
    assert (await clinvk.succeed("prompt", "--dry-run", "--json", "x")).json["dry_run"] is True


async def test_a_conversation_goes_on(clinvk: Commands) -> None:
    session = (await clinvk.succeed("prompt", "--json", "my name is Ada")).json["session_id"]

    async def remembered(*arguments: str) -> bool:
        done = await clinvk.succeed(*arguments)
        return "my name is Ada" in done.out

    assert await remembered("prompt", "-c", "[[history]]")
    assert await remembered("resume", "--last", "[[history]]")
    await clinvk.succeed("prompt", "something else")
    assert not await remembered("prompt", "--continue", "[[history]]")
    assert await remembered("prompt", "--session", session[:20], "[[history]]")
    assert await remembered("resume", session[:20], "[[history]]")
    assert await remembered("resume", "--json", session, "[[history]]")
    assert not await remembered("prompt", "[[history]]")


async def test_resume_takes_the_prompt_from_standard_input(clinvk: Commands) -> None:
    session = (await clinvk.succeed("prompt", "--json", "first")).json["session_id"]
    assert (await clinvk.succeed("resume", session, stdin="second")).out == "second\n"


async def test_resume_finds_sessions_of_this_directory(clinvk: Commands) -> None:
    none = await clinvk("resume", "--here", "x")
    assert none.status == 65
    await clinvk.succeed("prompt", "-w", ".", "in this directory")
    await clinvk.succeed("prompt", "elsewhere")
    done = await clinvk.succeed("resume", "--here", "[[history]]")
    assert "in this directory" in done.out
    assert (await clinvk("resume", "--here", "-b", "claude", "x")).status == 65


async def test_ephemeral_keeps_nothing(clinvk: Commands) -> None:
    answer = (await clinvk.succeed("prompt", "--ephemeral", "--json", "unheard-of")).json
    assert "session_id" not in answer
    page = (await clinvk.succeed("sessions", "list", "--search", "unheard-of", "--json")).json
    assert page["total"] == 0


async def test_the_configuration_asks_for_figures(clinvk: Commands, running: Daemon) -> None:
    file = clinvk.directory / "config.yaml"
    file.write_text("output:\n  show_tokens: true\n  show_timing: true\n")
    options = ("--config", str(file), "--url", running.url)
    done = await clinvk.succeed("prompt", *options, "one two")
    assert done.out == "one two\n"
    assert done.err.endswith(" s, 2 tokens in, 2 out\n")


async def test_the_configuration_limits_the_time(clinvk: Commands, running: Daemon) -> None:
    file = clinvk.directory / "config.yaml"
    file.write_text("unified_flags:\n  command_timeout_secs: 0.3\n")
    options = ("--config", str(file), "--url", running.url)
    assert (await clinvk("prompt", *options, "[[silent 600]]never")).status == 124


async def test_a_repeated_key_gives_the_same_answer(clinvk: Commands) -> None:
    options = ("prompt", "--json", "--idempotency-key", "once", "only once")
    first, second = await clinvk.succeed(*options), await clinvk.succeed(*options)
    assert first.json == second.json
    other = await clinvk("prompt", "--json", "--idempotency-key", "once", "something else")
    assert (other.status, other.error["code"]) == (65, "conflict")


async def test_an_agent_that_asks_is_answered_by_another_command(clinvk: Commands) -> None:
    options = ("-w", ".", "--approval-mode", "ask", "[[ask Shell]]done")
    process = await clinvk.begin("prompt", *options)
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        asked = (await process.stderr.readline()).decode()
        assert asked.startswith("the agent wants to: ")
        (approval,) = re.findall(r"clinvk approve (\w+)", asked)
        await clinvk.succeed("approve", approval, "--deny", "--message", "not now")
        out, _ = await process.communicate()
    assert (process.returncode, out.decode().splitlines()[0]) == (0, "Shell rejected")
    late = await clinvk("approve", approval, "--json")
    assert (late.status, late.error["code"]) == (65, "conflict")


async def test_any_answer_can_be_written_anywhere(clinvk: Commands) -> None:
    narrow = clinvk.with_variables(PYTHONIOENCODING="ascii")
    assert (await narrow.succeed("prompt", stdin="größer")).out == "gr??er\n"
    assert (await narrow.succeed("prompt", "--json", stdin="größer")).json["output"] == "größer"
