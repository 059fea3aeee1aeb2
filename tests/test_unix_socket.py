"""The unix socket: its permissions, and what may stand in its place."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from clinvkd.unix_socket import bound


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_it_has_its_mode_and_goes_with_the_context(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "socket"
    with bound(path, mode) as listener:
        assert path.stat().st_mode & 0o777 == mode
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_what_was_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with bound(path, 0o600):
        assert path.is_socket()


def test_one_that_is_used_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with bound(path, 0o600) as listener:
        listener.listen()
        with pytest.raises(OSError, match="in use"), bound(path, 0o600):
            pass
        assert path.is_socket()


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(OSError, match="no socket"), bound(path, 0o600):
        pass
    assert path.read_text() == "mine"


def test_the_socket_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with bound(path, 0o600):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
    assert path.is_socket()
