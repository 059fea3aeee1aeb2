"""Records in the journal: their fields, in the journal's own protocol, without secrets."""

from __future__ import annotations

import array
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from clinvkd import journal, log
from clinvkd.access_log import REQUEST
from clinvkd.config import LogSettings

from .manager import short_folder

KEY = "clinvk_" + "s" * 43


class Journald:
    """The other end of the journal's socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))

    def record(self) -> dict[str, str]:
        """The next record; one that is too long for a datagram comes as a file."""
        room = socket.CMSG_SPACE(array.array("i", [0]).itemsize)
        data, ancillary, _, _ = self._socket.recvmsg(1 << 20, room)
        for _, _, passed in ancillary:
            (number,) = array.array("i", passed)
            with os.fdopen(number, "rb") as file:
                file.seek(0)
                data = file.read()
        return parsed(data)

    def close(self) -> None:
        self._socket.close()


def parsed(data: bytes) -> dict[str, str]:
    """The fields of a record, as the protocol says."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
            data = rest
        else:
            name, length = line, int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + length], rest[8 + length + 1 :]
            assert rest[8 + length : 8 + length + 1] == b"\n"
        assert name.decode().isupper()
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journald(monkeypatch: pytest.MonkeyPatch) -> Iterator[Journald]:
    with short_folder() as folder:
        opened = Journald(folder / "journal")
        monkeypatch.setattr(journal, "SOCKET", opened.path)
        root = logging.root.handlers[:], logging.root.level
        status = os.fstat(2)
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        log.set_up(LogSettings(), environ=environ)
        try:
            yield opened
        finally:
            structlog.reset_defaults()
            logging.root.handlers[0].close()
            logging.root.handlers[:], logging.root.level = root
            opened.close()


def test_a_record_keeps_its_fields(journald: Journald) -> None:
    log_ = structlog.get_logger("clinvkd.access")
    token = REQUEST.set({"request_id": "r1"})
    log_.info("request", status=200, backend="echo", job="j1", client="ci")
    REQUEST.reset(token)
    assert journald.record() == {
        "MESSAGE": "request status=200 backend=echo job=j1 client=ci request_id=r1",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "clinvk",
        "CLINVK_STATUS": "200",
        "CLINVK_BACKEND": "echo",
        "CLINVK_JOB_ID": "j1",
        "CLINVK_REQUEST_ID": "r1",
        "CLINVK_KEY_NAME": "ci",
    }


def test_lines_and_traces_come_whole(journald: Journald) -> None:
    try:
        raise ValueError("no\nway")
    except ValueError:
        structlog.get_logger().exception("failed", reason="a\nb=c\n")
    record = journald.record()
    assert record["PRIORITY"] == "3"
    assert record["CLINVK_REASON"] == "a\nb=c\n"
    assert record["MESSAGE"].startswith("failed reason=a\nb=c\n")
    assert "Traceback" in record["MESSAGE"]
    assert record["MESSAGE"].endswith("ValueError: no\nway")


def test_no_secret_is_written(journald: Journald) -> None:
    structlog.get_logger().warning(f"got {KEY}", header=f"Bearer {KEY}", all={"api_key": KEY})
    record = journald.record()
    assert record["PRIORITY"] == "4"
    assert KEY not in str(record)
    assert "[redacted]" in record["CLINVK_HEADER"]


def test_records_of_libraries_come_too(journald: Journald) -> None:
    logging.getLogger("library").warning("be careful with %s", KEY)
    logging.getLogger("library").info("not this")
    record = journald.record()
    assert (record["MESSAGE"], record["PRIORITY"]) == ("be careful with [redacted]", "4")
    with pytest.raises(BlockingIOError):
        journald.record()


def test_a_long_record_comes_as_a_file(journald: Journald) -> None:
    structlog.get_logger().info("long", text="word " * 200_000)
    assert len(journald.record()["CLINVK_TEXT"]) == 1_000_000


def test_a_journal_that_is_gone_stops_nothing(journald: Journald) -> None:
    journald.path.unlink()
    structlog.get_logger().info("lost")


def test_only_standard_error_counts() -> None:
    status = os.fstat(2)
    assert journal.is_stderr({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    assert not journal.is_stderr({"JOURNAL_STREAM": f"{status.st_dev}:1"})
    assert not journal.is_stderr({})
