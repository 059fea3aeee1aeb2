"""The launch agent of macOS, as far as another machine can check it."""

from __future__ import annotations

import ctypes
import errno
import os
import plistlib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clinvkd.errors import ConfigError
from clinvkd.service.launchd import Launchd
from clinvkd.service.launchd_socket import LABEL, activate

from .test_install import installation

ROOT = Path(__file__).parents[2]

KEYS: dict[str, type | dict[str, Any]] = {
    "Label": str,
    "ProgramArguments": list,
    "RunAtLoad": bool,
    "KeepAlive": {"SuccessfulExit": bool},
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "AbandonProcessGroup": bool,
    "ProcessType": str,
    "EnvironmentVariables": {"PATH": str, "CLINVK_HOME": str, "CLINVK_CONFIG": str},
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "SoftResourceLimits": {"NumberOfFiles": int, "Core": int},
    "HardResourceLimits": {"NumberOfFiles": int, "Core": int},
    "Sockets": {"Listeners": list},
}
"""Keys and types of launchd.plist(5), as far as ours uses them."""

SOCKET_KEYS = {
    "SockNodeName": str, "SockServiceName": str, "SockType": str, "SockFamily": str,
    "SockPathName": str, "SockPathMode": int,
}  # fmt: skip


def check(value: dict[str, Any], table: dict[str, Any]) -> None:
    for key, entry in value.items():
        if isinstance(table[key], dict):
            check(entry, table[key])
        else:
            assert type(entry) is table[key], key


@pytest.mark.parametrize(
    "server",
    [{}, {"host": "::1", "port": 9000}, {"host": "localhost"}, {"unix_socket": "/tmp/c.sock"}],
)
def test_the_property_list_says_what_launchd_knows(server: dict[str, Any]) -> None:
    launchd = Launchd(installation(server=server, CLINVK_HOME="/home/ada/clinvk"))
    (file,) = launchd.files()
    loaded = plistlib.loads(file.text.encode())
    assert loaded == launchd.property_list()
    check(loaded, KEYS)
    for each in loaded["Sockets"]["Listeners"]:
        check(each, SOCKET_KEYS)
    first = loaded["Sockets"]["Listeners"][0]
    assert first["SockNodeName"] == server.get("host", "127.0.0.1")
    assert first["SockServiceName"] == str(server.get("port", 8080))
    paths = [loaded["ProgramArguments"][0], loaded["StandardErrorPath"], str(file.path)]
    assert all(path.startswith("/") for path in paths)
    assert "~" not in file.text
    assert "$" not in file.text
    assert file.path.name == f"{LABEL}.plist"


def test_a_port_that_nobody_can_know_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"server\.port"):
        Launchd(installation(server={"port": 0})).files()


def test_the_log_folder_is_made_because_launchd_does_not() -> None:
    launchd = Launchd(installation())
    (folder,) = launchd.folders()
    assert folder == Path(launchd.property_list()["StandardErrorPath"]).parent


def test_the_example_is_what_is_written() -> None:
    example = ROOT / "launchd" / f"{LABEL}.plist"
    (file,) = Launchd(installation()).files()
    if os.environ.get("CLINVK_TEST_WRITE_GOLDEN"):
        example.write_text(file.text)
    assert example.read_text() == file.text


# launch_activate_socket.


class Library:
    """launch_activate_socket and free as C functions, so that ctypes has its way."""

    def __init__(self, status: int, descriptors: list[int]) -> None:
        self.freed: list[int] = []
        self.asked: list[bytes] = []
        array = (ctypes.c_int * len(descriptors))(*descriptors)
        self._kept: list[Any] = [array]
        pointer_to_array = ctypes.POINTER(ctypes.POINTER(ctypes.c_int))
        signature = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_char_p, pointer_to_array, ctypes.POINTER(ctypes.c_size_t)
        )

        def launch_activate_socket(name: bytes, numbers: Any, count: Any) -> int:
            self.asked.append(name)
            if status == 0:
                numbers[0] = ctypes.cast(array, ctypes.POINTER(ctypes.c_int))
                count[0] = len(descriptors)
            return status

        self.launch_activate_socket = signature(launch_activate_socket)
        self.free: Callable[..., Any] = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(
            lambda address: self.freed.append(address)
        )
        self.address = ctypes.addressof(array)


def test_all_descriptors_of_a_name_are_taken_and_their_array_is_freed() -> None:
    library = Library(0, [7, 9])
    assert activate("Listeners", library) == [7, 9]
    assert library.asked == [b"Listeners"]
    assert library.freed == [library.address]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (errno.ENOENT, "no socket of that name"),
        (errno.ESRCH, "launchd did not start this process"),
        (errno.EALREADY, "taken already"),
        (errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_a_refusal_is_told(status: int, says: str) -> None:
    library = Library(status, [])
    with pytest.raises(ConfigError, match=says):
        activate("Listeners", library)
    assert library.freed == []


# Exit statuses: launchd starts again whatever is not 0.


def status_of(*arguments: str, **more: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "clinvkd", "serve", *arguments],
        env={**os.environ, **more}, capture_output=True, timeout=60, check=False,
    ).returncode  # fmt: skip


def test_a_wrong_configuration_is_not_tried_again() -> None:
    assert status_of("--port", "-1") == 78
    assert status_of("--port", "-1", XPC_SERVICE_NAME="0") == 78  # a terminal of macOS
    assert status_of("--port", "-1", XPC_SERVICE_NAME=LABEL) == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="there the sockets come from launchd")
def test_what_another_start_may_mend_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert status_of("--port", port, XPC_SERVICE_NAME=LABEL) == 69
