"""Commands whose standard streams are full or closed, and words that cannot be sent."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from .running import PATIENCE, Commands, Done

pytestmark = pytest.mark.asyncio(loop_scope="session")

FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
NO_SPACE = "clinvk: input or output failed: No space left on device\n"


async def redirected(clinvk: Commands, how: str, *arguments: str | bytes) -> Done:
    """Run a command to its end with redirections as a shell writes them."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", f'exec "$0" -m clinvkd "$@" {how}', sys.executable, *arguments,
        stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=dict(clinvk.environ), cwd=clinvk.directory,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return Done(process.returncode, out.decode(), err.decode())


@FULL
@pytest.mark.parametrize(
    "arguments",
    [
        ("prompt", "hi"),
        ("prompt", "--json", "hi"),
        ("prompt", "--json", "-b", "nobody", "hi"),
        ("sessions", "list"),
    ],
)
async def test_an_output_that_is_full_has_a_status(
    clinvk: Commands, arguments: tuple[str, ...]
) -> None:
    await clinvk.succeed("prompt", "a session to list")
    done = await redirected(clinvk, ">/dev/full", *arguments)
    assert (done.status, done.err) == (74, NO_SPACE)


@FULL
async def test_an_error_that_nobody_can_be_told_has_a_status(clinvk: Commands) -> None:
    assert (await redirected(clinvk, "2>/dev/full", "prompt", "-b", "nobody", "hi")).status == 74


@pytest.mark.parametrize("arguments", [("sessions", "list"), ("prompt", "--json", "-b", "x", "hi")])
async def test_nobody_reads_what_comes_at_once(
    clinvk: Commands, arguments: tuple[str, ...]
) -> None:
    await clinvk.succeed("prompt", "a session to list")
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "clinvkd", *arguments,
        stdin=DEVNULL, stdout=writing, stderr=PIPE,
        env=dict(clinvk.environ), cwd=clinvk.directory,
    )  # fmt: skip
    os.close(writing)
    async with asyncio.timeout(PATIENCE):
        _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


async def test_a_failure_of_input_is_told_as_json(clinvk: Commands) -> None:
    gone = clinvk.directory / "gone"
    gone.mkdir()
    away = Commands(clinvk.environ, gone)
    done = await redirected(away, '--json "$(/bin/rmdir "$PWD")"', "resume", "--here")
    assert (done.status, done.error["code"], done.err) == (74, "io_error", "")


@pytest.mark.parametrize(
    ("how", "arguments", "status", "out"),
    [
        ("<&-", ("chat",), 0, ""),
        (">&-", ("prompt", "hi"), 0, ""),
        ("2>&-", ("prompt", "hi"), 0, "hi\n"),
        ("2>&-", ("prompt", "-b", "nobody", "hi"), 65, ""),
        ("<&- >&- 2>&-", ("prompt", "hi"), 0, ""),
    ],
)
async def test_streams_that_are_closed_lead_nowhere(
    clinvk: Commands, how: str, arguments: tuple[str, ...], status: int, out: str
) -> None:
    done = await redirected(clinvk, how, *arguments)
    assert (done.status, done.out, done.err) == (status, out, "")


async def test_a_closed_input_holds_no_prompt(clinvk: Commands) -> None:
    done = await redirected(clinvk, "<&-", "prompt", "--json")
    assert (done.status, done.error["message"]) == (2, "the prompt is empty")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("prompt", "--idempotency-key", "a\nb", "hi"), "printable"),
        (("prompt", "--idempotency-key", b"\xff", "hi"), "printable"),
        (("jobs", "show", b"\xff"), "no UTF-8 text"),
        (("sessions", "list", "--search", b"\xff"), "no UTF-8 text"),
    ],
)
async def test_words_that_cannot_be_sent_are_refused(
    clinvk: Commands, arguments: tuple[str | bytes, ...], says: str
) -> None:
    done = await redirected(clinvk, "--json", *arguments)
    assert (done.status, done.error["code"]) == (2, "usage")
    assert says in done.error["message"]


async def test_a_file_that_is_nested_too_deeply_is_refused(clinvk: Commands) -> None:
    done = await clinvk("parallel", "--json", stdin="[" * 100_000)
    assert (done.status, done.error["code"]) == (2, "usage")
    assert "nested too deeply" in done.error["message"]


async def test_results_that_cannot_be_written_are_no_failure_of_an_agent(clinvk: Commands) -> None:
    (clinvk.directory / "results" / "summary.json").mkdir(parents=True)
    tasks = json.dumps([{"prompt": "hi"}])
    done = await clinvk("parallel", "--json", "--output-dir", "results", stdin=tasks)
    assert (done.status, done.error["code"]) == (74, "io_error")
    assert "results: cannot be written" in done.error["message"]
