"""Keys from the store's file, without gopass: with the real GnuPG, a throw-away key and store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clinvkd.errors import ConfigError, ConfigUnavailable
from clinvkd.keys import Key, gopass

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="GnuPG is not installed")

FIRST, SECOND = "a" * 20, "clinvk_" + "b" * 43
LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Home:
    """A home directory with a key of its own: `open` needs no passphrase, `locked` does."""

    path: Path
    environ: dict[str, str]

    def gpg(self, *arguments: str, given: bytes = b"") -> bytes:
        return subprocess.run(
            ["gpg", "--batch", "--quiet", "--yes", "--trust-model", "always", *arguments],
            env=self.environ,
            input=given,
            capture_output=True,
            timeout=120,
            check=True,
        ).stdout

    def put(self, file: Path, text: str, recipient: str = "open@example.org") -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.gpg("--encrypt", "-r", recipient, given=text.encode()))
        return file

    def lock(self) -> None:
        """Have the agent forget every passphrase."""
        self.tool("gpgconf", "--kill", "all")

    def tool(self, *command: str) -> None:
        subprocess.run(command, env=self.environ, capture_output=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def made() -> Iterator[Home]:
    # In a short path: the agent's sockets lie there.
    with tempfile.TemporaryDirectory(prefix="gpg-", dir="/tmp") as name:
        programs = Path(name) / "bin"
        programs.mkdir()
        for program in ("gpg", "gpg-agent", "gpgconf", "gpg-connect-agent"):
            if found := shutil.which(program):
                (programs / program).symlink_to(found)
        home = Home(Path(name), {"HOME": name, "PATH": str(programs), "LC_ALL": "C"})
        (home.path / ".gnupg").mkdir(mode=0o700)
        for who, passphrase in (("open", ""), ("locked", "pass phrase"), ("lost", "")):
            home.gpg(
                "--pinentry-mode", "loopback", "--passphrase", passphrase,
                "--quick-generate-key", f"{who}@example.org", "future-default", "default", "never",
            )  # fmt: skip
        yield home
        home.lock()


@pytest.fixture
def home(made: Home) -> Iterator[Home]:
    """The home without any store."""
    yield made
    for name in (".password-store", ".config", ".local", "stores"):
        shutil.rmtree(made.path / name, ignore_errors=True)


def read(home: Home, path: str = "team/clinvk") -> list[Key]:
    return gopass.read(path, home.environ, LIMIT)


def test_the_usual_places_are_looked_into(home: Home) -> None:
    home.put(home.path / ".password-store/team/clinvk.gpg", f"{FIRST}, {SECOND}\nuser: me\n")
    assert read(home) == [Key.of(FIRST), Key.of(SECOND)]
    home.put(home.path / ".local/share/gopass/stores/root/team/clinvk.gpg", SECOND)
    assert read(home) == [Key.of(SECOND)]


def test_the_stores_of_gopass_are_found_with_their_mounts(home: Home) -> None:
    stores, config = home.path / "stores", home.path / ".config/gopass/config"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"[core]\n\tautosync = false\n[mounts]\n\tpath = {stores}/root\n"
        f'[mounts "team"]\n\tpath = ~/stores/team\n[mounts "team/inner"]\n'
        f"\tpath = gpgcli-gitcli-fs+file://{stores}/inner\n"
    )
    home.put(stores / "root/own/clinvk.gpg", FIRST)
    home.put(stores / "team/clinvk.gpg", SECOND)
    home.put(stores / "inner/clinvk.gpg", "c" * 16)
    assert read(home, "own/clinvk") == [Key.of(FIRST)]
    assert read(home, "team/clinvk") == [Key.of(SECOND)]
    assert read(home, "team/inner/clinvk") == [Key.of("c" * 16)]
    with pytest.raises(ConfigError, match="there is no 'team/none' in the store"):
        read(home, "team/none")


@pytest.mark.parametrize(
    "text",
    [
        "path: {stores}/root\nmounts:\n  team: {stores}/team\n",
        "root:\n  path: {stores}/root\nmounts:\n  team:\n    path: {stores}/team\n",
    ],
)
def test_the_older_configuration_is_read_too(home: Home, text: str) -> None:
    stores, config = home.path / "stores", home.path / ".config/gopass/config.yml"
    config.parent.mkdir(parents=True)
    config.write_text(text.format(stores=stores))
    home.put(stores / "root/own.gpg", FIRST)
    home.put(stores / "team/clinvk.gpg", SECOND)
    assert read(home, "own") == [Key.of(FIRST)]
    assert read(home) == [Key.of(SECOND)]
    config.write_text("path: [")
    with pytest.raises(ConfigError, match=r"the configuration in .* cannot be read"):
        read(home)


def test_a_store_that_is_not_there_is_told(home: Home) -> None:
    with pytest.raises(ConfigError, match="no store in this user's home"):
        read(home)
    (home.path / ".password-store").mkdir()
    with pytest.raises(ConfigError, match="there is no 'team/clinvk' in the store"):
        read(home)


def test_a_link_does_not_lead_out_of_the_store(home: Home) -> None:
    outside = home.put(home.path / "stores/outside.gpg", FIRST)
    (home.path / ".password-store/team").mkdir(parents=True)
    (home.path / ".password-store/team/clinvk.gpg").symlink_to(outside)
    with pytest.raises(ConfigError, match="leads out of the store"):
        read(home)


def test_an_age_store_needs_gopass(home: Home) -> None:
    (home.path / ".password-store/team").mkdir(parents=True)
    (home.path / ".password-store/team/clinvk.age").write_bytes(b"age-encryption.org/v1\n")
    with pytest.raises(ConfigError, match="encrypted with age: install gopass"):
        read(home)


def test_a_locked_key_asks_nobody(home: Home) -> None:
    file = home.path / ".password-store/team/clinvk.gpg"
    home.put(file, FIRST, "locked@example.org")
    home.lock()
    with pytest.raises(ConfigUnavailable, match=r"cannot decrypt .* without asking"):
        read(home)
    # Once its agent knows the passphrase it can be read.
    home.gpg("--pinentry-mode", "loopback", "--passphrase", "pass phrase", "--decrypt", str(file))
    assert read(home) == [Key.of(FIRST)]
    home.lock()


def test_a_file_for_somebody_else_is_told(home: Home) -> None:
    home.put(home.path / ".password-store/team/clinvk.gpg", FIRST, "lost@example.org")
    keys = home.path / ".gnupg" / "private-keys-v1.d"
    aside = home.path / "aside"
    keys.rename(aside)
    keys.mkdir(mode=0o700)
    home.lock()
    try:
        with pytest.raises(ConfigError, match="is not encrypted for a key of this user") as caught:
            read(home)
        assert type(caught.value) is ConfigError
    finally:
        shutil.rmtree(keys)
        aside.rename(keys)
        home.lock()


@pytest.mark.parametrize("damage", ["empty", "cut", "nothing encrypted", "random"])
def test_a_damaged_file_is_told(home: Home, damage: str) -> None:
    file = home.put(home.path / ".password-store/team/clinvk.gpg", FIRST)
    whole = file.read_bytes()
    match damage:
        case "empty":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(whole[: len(whole) // 2])
        case "nothing encrypted":
            home.put(file, "")
        case _:
            file.write_bytes(b"\0" + whole[1:])
    with pytest.raises(ConfigError, match=r"is empty or damaged|without asking"):
        read(home)


def test_without_gpg_it_says_what_is_needed(home: Home) -> None:
    home.put(home.path / ".password-store/team/clinvk.gpg", FIRST)
    environ = {**home.environ, "PATH": str(home.path / "nothing")}
    with pytest.raises(ConfigError, match=r"needs gopass .* or gpg"):
        gopass.read("team/clinvk", environ, LIMIT)


def test_the_library_is_imported_only_by_the_program_that_needs_it() -> None:
    program = "import sys, clinvkd.server, clinvkd.keys.gopass; print('gnupg' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "False\n"
