"""Which user holds the other end of a connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clinvkd.keys.local_user import ask_kernel, let_in_by_group, look_up, peer_user

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tell")

NOBODY = 65534
FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


@contextmanager
def connected(family: socket.AddressFamily, host: str) -> Iterator[tuple[socket.socket, ...]]:
    """Both ends of a connection: ours, and the one that was accepted."""
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener, socket.create_connection(listener.getsockname()[:2]) as client:
        server, _ = listener.accept()
        with server:
            yield client, server


@pytest.mark.parametrize(("family", "host"), FAMILIES)
def test_our_own_connection_is_ours(family: socket.AddressFamily, host: str) -> None:
    with connected(family, host) as (client, server):
        assert peer_user(server) == os.geteuid()
        assert peer_user(client) == os.geteuid()
        ends = client.getsockname()[:2], server.getsockname()[:2]
        assert look_up(family, *ends) == os.geteuid()
        assert look_up(family, ends[0], ("127.0.0.2" if host == "127.0.0.1" else "::2", 1)) is None


@pytest.mark.parametrize(("family", "host"), FAMILIES)
def test_the_kernel_tells_of_one_socket(family: socket.AddressFamily, host: str) -> None:
    with connected(family, host) as (client, server):
        ends = client.getsockname()[:2], server.getsockname()[:2]
        try:
            assert ask_kernel(family, *ends) == os.geteuid()
            assert ask_kernel(family, ends[0], (ends[1][0], 1)) is None
        except OSError as error:
            pytest.skip(f"this machine does not answer sock_diag: {error}")


def test_who_has_gone_is_nobody() -> None:
    with connected(socket.AF_INET, "127.0.0.1") as (client, server):
        client.close()
        assert peer_user(server) != os.geteuid() or os.geteuid() == 0


def test_a_unix_socket_knows_by_itself(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_user(ours) == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_another_user_is_told_apart(family: str) -> None:
    folder = Path("/tmp") / f"clinvk-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        if family == "unix":
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / "socket"))
            (folder / "socket").chmod(0o666)
            listener.listen()
            connect = f"s = socket.socket(socket.AF_UNIX); s.connect({str(folder / 'socket')!r})"
        else:
            listener = socket.create_server(("127.0.0.1", 0))
            connect = f"s = socket.create_connection({listener.getsockname()!r})"
        program = f"import encodings.idna, os, socket; os.setuid({NOBODY}); {connect}; s.recv(1)"
        with listener, subprocess.Popen([sys.executable, "-c", program]) as other:
            listener.settimeout(60)
            server, _ = listener.accept()
            with server:
                assert peer_user(server) == NOBODY
            assert other.wait(60) == 0
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


GROUP, OTHER_GROUP = 60_001, 60_002


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize(
    ("mode", "groups", "let_in"),
    [
        (0o660, [GROUP], True),
        (0o666, [OTHER_GROUP, GROUP], True),
        (0o666, [OTHER_GROUP], False),
        (0o646, [], False),
        (0o666, [], False),
    ],
)
def test_the_group_of_a_unix_socket_lets_its_members_in(
    mode: int, groups: list[int], let_in: bool
) -> None:
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        folder, path = Path(name), Path(name, "socket")
        folder.chmod(0o755)
        listener.bind(str(path))
        os.chown(path, 0, GROUP)
        path.chmod(mode)
        listener.listen()
        listener.settimeout(60)
        program = (
            f"import encodings.idna, os, socket; os.setgroups({groups}); os.setgid({NOBODY});"
            f"path = {str(path)!r}; os.setuid({NOBODY});"
            "s = socket.socket(socket.AF_UNIX); s.connect(path); s.recv(1)"
        )
        with subprocess.Popen([sys.executable, "-c", program]) as other:
            server, _ = listener.accept()
            with server:
                assert let_in_by_group(server) == let_in
            assert other.wait(60) == 0


def test_only_a_unix_socket_with_a_file_has_a_group() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert not let_in_by_group(ours)
    with connected(socket.AF_INET, "127.0.0.1") as (_, server):
        assert not let_in_by_group(server)
