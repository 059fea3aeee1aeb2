"""`clinvk doctor`: each check finds what it is for, and tells what to do."""

from __future__ import annotations

import grp
import http.server
import json
import os
import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clinvkd.doctor import Finding, examine, machine

ONLY_ECHO = "backends: {claude: {enabled: false}, codex: {enabled: false}, \
gemini: {enabled: false}, local: {enabled: false}}\n"


class Person:
    """A home, a folder of programs, and nothing else."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.programs = home / "programs"
        self.programs.mkdir()
        (home / ".clinvk").mkdir(mode=0o700)
        self.configuration = home / ".clinvk" / "config.yaml"
        self.configure("")
        self.environ = {"HOME": str(home), "PATH": str(self.programs), "TMPDIR": str(home)}

    def configure(self, text: str, port: int = 0) -> None:
        self.configuration.write_text(f"{text}server: {{port: {port}}}\n")
        self.configuration.chmod(0o600)

    def program(self, name: str, script: str) -> Path:
        path = self.programs / name
        path.write_text(script)
        path.chmod(0o755)
        return path

    def findings(self, check: str) -> list[Finding]:
        return [f for f in examine(None, self.environ) if f.check == check]

    def finding(self, check: str) -> Finding:
        (found,) = self.findings(check)
        assert bool(found.remedy) == (found.verdict != "ok")
        return found


@pytest.fixture
def person(tmp_path: Path) -> Person:
    tmp_path.chmod(0o755)
    return Person(tmp_path)


def claude(version: str, *, logged_in: bool) -> str:
    answer = "true" if logged_in else "false"
    return (
        f'#!/bin/sh\ncase "$*" in --version) echo "{version} (Claude Code)";;'
        f' "auth status") {answer};; *) exit 99;; esac\n'
    )


def test_a_healthy_home_has_nothing_to_mend(person: Person) -> None:
    person.configure(ONLY_ECHO)
    found = list(examine(None, person.environ))
    assert [f for f in found if f.verdict == "fail"] == []
    assert {"configuration", "clinvk", "path", "limits.files", "limits.processes", "home", "keys",
            "disk.home", "disk.temporary", "backend.echo", "port", "service"} <= {
        f.check for f in found
    }  # fmt: skip


def test_every_problem_of_the_configuration_is_told(person: Person) -> None:
    person.configure("log: {level: loud}\nprot: 1\n")
    details = [f.detail for f in person.findings("configuration")]
    assert len(details) == 2
    assert details[0].startswith("log.level: is 'loud'")
    assert details[1].startswith("prot: unknown key")


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("2.1.330", "ok"), ("2.1.197", "ok"), ("2.1.150", "warn"), ("2.1.100", "fail")],
)
def test_versions_are_judged(person: Person, version: str, verdict: str) -> None:
    path = person.program("claude", claude(version, logged_in=True))
    found = person.finding("backend.claude")
    assert found.verdict == verdict
    assert found.detail.startswith(f"{path} is {version}")
    assert person.finding("backend.claude.login").verdict == "ok"


def test_a_program_that_does_not_answer_is_told(person: Person) -> None:
    person.program("claude", "#!/bin/sh\nexit 1\n")
    assert person.finding("backend.claude").verdict == "fail"
    assert person.finding("backend.claude.login").verdict == "warn"


def test_only_what_was_asked_for_is_missed(person: Person) -> None:
    person.configure("default_backend: codex\n")
    assert person.finding("backend.codex").verdict == "fail"
    missing = person.finding("backend.gemini")
    assert missing.verdict == "warn"
    assert str(person.programs) in missing.detail


def test_a_login_of_gemini_is_found_where_it_looks(person: Person) -> None:
    person.program("gemini", "#!/bin/sh\necho 0.61.0\n")
    assert person.finding("backend.gemini.login").verdict == "warn"
    (person.home / ".gemini").mkdir()
    (person.home / ".gemini" / "settings.json").write_text(
        '{"security": {"auth": {"selectedType": "oauth-personal"}}}'
    )
    assert person.finding("backend.gemini.login").verdict == "ok"
    (person.home / ".gemini" / "settings.json").write_text("[]")
    assert person.finding("backend.gemini.login").verdict == "warn"
    person.environ["GEMINI_API_KEY"] = "key"
    assert person.finding("backend.gemini.login").verdict == "ok"


@pytest.mark.parametrize(("version", "verdict"), [("v22.1.0", "ok"), ("v18.0.0", "fail")])
def test_scripts_need_a_node(person: Person, version: str, verdict: str) -> None:
    assert person.findings("node") == []
    person.program("gemini", "#!/usr/bin/env node\n")
    if not any(
        os.access(f"{place}/node", os.X_OK) for place in ("/usr/local/bin", "/opt/homebrew/bin")
    ):
        assert person.finding("node").verdict == "fail"
    person.program("node", f"#!/bin/sh\necho {version}\n")
    assert person.finding("node").verdict == verdict


def test_folders_that_others_can_change_are_told(person: Person, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    person.environ["PATH"] = f"bin:{shared}:{person.programs}"
    found = person.findings("path")
    assert [f.verdict for f in found] == ["warn", "warn"]
    assert found[0].detail.startswith("'bin' is relative")
    assert found[1].remedy.startswith(f"chmod o-w {shared}")


STRANGER = 4_000_001


def user(name: str, uid: int, gid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh"))


@pytest.mark.parametrize(
    ("mode", "owner", "group", "members", "told"),
    [
        (0o755, "me", "staff", ["ada"], None),
        (0o755, "root", "staff", ["ada"], None),
        (0o755, "ada", "ada", [], "belongs to another user"),
        (0o775, "me", "staff", ["ada", "me"], "can be written by its group (ada, bob)"),
        (0o2775, "root", "empty", [], None),  # Debian's /usr/local/bin
        (0o775, "me", "private", ["me", "root"], None),
        (0o775, "root", "admin", ["ada"], None),  # Homebrew's folders; they have sudo anyway
        (0o775, "root", "unknown", [], None),
    ],
)
def test_who_else_can_change_a_folder_of_programs_is_told(
    person: Person, monkeypatch: pytest.MonkeyPatch,
    mode: int, owner: str, group: str, members: list[str], told: str | None,
) -> None:  # fmt: skip
    people = {"root": 0, "me": os.geteuid() or 1, "ada": STRANGER, "bob": STRANGER + 1}
    groups = {"staff": 50, "empty": 51, "private": 52, "admin": 80, "ada": STRANGER}

    def named(number: int) -> grp.struct_group:
        if group == "unknown":
            raise KeyError(number)
        return grp.struct_group((group, "x", number, members))

    monkeypatch.setattr("os.geteuid", lambda: people["me"])
    monkeypatch.setattr("grp.getgrgid", named)
    monkeypatch.setattr(
        "pwd.getpwall",
        lambda: [user(n, uid, 50 if n == "bob" else uid) for n, uid in people.items()],
    )
    status = os.stat_result((mode, 0, 0, 1, people[owner], groups.get(group, 99), 0, 0, 0, 0))
    found = machine._who_else(status)
    assert (found and told and found[0].startswith(told)) if told else found is None


def test_a_check_that_breaks_does_not_cost_the_report(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: os.stat_result) -> None:
        raise ArithmeticError("no such number")

    monkeypatch.setattr(machine, "_who_else", broken)
    assert person.finding("path").detail == (
        "the check itself failed: ArithmeticError: no such number"
    )
    assert person.findings("port") != []


def test_files_that_others_can_read_or_change_are_told(person: Person) -> None:
    person.configuration.chmod(0o666)
    found = person.finding("configuration.file")
    assert (found.verdict, found.remedy) == ("fail", f"chmod 0644 {person.configuration}")
    key = person.home / ".clinvk" / "client-key"
    key.write_text("clinvk_x\n")
    key.chmod(0o644)
    assert person.finding("client_key").remedy == f"chmod 0600 {key}"


def test_keys_are_read_as_the_daemon_reads_them(person: Person) -> None:
    assert person.finding("keys").detail.startswith("there are none")
    file = person.home / ".clinvk" / "api-keys"
    file.write_text(f"sha256:{'0' * 64} ci\n")
    file.chmod(0o600)
    assert person.finding("keys").detail == f"1 from {file}"
    file.chmod(0o644)
    assert person.finding("keys").verdict == "fail"
    file.unlink()
    person.configuration.write_text("server: {host: 0.0.0.0, port: 0}\n")
    assert "server.host is 0.0.0.0" in person.finding("keys").detail


@contextmanager
def answering(status: str, *, ours: bool = True) -> Iterator[int]:
    """Something that answers /health."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if ours:
                self.send_header("X-Request-Id", self.headers["X-Request-Id"])
            self.end_headers()
            self.wfile.write(status.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answer", "verdict", "says"),
    [
        ('{"status": "ok"}', "ok", "clinvk answers"),
        ('{"status": "degraded"}', "warn", "degraded"),
        ("<html>", "fail", "another program listens"),
    ],
)
def test_who_has_the_port_is_told(person: Person, answer: str, verdict: str, says: str) -> None:
    with answering(answer) as port:
        person.configure("", port)
        found = person.finding("port")
    assert found.verdict == verdict
    assert says in found.detail


def test_a_stranger_that_says_ok_to_everything_is_not_taken_for_clinvk(person: Person) -> None:
    with answering('{"status": "ok"}', ours=False) as port:
        person.configure("", port)
        assert person.finding("port").detail.startswith("another program listens")


def test_a_port_that_nobody_has_is_told(person: Person) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    person.configure("", port)
    assert person.finding("port").detail == f"nobody listens on 127.0.0.1:{port}"


SYSTEMCTL = """#!/bin/sh
[ "$1" = --system ] && exec echo LoadState=not-found
cat <<END
LoadState=loaded
ActiveState={}
SubState=x
Result=watchdog
FragmentPath=/u
END
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
@pytest.mark.parametrize(
    ("active", "verdict"), [("active", "ok"), ("inactive", "warn"), ("failed", "fail")]
)
def test_the_state_of_the_unit_is_told(person: Person, active: str, verdict: str) -> None:
    person.configure(ONLY_ECHO, 8080)
    assert person.finding("service").detail == "there is no systemd here"
    person.program("systemctl", SYSTEMCTL.format(active))
    person.environ["PATH"] += f":{os.defpath}"
    assert person.finding("service.user").verdict == verdict
    assert person.findings("service.linger") != []
    folder = person.home / ".config" / "systemd" / "user" / "clinvk.service.d"
    assert person.findings("service.files") == []
    folder.mkdir(parents=True)
    (folder / "environment.conf").write_text("of another time\n")
    assert person.finding("service.files").remedy == "clinvk service install"
    (folder / "environment.conf").unlink()
    listen = folder.parent / "clinvk.socket.d" / "listen.conf"
    listen.parent.mkdir()
    listen.touch()
    assert str(listen) in person.finding("service.files").detail


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
@pytest.mark.parametrize("server", ["{port: 0}", "{host: my.host}"])
def test_an_address_that_systemd_cannot_have_is_one_finding_of_many(
    person: Person, server: str
) -> None:
    person.program("systemctl", SYSTEMCTL.format("active"))
    person.environ["PATH"] += f":{os.defpath}"
    person.configuration.write_text(f"{ONLY_ECHO}server: {server}\n")
    done = run(person, "--json")
    (found,) = [each for each in json.loads(done.stdout) if each["check"] == "service.files"]
    assert (done.returncode, found["verdict"]) == (1, "fail")
    assert found["detail"].startswith("server.host, server.port: systemd listens for clinvk")
    assert found["remedy"] == "correct it, then clinvk service install"


def run(person: Person, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clinvkd", "doctor", *arguments],
        env=person.environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_prints_lines_or_a_list_and_fails_with_the_worst(person: Person) -> None:
    person.configure(ONLY_ECHO)
    person.environ["CLINVK_API_KEYS"] = "short"  # a warning that must not get into the list
    done = run(person, "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert all(list(each) == ["check", "verdict", "detail", "remedy"] for each in found)
    assert {each["verdict"] for each in found} <= {"ok", "warn"}
    assert "short" not in done.stdout + done.stderr
    person.configure("prot: 1\n")
    done = run(person)
    assert done.returncode == 1
    assert "fail  configuration            prot: unknown key" in done.stdout
    assert "-> correct it" in done.stdout
