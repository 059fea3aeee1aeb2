"""Where keys come from: all sources together, and none that fails in silence."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from clinvkd.config import ServerSettings
from clinvkd.errors import ConfigError
from clinvkd.keys import Key, KeySources, Scopes, new_key
from clinvkd.keys.file import change, read, write_private

SERVER = ServerSettings()


def sources(home: Path, **environ: str) -> KeySources:
    return KeySources({"HOME": str(home), "CLINVK_HOME": str(home / ".clinvk"), **environ})


def names(home: Path, **environ: str) -> dict[str, list[str]]:
    found = sources(home, **environ).load(SERVER)
    return {name: [key.name for key in keys] for name, keys in found.items()}


def put(path: Path, *keys: Key) -> Path:
    write_private(path, "".join(key.line() + "\n" for key in keys))
    return path


def test_without_any_source_there_are_no_keys(tmp_path: Path) -> None:
    assert names(tmp_path) == {}
    assert names(tmp_path, CLINVK_API_KEYS="", CREDENTIALS_DIRECTORY=str(tmp_path)) == {}


def test_all_sources_count_together(tmp_path: Path) -> None:
    put(tmp_path / ".clinvk" / "api-keys", Key.of(new_key(), "file"))
    put(tmp_path / "credentials" / "api-keys", Key.of(new_key(), "credential"))
    found = names(
        tmp_path,
        CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"),
        CLINVK_API_KEYS=f" {'a' * 20} ,, {'b' * 20},",
        CLINVK_API_KEY="c" * 20,
    )
    assert found == {
        "systemd credential": ["credential"],
        "CLINVK_API_KEYS": [Key.of("a" * 20).name, Key.of("b" * 20).name],
        "CLINVK_API_KEY": [Key.of("c" * 20).name],
        str(tmp_path / ".clinvk" / "api-keys"): ["file"],
    }


def test_variables_leave_the_environment_and_stay_in_force(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "CLINVK_API_KEYS": "a" * 20, "CLINVK_API_KEY": "b" * 20}
    loaded = KeySources(environ)
    assert environ == {"HOME": str(tmp_path)}
    assert loaded.load(SERVER) == loaded.load(SERVER) != {}


def test_a_source_that_fails_later_keeps_its_keys_and_no_others(tmp_path: Path) -> None:
    first = put(tmp_path / ".clinvk" / "api-keys", Key.of(new_key(), "first"))
    second = put(tmp_path / "api-keys", Key.of(new_key(), "second"))
    loaded = sources(tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path))
    before = loaded.load(SERVER)
    first.chmod(0o644)
    put(second, Key.of(new_key(), "third"))
    found, problems = loaded.load_again(SERVER)
    assert found[str(first)] == before[str(first)]
    assert [key.name for key in found["systemd credential"]] == ["third"]
    assert len(problems) == 1
    assert "mode 0600" in problems[0]
    assert loaded.load_again(SERVER) == (found, problems)
    first.unlink()
    second.unlink()
    assert loaded.load_again(SERVER) == ({}, [])


@pytest.mark.parametrize("text", [",", " ", " , ,"])
def test_a_variable_that_holds_no_key_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="CLINVK_API_KEYS: is set, but holds no key"):
        sources(tmp_path, CLINVK_API_KEYS=text)


@pytest.mark.parametrize("text", ["two words", "über", "a\tb", "x" * 257])
def test_what_no_header_could_carry_is_no_key(tmp_path: Path, text: str) -> None:
    for name in ("CLINVK_API_KEYS", "CLINVK_API_KEY"):
        with pytest.raises(ConfigError, match=f"{name}: key 1 is not") as caught:
            sources(tmp_path, **{name: text})
        assert text not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o777])
def test_a_key_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = put(tmp_path / ".clinvk" / "api-keys", Key.of(new_key()))
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode 0600 .*, not {mode:04o}"):
        names(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / ".clinvk" / "api-keys", Key.of(new_key()))
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigError, match="must belong to the user"):
        names(tmp_path)


@pytest.mark.parametrize("source", ["CLINVK_HOME", "CREDENTIALS_DIRECTORY"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, source: str) -> None:
    path = tmp_path / "api-keys"
    environ = {source: str(tmp_path)}
    write_private(path, "my-secret-key ci\n")
    with pytest.raises(ConfigError, match="api-keys: line 1: is not 'sha256:'") as caught:
        names(tmp_path / "home", **environ)
    assert "my-secret-key" not in str(caught.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        names(tmp_path / "home", **environ)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        names(tmp_path / "home", **environ)


def test_a_credential_has_the_permissions_of_the_service_manager(tmp_path: Path) -> None:
    put(tmp_path / "api-keys", Key.of(new_key(), "ci")).chmod(0o440)
    assert names(tmp_path / "home", CREDENTIALS_DIRECTORY=str(tmp_path)) == {
        "systemd credential": ["ci"]
    }


def test_a_source_without_keys_is_told(tmp_path: Path) -> None:
    write_private(tmp_path / ".clinvk" / "api-keys", "# all revoked\n")
    assert names(tmp_path) == {str(tmp_path / ".clinvk" / "api-keys"): []}


def test_the_file_is_private_and_changed_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "api-keys"
    key = Key("ci", Key.of("k").digest, Scopes.parse(["rpm=5", f"workdirs={tmp_path}"]))
    change(path, lambda before: [*before, key])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert read(path) == [key]

    def fail(before: list[Key]) -> list[Key]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        change(path, fail)
    assert read(path) == [key]
    assert list(path.parent.iterdir()) == [path]


def test_two_that_change_the_file_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "api-keys"

    def add(index: int) -> None:
        change(path, lambda before: [*before, Key.of(new_key(), f"key{index}")])

    threads = [threading.Thread(target=add, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in read(path)} == {f"key{index}" for index in range(8)}


def test_a_credential_may_say_that_there_is_no_file(tmp_path: Path) -> None:
    """Our unit has systemd pass this when it finds none."""
    missing = tmp_path / "etc" / "api-keys"
    credential = tmp_path / "credentials" / "api-keys"
    write_private(credential, f"#absent={missing}")
    environ = {"CREDENTIALS_DIRECTORY": str(credential.parent)}
    assert names(tmp_path, **environ) == {}
    put(missing, Key.of(new_key(), "late"))
    with pytest.raises(ConfigError, match="restart the service"):
        names(tmp_path, **environ)
    write_private(credential, f"#absent={missing}/below")
    with pytest.raises(ConfigError, match="cannot be looked for"):
        names(tmp_path, **environ)
    write_private(credential, "# only a comment\n")
    assert names(tmp_path, **environ) == {"systemd credential": []}
