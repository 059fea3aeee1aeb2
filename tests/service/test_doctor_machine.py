"""`clinvk doctor --system`: the service of the machine, as its own user sees it."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .manager import short_folder
from .test_doctor import ONLY_ECHO, Person, run

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has launchd")

OF_MACHINE = """#!/bin/sh
[ "$1" = --system ] || exec echo LoadState=not-found
cat <<END
LoadState=loaded
ActiveState=failed
SubState=failed
Result=exit-code
FragmentPath=/u
Environment=PATH={path} "NOTE=a b"
END
"""
AS_NOBODY = """
import sys
from pathlib import Path
from clinvkd.cli import main
from clinvkd.service import system
etc = Path(sys.argv.pop(1))
system.ACCOUNT, system.HOME = "nobody", etc / "home"
system.CONFIG, system.KEYS, system.VARIABLES = etc / "config", etc / "keys", etc / "variables"
main(prog_name="clinvk")
"""


class Machine(Person):
    """A machine with a service of its own, whose user is nobody."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        home.chmod(0o755)
        self.etc = home / "etc"
        self.etc.mkdir()
        (self.etc / "config").write_text(f"{ONLY_ECHO}server: {{port: 1}}\n")
        self.program("systemctl", OF_MACHINE.format(path=self.programs))
        self.environ["PATH"] = f"{self.programs}:{os.defpath}"

    def examined(self, *arguments: str) -> dict[str, dict[str, str]]:
        """Findings by their check."""
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, self.etc, "doctor", "--json", *arguments],
            env=self.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
        return {each["check"]: each for each in json.loads(done.stdout)}


@pytest.fixture
def service_of_machine() -> Iterator[Machine]:
    with short_folder() as folder:  # its user can look there
        yield Machine(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may examine it")
def test_root_examines_the_service_of_the_machine_as_its_user(service_of_machine: Machine) -> None:
    machine, etc = service_of_machine, service_of_machine.etc
    found = machine.examined()  # without the option
    assert found["scope"]["detail"] == "the service of the machine, as its user nobody"
    assert found["configuration"]["verdict"] == "ok"
    assert str(etc / "config") in found["configuration"]["detail"]
    assert found["home"]["detail"] == f"systemd makes {etc / 'home'} at the first start"
    assert found["path"]["detail"].startswith("1 folders")
    assert "clinvk service logs --system" in found["service.system"]["remedy"]
    assert "doctor" not in found["service.system"]["remedy"]

    machine.environ["CLINVK_HOME"] = str(machine.home / ".clinvk")
    found = machine.examined()
    assert "scope" not in found
    assert found["service.system"]["remedy"].startswith("sudo clinvk doctor --system")
    assert "scope" in machine.examined("--system")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may examine it")
def test_what_ails_the_service_of_the_machine_is_found(service_of_machine: Machine) -> None:
    machine, etc = service_of_machine, service_of_machine.etc
    (etc / "keys").write_text(f"sha256:{'0' * 64} ci\n")
    (etc / "keys").chmod(0o600)  # root's own
    (etc / "variables").write_text('# comment\nCLINVK_SERVER__PORT="0"\n')
    found = machine.examined("--system")
    assert found["keys"]["detail"] == f"1 from {etc / 'keys'}"
    assert "server.port is 0" in found["port"]["detail"]

    (etc / "keys").write_text("garbage\n")
    (etc / "config").write_text("prot: 1\n")
    (etc / "home").mkdir(mode=0o700)
    os.chown(etc / "home", 4_000_001, 4_000_001)
    found = machine.examined("--system")
    assert found["keys"]["verdict"] == found["configuration"]["verdict"] == "fail"
    assert found["configuration"]["detail"].startswith("prot: unknown key")
    assert "cannot be written by this user" in found["home"]["detail"]

    (etc / "config").write_text("{}\n")
    (etc / "config").chmod(0o600)
    found = machine.examined("--system")
    assert found["configuration"]["detail"].endswith("cannot be read: Permission denied")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_programs_in_its_home_do_not_run_as_root(service_of_machine: Machine) -> None:
    machine, etc = service_of_machine, service_of_machine.etc
    (etc / "config").write_text("server: {port: 1}\n")
    programs = etc / "home" / ".local" / "bin"
    programs.mkdir(parents=True)
    script = programs / "claude"
    script.write_text(f"#!/bin/sh\n/usr/bin/id -u > {etc}/ran\n")
    script.chmod(0o755)
    (etc / "ran").touch()
    (etc / "ran").chmod(0o666)
    assert str(script) in machine.examined("--system")["backend.claude"]["detail"]
    assert int((etc / "ran").read_text()) == pwd.getpwnam("nobody").pw_uid


@pytest.mark.skipif(os.geteuid() == 0, reason="root may examine it")
def test_others_may_not_examine_the_service_of_the_machine(tmp_path: Path) -> None:
    done = run(Person(tmp_path), "--system")
    assert done.returncode == 77
    assert "sudo" in done.stderr
