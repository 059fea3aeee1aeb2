"""`clinvk keys`: what it prints, and what it leaves in the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clinvkd.cli import EX_CONFIG, main
from clinvkd.keys import KeyRing, Scopes
from clinvkd.keys.file import read


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", *arguments])


def made(*arguments: str) -> str:
    """Make a key; what it is."""
    done = keys("generate", *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout.removesuffix("\n")


def test_a_key_is_printed_once_and_kept_as_a_digest(clinvk_home: Path) -> None:
    text = made("--name", "ci")
    file = clinvk_home / "api-keys"
    assert file.stat().st_mode & 0o777 == 0o600
    assert text not in file.read_text()
    key = KeyRing(read(file)).caller_of(text.encode())
    assert key is not None
    assert (key.name, key.scopes) == ("ci", Scopes())
    assert not (clinvk_home / "client-key").exists()
    assert text not in keys("list").output


def test_options_become_scopes(clinvk_home: Path, tmp_path: Path) -> None:
    made(
        "--backends", "echo,claude", "--models", "claude-*", "--approval-modes", "auto",
        "--sandbox-modes", "read-only,workspace", "--workdir", str(tmp_path), "--no-dangerous",
        "--every-session", "--rpm", "60", "--turns", "2", "--tokens-per-day", "1000",
    )  # fmt: skip
    (key,) = read(clinvk_home / "api-keys")
    words = (
        "backends=claude,echo models=claude-* approval_modes=auto"
        f" sandbox_modes=read-only,workspace workdirs={tmp_path.resolve()} dangerous=no"
        " every_session=yes rpm=60 turns=2 tokens_per_day=1000"
    )
    assert key.scopes == Scopes.parse(words.split())
    listed = keys("list").stdout
    assert listed == f"default  sha256:{key.digest.hex()[:8]}  {words}\n"


def test_a_name_is_given_once(clinvk_home: Path) -> None:
    made("--name", "a")
    done = keys("generate", "--name", "a")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "there is a key 'a'" in done.stderr
    made("--name", "b")
    assert [key.name for key in read(clinvk_home / "api-keys")] == ["a", "b"]


def test_a_key_can_be_left_for_programs_of_this_user(clinvk_home: Path) -> None:
    text = made("--save")
    file = clinvk_home / "client-key"
    assert file.read_text() == f"{text}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    made("--name", "other")
    assert keys("revoke", "other").exit_code == 0
    assert file.exists()
    assert keys("revoke", "default").exit_code == 0
    assert not file.exists()


def test_a_revoked_key_is_gone(clinvk_home: Path) -> None:
    first, second = made("--name", "a"), made("--name", "b")
    assert keys("revoke", "a").exit_code == 0
    ring = KeyRing(read(clinvk_home / "api-keys"))
    assert ring.caller_of(first.encode()) is None
    assert ring.caller_of(second.encode()) is not None
    done = keys("revoke", "a")
    assert done.exit_code == 1
    assert "there is no key 'a'; there are: b" in done.stderr
    assert "no limits" in keys("list").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--name", "a b"), "is no name of a key"),
        (("--approval-modes", "sometimes"), "some of default, auto, none, always"),
        (("--rpm", "0"), "0 is not in the range"),
        (("--backends", "a,,b"), "names with commas between them"),
        (("--workdir", "/nothing/here"), "does not exist"),
    ],
)
def test_a_wrong_option_makes_no_key(
    clinvk_home: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = keys("generate", *arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert not (clinvk_home / "api-keys").exists()


def test_without_keys_the_list_says_so(clinvk_home: Path) -> None:
    done = keys("list")
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"no keys in {clinvk_home / 'api-keys'}" in done.stderr


@pytest.mark.parametrize("command", [("list",), ("generate",), ("revoke", "a")])
def test_a_file_that_others_can_read_is_not_used(
    clinvk_home: Path, command: tuple[str, ...]
) -> None:
    made("--name", "a")
    (clinvk_home / "api-keys").chmod(0o644)
    done = keys(*command)
    assert done.exit_code == EX_CONFIG
    assert "mode 0600" in done.stderr
    assert done.stdout == ""
