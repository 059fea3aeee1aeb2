"""The shipped units: systemd understands them, they are tight enough, and nothing in them breaks
agents.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = ["system/clinvk.service", "system/clinvk@.service", "user/clinvk.service"]
SOCKETS = ["system/clinvk.socket", "user/clinvk.socket"]

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def directives(name: str) -> list[tuple[str, str]]:
    return re.findall(r"^([A-Za-z]+)=(.*)$", (UNITS / name).read_text(), re.MULTILINE)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The units with a program that is on this machine."""
    for name in [*SERVICES, *SOCKETS]:
        copy = tmp_path / name
        copy.parent.mkdir(exist_ok=True)
        text = (UNITS / name).read_text()
        assert ("/usr/bin/clinvk serve" in text) == name.endswith(".service")
        copy.write_text(text.replace("/usr/bin/clinvk", sys.executable))
    return tmp_path


def analyze(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@needs_systemd
@pytest.mark.parametrize("name", [*SERVICES, *SOCKETS])
def test_systemd_understands_it(copies: Path, name: str) -> None:
    scope = ["--user"] if name.startswith("user/") else []
    done = analyze(
        *scope, "verify", "--man=no", "--recursive-errors=no", str(copies / name), folder=copies
    )
    complaints = [line for line in done.stderr.splitlines() if "clinvk" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


@needs_systemd
def test_a_mistake_would_be_found(copies: Path) -> None:
    unit = copies / "system" / "clinvk.service"
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSecs"))
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit), folder=copies)
    assert "WatchdogSecs" in done.stderr
    assert done.returncode != 0


@needs_systemd
@pytest.mark.parametrize("name", SERVICES[:2])
def test_it_is_as_tight_as_agents_allow(name: str, tmp_path: Path) -> None:
    done = analyze(
        "security", "--offline=yes", "--threshold=30", str(UNITS / name), folder=tmp_path
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1]


BREAKS = {
    "MemoryDenyWriteExecute": "node",
    "RestrictSUIDSGID": "openat2, and so every sandbox",
    "ProcSubset": "bubblewrap",
    "ProtectKernelTunables": "the /proc of sandboxes",
    "ProtectKernelLogs": "the /proc of sandboxes",
    "ProtectHostname": "the /proc of sandboxes",
    "ProtectControlGroups": "the delegated control group",
    "DynamicUser": "sandboxes: it implies RestrictSUIDSGID",
}


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_in_it_breaks_agents(name: str) -> None:
    found = dict(directives(name))
    assert found.keys().isdisjoint(BREAKS)
    assert found["SystemCallFilter"].startswith("~")
    assert "@mount" not in found["SystemCallFilter"]
    assert {"user", "mnt", "cgroup"} <= set(found["RestrictNamespaces"].split())
    assert "AF_NETLINK" in found["RestrictAddressFamilies"]
    assert (found["Type"], found["NotifyAccess"]) == ("notify", "main")
    assert (found["KillMode"], found["OOMPolicy"]) == ("mixed", "continue")
    assert (found["Delegate"], found["RestartPreventExitStatus"]) == ("yes", "78")
    if "ProtectSystem" in found:
        assert found["PrivateTmp"] == "yes"  # else agents could not write to /tmp


@pytest.mark.parametrize("name", ["user/clinvk.service"])
def test_a_users_manager_gets_what_it_can_do(name: str) -> None:
    found = dict(directives(name))
    never = {"User", "CapabilityBoundingSet", "AmbientCapabilities", "ProtectSystem", "UMask"}
    assert found.keys().isdisjoint(never)


def test_the_units_agree_with_each_other() -> None:
    system = directives("system/clinvk.service")
    environment = " ".join(value for key, value in system if key == "Environment")
    assert "CLINVK_CONFIG=/etc/clinvk/config.yaml" in environment
    assert "CLINVK_HOME=/var/lib/clinvk" in environment
    assert ("LoadCredential", "api-keys:/etc/clinvk/api-keys") in system
    assert ("SetCredential", "api-keys:#absent=/etc/clinvk/api-keys") in system
    for name in SOCKETS:
        values = dict(directives(name))
        assert "127.0.0.1:8080" in [v for k, v in directives(name) if k == "ListenStream"]
        assert values["SocketMode"] == ("0660" if name.startswith("system") else "0600")
        assert values["RemoveOnStop"] == "yes"
    assert ("SocketGroup", "clinvk") in directives("system/clinvk.socket")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed")
def test_the_user_is_made(root: Path) -> None:
    subprocess.run(
        ["systemd-sysusers", f"--root={root}", str(UNITS / "clinvk.sysusers.conf")],
        check=True, timeout=60, capture_output=True,
    )  # fmt: skip
    (line,) = (root / "etc" / "passwd").read_text().splitlines()
    assert line.startswith("clinvk:x:")
    assert line.endswith(":clinvk API server:/var/lib/clinvk:/usr/sbin/nologin")


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd is not installed")
def test_the_folders_are_made(root: Path) -> None:
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    subprocess.run(
        ["systemd-tmpfiles", "--create", f"--root={root}", str(UNITS / "clinvk.tmpfiles.conf")],
        check=True, timeout=60, capture_output=True,
    )  # fmt: skip
    for folder in ("run/clinvk", "etc/clinvk"):
        assert (root / folder).stat().st_mode & 0o777 == 0o755
