"""`clinvk service`: what it prints, what it writes, what it asks the service manager for."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clinvkd.config import Settings
from clinvkd.errors import ConfigError
from clinvkd.pool.locate import Found
from clinvkd.service.installation import Command, Installation, Manager, own_program, render
from clinvkd.service.launchd import Launchd
from clinvkd.service.systemd import Systemd, quoted

from .test_units import analyze

GOLDEN = Path(__file__).parent / "golden"
OFF = {name: {"enabled": False} for name in ("claude", "codex", "gemini", "local")}


def installation(
    *, system: bool = False, program: str = "/opt/homebrew/bin/clinvk",
    server: dict[str, Any] | None = None, path: str = "/usr/bin:/bin", **more: str,
) -> Installation:  # fmt: skip
    """That of the user ada, on a machine without agents."""
    return Installation(
        program=(program,),
        home=Path("/var/lib/clinvk" if system else "/home/ada"),
        user=501,
        settings=Settings.model_validate({"backends": OFF, "server": server or {}}),
        environ={"PATH": path, "HOME": "/home/ada", **more},
        system=system,
    )


MANAGERS: dict[str, Manager] = {
    "systemd-user": Systemd(installation()),
    "systemd-system": Systemd(installation(system=True)),
    "systemd-user-elsewhere": Systemd(
        installation(
            server={"port": 9000, "unix_socket": "/run/user/501/c.sock"},
            program="/home/ada/my programs/clinvk",
            CLINVK_HOME="/home/ada/100%",
        )
    ),
    "launchd": Launchd(installation()),
}


@pytest.mark.parametrize("name", MANAGERS)
def test_a_dry_run_prints_all_files_whole(name: str) -> None:
    manager = MANAGERS[name]
    printed = render(manager.folders(), manager.files(), manager.enable(changed=True))
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("CLINVK_TEST_WRITE_GOLDEN"):
        golden.write_text(printed)
    assert printed == golden.read_text()


def test_a_package_brings_the_units_itself(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "clinvk.service").touch()
    packaged = Systemd(installation(program="/usr/bin/clinvk"), tmp_path)
    assert [file.path.name for file in packaged.files()] == ["environment.conf"]
    other = Systemd(installation(), tmp_path)
    assert "clinvk.service" in [file.path.name for file in other.files()]


@pytest.mark.parametrize("server", [{"port": 0}, {"host": "my.host"}])
def test_an_address_that_systemd_cannot_listen_on_is_refused(server: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"server\.host, server\.port"):
        Systemd(installation(server=server)).files()


def listen(*, system: bool = False, **server: Any) -> str | None:
    """The drop-in of the socket for these settings."""
    files = Systemd(installation(system=system, server=server)).files()
    return next((file.text for file in files if file.path.name == "listen.conf"), None)


@pytest.mark.parametrize("system", [False, True])
def test_a_mode_of_the_unix_socket_that_was_set_is_written_down(system: bool) -> None:
    path = "/run/c.sock"
    unset = listen(system=system, unix_socket=path)
    assert unset is not None
    assert "SocketMode" not in unset  # the unit has one, and its group may come in by it
    for mode in ("0600", "0660"):
        for where in ({}, {"unix_socket": path}):
            written = listen(system=system, unix_socket_mode=mode, **where)
            assert written is not None
            assert f"SocketMode={mode}\n" in written
    assert listen(system=system) is None


@pytest.mark.parametrize("server", [{"port": 9000}, {"port": 0}, {"host": "my.host"}])
def test_what_can_be_removed_does_not_depend_on_the_settings(server: dict[str, Any]) -> None:
    for system in (False, True):
        manager = Systemd(installation(system=system))
        other = Systemd(installation(system=system, server=server))
        assert other.removable() == manager.removable()
        every = {file.path for file in manager.files() if not file.kept} | set(manager.unwanted())
        assert set(manager.removable()) == every


def test_units_beside_a_package_are_somebodys_own(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "clinvk.service").touch()
    packaged = Systemd(installation(program="/usr/bin/clinvk"), tmp_path)
    assert {path.name for path in packaged.removable()} == {"environment.conf", "listen.conf"}


def test_a_service_of_the_machine_reaches_nothing_in_homes(tmp_path: Path) -> None:
    good, linked = tmp_path / "good", tmp_path / "linked"
    linked.symlink_to("/home/ada/programs")
    python = Path(sys.executable).resolve().is_relative_to("/root")  # that of this test
    for program, hidden in (
        ("/home/ada/clinvk", True), ("/root/clinvk", True), (f"{linked}/clinvk", True),
        (f"{good}/clinvk", False), ("/homestead/clinvk", False),
    ):  # fmt: skip
        obstacle = installation(system=True, program=program).obstacle()
        assert (obstacle == program) == hidden
        assert bool(obstacle) == (hidden or python)
        assert installation(program=program).obstacle() is None


def test_the_recorded_path_has_only_folders_that_nobody_else_can_change(tmp_path: Path) -> None:
    agents, shared, good = (tmp_path / name for name in ("agents", "shared", "good"))
    for folder in (agents, shared, good):
        folder.mkdir()
    shared.chmod(0o777)
    script = agents / "claude"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    path = f"relative:{good}:{shared}:{tmp_path}/missing:{good}:{agents}:"
    plain = installation(path=path)
    settings = Settings.model_validate({"backends": {**OFF, "claude": {"enabled": True}}})
    found = Installation(
        program=plain.program, home=tmp_path, user=501, settings=settings, environ=plain.environ
    )
    assert found.variables() == {"PATH": f"{agents}:{good}"}
    assert found.within_reach().keys() == {"claude", "echo"}
    agents.chmod(0o777)
    assert isinstance(found.programs()["claude"], Found)
    assert found.within_reach().keys() == {"echo"}


def test_for_the_machine_nothing_of_somebodys_home_is_recorded() -> None:
    found = installation(system=True, path="/root/bin:/usr/bin", CLINVK_HOME="/x").variables()
    assert found == {"PATH": "/usr/bin"}


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/usr/bin/clinvk", "/usr/bin/clinvk"),
        ("/my programs/x", '"/my programs/x"'),
        ("/a%b/$c", "/a%%b/$$c"),
        ('/a"b\\c', '"/a\\"b\\\\c"'),
    ],
)
def test_words_mean_themselves_in_a_unit(word: str, written: str) -> None:
    assert quoted(word) == written


def test_the_path_of_the_program_has_no_variables(tmp_path: Path) -> None:
    program = tmp_path / "a $x 100%" / "clinvk"
    program.parent.mkdir()
    shutil.copy("/bin/true", program)
    (unit,) = [
        file
        for file in Systemd(installation(program=str(program))).files()
        if file.path.name == "clinvk.service"
    ]
    assert f'\nExecStart="{tmp_path}/a $x 100%%/clinvk" serve\n' in unit.text
    if shutil.which("systemd-analyze"):
        (tmp_path / "clinvk.service").write_text(unit.text)
        done = analyze(
            "--user", "verify", "--man=no", "--recursive-errors=no",
            str(tmp_path / "clinvk.service"), folder=tmp_path,
        )  # fmt: skip
        assert [line for line in done.stderr.splitlines() if "clinvk" in line] == []


def test_printed_commands_are_those_of_a_shell() -> None:
    printed = render((), (), [Command(("rm", "/my home/x"))])
    assert printed.endswith("rm '/my home/x'\n")


def test_the_program_is_the_one_that_was_called(tmp_path: Path) -> None:
    program = tmp_path / "clinvk"
    assert own_program(str(program)) == (sys.executable, "-P", "-m", "clinvkd")
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert own_program(str(program)) == (str(program),)


# The command, with a service manager that only writes down what it is asked.

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$HOME/asked"
case "$*" in *"$(cat "$HOME/fails" 2>/dev/null || echo nothing)"*) exit 5;; esac
"""


class Health(http.server.BaseHTTPRequestHandler):
    """A daemon that is ready."""

    def do_GET(self) -> None:
        body = json.dumps({"status": "ok"}).encode()
        self.send_response(200)
        self.send_header("X-Request-Id", self.headers["X-Request-Id"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class Machine:
    """A home with a service manager on its path."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.units = home / ".config" / "systemd" / "user"
        programs = home / "programs"
        programs.mkdir()
        for name in ("systemctl", "journalctl"):
            (programs / name).write_text(SYSTEMCTL)
            (programs / name).chmod(0o755)
        (home / ".clinvk").mkdir()
        self.configure(f"server: {{port: {port}}}\n")
        self.environ = {"HOME": str(home), "PATH": f"{programs}:{os.defpath}"}

    def configure(self, text: str) -> None:
        (self.home / ".clinvk" / "config.yaml").write_text(text)

    def clinvk(
        self, *arguments: str, run: tuple[str, ...] = ("-m", "clinvkd")
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *run, "service", *arguments],
            env=self.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def asked(self) -> list[str]:
        """What the service manager was asked since the last time."""
        file = self.home / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines


BOTH = "clinvk.socket clinvk.service"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
def test_installing_twice_changes_nothing_and_uninstalling_leaves_nothing(
    tmp_path: Path, port: int
) -> None:
    machine = Machine(tmp_path, port)
    done = machine.clinvk("install", "--dry-run")
    assert (done.returncode, done.stderr, machine.asked()) == (0, "", [])
    assert not machine.units.exists()
    assert f"\nExecStart={sys.executable} -P -m clinvkd serve\n" in done.stdout

    done = machine.clinvk("install")
    assert (done.returncode, done.stderr) == (0, "")
    assert "claude     not found" in done.stdout
    assert "It runs" in done.stdout
    assert machine.asked() == [
        "--user daemon-reload",
        f"--user enable {BOTH}",
        "--user stop clinvk.service clinvk.socket",
        f"--user start {BOTH}",
    ]
    files = {str(file.relative_to(machine.units)) for file in machine.units.rglob("*.*")}
    assert files == {
        "clinvk.service", "clinvk.socket", "clinvk.service.d", "clinvk.socket.d",
        "clinvk.service.d/environment.conf", "clinvk.socket.d/listen.conf",
    }  # fmt: skip
    listen = (machine.units / "clinvk.socket.d" / "listen.conf").read_text()
    assert f"ListenStream=\nListenStream=127.0.0.1:{port}\n" in listen

    done = machine.clinvk("install")
    assert "wrote" not in done.stdout
    assert "--user stop clinvk.service clinvk.socket" not in machine.asked()

    done = machine.clinvk("uninstall")
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.asked() == [
        f"--user disable --now {BOTH}", "--user daemon-reload", "--user reset-failed clinvk.service"
    ]  # fmt: skip
    assert list(machine.units.iterdir()) == []
    assert (tmp_path / ".clinvk" / "config.yaml").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
def test_verbs_go_to_the_service_manager_and_its_failures_come_back(
    tmp_path: Path, port: int
) -> None:
    machine = Machine(tmp_path, port)
    for arguments, asked in (
        (("start",), f"--user start {BOTH}"),
        (("stop",), "--user stop clinvk.service clinvk.socket"),
        (("restart",), "--user restart clinvk.service"),
        (("status",), "--user status --no-pager clinvk.service clinvk.socket"),
        (("logs", "-n", "5"), "--user-unit=clinvk.service --lines=5 --no-pager"),
        (("logs", "-f"), "--user-unit=clinvk.service --lines=100 --follow"),
    ):
        assert machine.clinvk(*arguments).returncode == 0
        assert machine.asked() == [asked]
    (tmp_path / "fails").write_text("start clinvk")
    done = machine.clinvk("install")
    assert done.returncode == 5
    assert "clinvk service logs" in done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
def test_an_address_of_another_time_does_not_stay(tmp_path: Path, port: int) -> None:
    machine = Machine(tmp_path, port)
    assert machine.clinvk("install").returncode == 0
    listen = machine.units / "clinvk.socket.d" / "listen.conf"
    assert listen.exists()
    machine.configure("server: {}\n")
    assert f"rm {listen}\n" in machine.clinvk("install", "--dry-run").stdout
    machine.asked()
    (tmp_path / "fails").write_text("start clinvk")  # nothing answers at the default port
    assert f"removed {listen}\n" in machine.clinvk("install").stdout
    assert not listen.parent.exists()
    assert "--user stop clinvk.service clinvk.socket" in machine.asked()

    listen.parent.mkdir()
    listen.touch()
    (listen.parent / "own.conf").touch()
    assert machine.clinvk("uninstall").returncode == 0
    assert [file.name for file in listen.parent.iterdir()] == ["own.conf"]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
@pytest.mark.parametrize("text", ["prot: 1\n", "server: {port: 0}\n", "server: {host: my.host}\n"])
def test_a_wrong_configuration_keeps_nobody_from_the_service(
    tmp_path: Path, port: int, text: str
) -> None:
    machine = Machine(tmp_path, port)
    assert machine.clinvk("install").returncode == 0
    machine.configure(text)
    machine.asked()
    assert machine.clinvk("install").returncode == 78
    assert machine.asked() == []
    for verb in ("start", "stop", "restart", "status", "logs", "uninstall"):
        done = machine.clinvk(verb)
        assert (done.returncode, done.stderr) == (0, "")
        assert machine.asked() != []
    assert list(machine.units.iterdir()) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
def test_a_stranger_at_the_port_is_not_taken_for_clinvk(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Health, "do_GET", lambda self: http.server.BaseHTTPRequestHandler.send_error(self, 404)
    )
    done = Machine(tmp_path, port).clinvk("install")
    assert done.returncode == 69
    assert f"another program answers on 127.0.0.1:{port}" in done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
def test_a_clinvk_in_a_home_is_no_service_of_the_machine(tmp_path: Path, port: int) -> None:
    machine = Machine(tmp_path, port)
    code = (
        "import clinvkd.service.installation as i, clinvkd.cli; i._HOMES = ('/',);"
        "clinvkd.cli.main(prog_name='clinvk')"
    )
    for options, printed in ((), False), (("--dry-run",), True):
        done = machine.clinvk("install", "--system", *options, run=("-c", code))
        assert done.returncode == 2
        assert "cannot look into homes" in done.stderr
        assert ("==> commands" in done.stdout) == printed
    assert machine.asked() == []


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
def test_an_agent_that_only_this_shell_finds_is_told(tmp_path: Path, port: int) -> None:
    machine = Machine(tmp_path, port)
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "codex").write_text("#!/bin/sh\n")
    (shared / "codex").chmod(0o755)
    shared.chmod(0o777)
    machine.environ["PATH"] += f":{shared}"
    done = machine.clinvk("install")
    assert f"codex      {shared}/codex: found, but not for the service\n" in done.stdout
    assert "no folder that everybody can change" in done.stdout


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")
def test_another_machines_files_can_only_be_printed(tmp_path: Path, port: int) -> None:
    machine = Machine(tmp_path, port)
    done = machine.clinvk("install", "--platform", "launchd", "--dry-run")
    assert done.returncode == 0
    assert f"==> {tmp_path}/Library/LaunchAgents/com.clinvk.server.plist" in done.stdout
    assert f"<string>{port}</string>" in done.stdout
    for arguments in (("--platform", "launchd"), ("--platform", "launchd", "--system")):
        done = machine.clinvk("install", *arguments)
        assert done.returncode == 2
    assert not (tmp_path / "Library").exists()
