"""The access log: its quick way says what structlog says, in order, and loses no line."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import structlog

from clinvkd import access_log, log
from clinvkd.access_log import REQUEST, AccessLog, JSONLines, LineBuffer, structured
from clinvkd.config import LogSettings
from clinvkd.redaction import REDACTED

SetUp: TypeAlias = Callable[..., tuple[AccessLog, io.StringIO]]

SECRET = "sk-0123456789abcdefghij"


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[SetUp]:
    """Sets the log up and gives what is written; afterwards everything is as before."""
    before = structlog.get_config()
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.root.handlers = []
    # A logger remembers the configuration of its first use.
    monkeypatch.setattr(access_log, "_log", structlog.get_logger("clinvkd.access"))

    def set_up(**settings: str) -> tuple[AccessLog, io.StringIO]:
        file = io.StringIO()
        with monkeypatch.context() as patch:  # pytest has put its own file there by now
            patch.setattr(sys, "stderr", file)
            return log.set_up(LogSettings.model_validate(settings)), file

    yield set_up
    structlog.configure(**before)
    logging.root.handlers, logging.root.level = handlers, level


def tell(access: AccessLog, request_id: str = "r1", client: str = "ci", status: int = 200) -> None:
    access(
        method="GET", route="/models/{model:.+}", status=status, ms=1.5,
        request_id=request_id, client=client,
    )  # fmt: skip


@pytest.mark.parametrize("client", ["ci", "", SECRET])
@pytest.mark.parametrize("request_id", ["0123456789abcdef", SECRET, f"authorization:{SECRET}"])
async def test_both_ways_say_the_same(set_up: SetUp, request_id: str, client: str) -> None:
    quick, written = set_up(format="json")
    assert isinstance(quick, JSONLines)
    REQUEST.set({"request_id": request_id} | ({"client": client} if client else {}))
    tell(quick, request_id, client)
    tell(structured, request_id, client)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    times = [line.pop("timestamp") for line in lines]
    assert lines[0] == lines[1]
    assert list(lines[0]) == list(lines[1])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time) for time in times)
    assert times == sorted(times)
    assert SECRET not in written.getvalue()
    assert (REDACTED in written.getvalue()) == (SECRET in request_id + client)


async def test_lines_stay_in_order_with_other_records(set_up: SetUp) -> None:
    quick, written = set_up(format="json")
    tell(quick, "first")
    structlog.get_logger("test").info("second")
    tell(quick, "third")
    structlog.get_logger("test").info("fourth")
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line.get("request_id", line["event"]) for line in lines] == [
        "first", "second", "third", "fourth",
    ]  # fmt: skip


async def test_a_line_is_written_without_another_one() -> None:
    class Noticed(io.StringIO):
        def flush(self) -> None:
            done.set()

    done = asyncio.Event()
    file = Noticed()
    lines = LineBuffer(file)
    for line in ("one\n", "two\n"):
        lines.write(line)
        assert file.getvalue() == ""
    await done.wait()
    assert file.getvalue() == "one\ntwo\n"
    done.clear()
    lines.write("three\n")  # the clock starts again
    await done.wait()
    assert file.getvalue() == "one\ntwo\nthree\n"


async def test_not_more_waits_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "_MOST", 8)
    file = io.StringIO()
    lines = LineBuffer(file)
    lines.write("1234\n")
    assert file.getvalue() == ""
    lines.write("5678\n")
    assert file.getvalue() == "1234\n5678\n"


async def test_a_file_that_is_closed_stops_nothing() -> None:
    file = io.StringIO()
    lines = LineBuffer(file)
    lines.write("lost\n")
    file.close()
    lines.flush()


def test_the_end_of_the_process_loses_no_line() -> None:
    program = """
import asyncio, sys
from clinvkd import log
from clinvkd.config import LogSettings

async def main():
    access = log.set_up(LogSettings(format="json"))
    access(method="GET", route="/", status=200, ms=1.0, request_id="r1", client="")
    raise SystemExit(3)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 3
    assert json.loads(done.stderr)["request_id"] == "r1"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"format": "json", "level": "debug"}, 1),
        ({"format": "json", "level": "info"}, 1),
        ({"format": "json", "level": "warning"}, 0),
        ({"format": "console"}, 1),
    ],
)
async def test_level_and_format_count(set_up: SetUp, settings: dict[str, str], told: int) -> None:
    access, written = set_up(**settings)
    tell(access)
    structlog.get_logger("test").error("the end")
    lines = written.getvalue().splitlines()
    assert len(lines) == told + 1
    assert all(line.startswith("{") for line in lines) == (settings["format"] == "json")
