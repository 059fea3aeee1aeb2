"""Keys from gopass: a stand-in for every way the program is known to behave.

What the stand-ins print and return is what gopass 1.16 does, except where it is another program.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from clinvkd.errors import ConfigError, ConfigUnavailable
from clinvkd.keys import Key, gopass

FIRST, SECOND = "a" * 20, "clinvk_" + "b" * 43
TREE = "team/\\n├── clinvk\\n└── other"


class Store:
    """A home with a stand-in for gopass on its path."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "bin").mkdir()
        self.environ = {"HOME": str(home), "PATH": f"{home / 'bin'}:{os.defpath}"}

    def install(self, show: str, version: str = "gopass 1.16.1 go1.25 linux amd64") -> None:
        program = self.home / "bin" / "gopass"
        program.write_text(
            f"#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\n"
            f'printf "%s\\n" "$@" > {self.home}/argv; env > {self.home}/env; {show}\n'
        )
        program.chmod(0o755)

    def read(self, path: str = "team/clinvk", limit: float = 60) -> list[Key]:
        return gopass.read(path, self.environ, limit)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.mark.parametrize(
    ("output", "keys"),
    [
        (FIRST, [FIRST]),
        (f"{FIRST}\\n", [FIRST]),
        (f"{FIRST},{SECOND}", [FIRST, SECOND]),
        (f"  {FIRST} , ,{SECOND},", [FIRST, SECOND]),
    ],
)
def test_the_first_line_holds_the_keys(store: Store, output: str, keys: list[str]) -> None:
    store.install(f"printf '{output}'")
    assert store.read() == [Key.of(key) for key in keys]


def test_it_is_asked_so_that_it_cannot_ask(store: Store) -> None:
    store.environ |= {
        "CLINVK_API_KEYS": "secret",
        "CREDENTIALS_DIRECTORY": "/run/c",
        "LISTEN_FDS": "1",
        "GNUPGHOME": "/somewhere",
    }
    store.install(f"cat; printf {FIRST}; ps -o tty= -p $$ >&2")
    assert store.read() == [Key.of(FIRST)]
    argv = (store.home / "argv").read_text().split("\n")[:-1]
    assert argv == ["show", "--nosync", "--password", "--", "team/clinvk"]
    environ = dict(
        line.split("=", 1) for line in (store.home / "env").read_text().splitlines() if "=" in line
    )
    assert environ["GOPASS_GPG_OPTS"] == "--pinentry-mode=error"
    assert environ["GNUPGHOME"] == "/somewhere"
    assert not {"CLINVK_API_KEYS", "CREDENTIALS_DIRECTORY", "LISTEN_FDS"} & set(environ)


@pytest.mark.parametrize(
    ("show", "says", "kind"),
    [
        (f"printf '{TREE}'", "is a folder of the store, not a secret", ConfigError),
        ("printf ''", "the first line of 'team/clinvk' is empty", ConfigError),
        ("printf '   '", "the first line of 'team/clinvk' is empty", ConfigError),
        ("printf ' , '", "the first line of 'team/clinvk' is empty", ConfigError),
        ("printf team/", "key 1 in the first line of 'team/clinvk' is not 16", ConfigError),
        ("printf 'abcdefgh ijklmnopqr'", "key 1 in the first line", ConfigError),
        (f"printf '{FIRST},short'", "key 2 in the first line", ConfigError),
        ("echo 'Error: not initialized' >&2; exit 6", "no store for this user", ConfigError),
        (
            "echo 'Error: failed: entry is not in the password store' >&2; exit 11",
            "there is no 'team/clinvk' in the gopass store",
            ConfigError,
        ),
        ("echo 'Error: failed to decrypt' >&2; exit 11", "without asking", ConfigUnavailable),
        ("exit 3", "ended with status 3", ConfigError),
    ],
)
def test_what_it_cannot_give_is_an_error(
    store: Store, show: str, says: str, kind: type[ConfigError]
) -> None:
    store.install(show)
    with pytest.raises(ConfigError, match=r"^server\.api_keys_gopass_path: ") as caught:
        store.read()
    assert says in str(caught.value)
    assert type(caught.value) is kind
    assert FIRST not in str(caught.value)
    assert caught.value.__cause__ is None


def test_one_that_hangs_is_killed_with_all_it_started(store: Store) -> None:
    store.install(f"sleep 600 & echo $! > {store.home}/pid; sleep 600")
    with pytest.raises(ConfigUnavailable, match="took more than 2 s"):
        store.read(limit=2)
    pid = int((store.home / "pid").read_text())
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "version", ["gopass v1.5.0", "pass 1.7.4", "", "gopass 2.0.0", "the gopass 1.1.1"]
)
def test_another_program_of_that_name_is_not_asked(store: Store, version: str) -> None:
    store.install(f"printf {FIRST}", version)
    with pytest.raises(ConfigError, match="there is no gopass, and no store"):
        store.read()
    assert not (store.home / "argv").exists()
