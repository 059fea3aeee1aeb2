"""Who may ask a service of the machine, and clinvk as the service of a user."""

from __future__ import annotations

from pathlib import Path

import pytest

from .machine import KEYS, SERVICE, SOCKET, UNIX_SOCKET, URL, Machine

pytestmark = pytest.mark.timeout(600)  # the first test of a release may have to make its tree

NO_CONNECTION = 0
OWN_URL = "http://127.0.0.1:8090"


def environment_of(machine: Machine, pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def with_key(key: str) -> tuple[str, str]:
    return "--header", f"Authorization: Bearer {key}"


def test_without_keys_root_its_own_user_and_members_of_its_group_may_ask(service: Machine) -> None:
    service.run("usermod", "--append", "--groups=clinvk", "ada")
    statuses = {
        user: [service.ask("hi", user=user, at=at).status for at in (URL, UNIX_SOCKET)]
        for user in ("root", "clinvk", "ada", "bob")
    }
    assert statuses == {
        "root": [200, 200],
        "clinvk": [200, 200],
        "ada": [403, 200],
        "bob": [403, NO_CONNECTION],
    }
    assert "without API keys" in service.ask("hi", user="bob").body["error"]["message"]


def test_a_key_that_only_root_can_read_lets_everybody_in(service: Machine) -> None:
    output = service.run("clinvk", "keys", "generate", "--name", "everybody")
    key = next(word for word in output.split() if word.startswith("clinvk_"))
    service.run("mv", "/root/.clinvk/api-keys", KEYS)
    assert service.run("stat", "--format=%U %a", KEYS).split() == ["root", "600"]
    service.systemctl("restart", SERVICE)

    assert service.ask("hi", *with_key(key), user="bob").status == 200
    assert service.ask("hi", user="bob").status == 401
    assert service.ask("hi").status == 401  # root, too, once there are keys

    digest = service.container.path(KEYS).read_text().partition("sha256:")[2][:64]
    assert service.agents()
    for pid in {service.daemon(), *service.agents()}:
        environment = environment_of(service, pid)
        assert key.encode() not in environment
        assert digest.encode() not in environment
        assert pid == service.daemon() or b"CREDENTIALS_DIRECTORY" not in environment


def test_a_key_file_that_means_nothing_does_not_open_the_doors(service: Machine) -> None:
    service.container.path(KEYS).write_text("no digest at all\n")
    service.systemctl("restart", SERVICE, check=False)
    assert service.property("ExecMainStatus") == "78"
    assert service.property("SubState") == "failed"


def test_a_user_who_lingers_has_a_service_without_being_logged_in(service: Machine) -> None:
    service.systemctl("stop", SERVICE, SOCKET)  # the same port
    number = service.run("id", "--user", "bob").strip()
    with service.lingering("bob"):
        user = ("systemctl", "--user", "--machine=bob@")
        service.run(*user, "start", "clinvk")
        assert service.ask("hello", user="bob").body["output"] == "hello"
        assert service.ask("hello", user="ada").status == 403
        own = f"/run/user/{number}/clinvk/clinvk.sock"
        assert service.ask("hello", user="bob", at=own).status == 200
        sessions = service.run("loginctl", "list-sessions", "--no-legend").splitlines()
        assert all("manager" in session for session in sessions)  # Debian 13 lists the manager
        assert service.container.path("/home/bob/.clinvk/clinvk.db").exists()
        groups = {
            Path(f"/proc/{pid}/cgroup").read_text().rpartition("/")[2].strip()
            for pid in service.container.processes(SERVICE)
        }
        assert "daemon" in groups
        assert any(group.startswith("agent-") for group in groups)
        service.run(*user, "restart", "clinvk")
        assert service.ask("again", user="bob").status == 200


def test_it_runs_as_any_user_from_the_start_of_the_machine(service: Machine) -> None:
    home = service.container.path("/home/bob")
    (home / ".clinvk").mkdir(mode=0o755, exist_ok=True)
    (home / ".clinvk" / "config.yaml").write_text("server: {port: 8090}\n")
    service.run("chown", "--recursive", "bob:", "/home/bob/.clinvk")
    try:
        service.systemctl("enable", "--now", "clinvk@bob")
        answer = service.ask("[[cwd]]", user="bob", at=OWN_URL, workdir="/home/bob")
        assert (answer.status, answer.body.get("output")) == (200, "/home/bob")
        assert service.ask("hello", user="ada", at=OWN_URL).status == 403
        assert service.property("UnitFileState", "clinvk@bob.service") == "enabled"
    finally:
        service.systemctl("disable", "--now", "clinvk@bob")
    assert service.container.processes("clinvk@bob.service") == set()
