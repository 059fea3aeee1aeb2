"""The package from its installation to its purge, and restarts that nobody notices."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .figures import figure
from .machine import SERVICE, SOCKET, Machine, events_of

pytestmark = pytest.mark.timeout(600)  # the first test of a release may have to make its tree

RESTARTS = 10


def test_from_package_to_answer_to_nothing(
    bare: Machine, package: Path, record_property: Callable[[str, object], None]
) -> None:
    before = files_of(bare)
    asked = "curl -s -H 'Content-Type: application/json' -d '{\"prompt\": \"Say hello.\"}'"
    line = (
        f"apt-get install -qq /mnt/{package.name} >/tmp/apt.log 2>&1 && systemctl start clinvk && "
        f"{asked} http://127.0.0.1:8080/api/v1/prompt"
    )
    answer = bare.run("bash", "-c", line)
    figure(record_property, f"in a container made by {bare.container.way}:\n$ {line}\n{answer}")
    assert '"output":"Say hello."' in answer

    findings = bare.run("clinvk", "doctor", "--json", check=False)
    assert '"verdict":"fail"' not in findings.replace(" ", "")

    bare.configure("# mine\n")
    bare.run("apt-get", "remove", "--yes", "clinvk")
    assert bare.container.processes(SERVICE) == set()
    assert bare.property("ActiveState", SOCKET) == "inactive"
    bare.run("apt-get", "install", "--yes", f"/mnt/{package.name}")
    assert bare.container.path("/etc/clinvk/config.yaml").read_text() == "# mine\n"
    bare.systemctl("enable", "--now", SERVICE)
    assert bare.ask("back again").status == 200

    bare.run("apt-get", "purge", "--yes", "clinvk")
    assert bare.container.processes(SERVICE) == set()
    assert bare.run("getent", "passwd", "clinvk", check=False) == ""
    assert bare.run("getent", "group", "clinvk", check=False) == ""
    assert "clinvk" not in bare.systemctl("list-units", "--all", "--no-legend", "*clinvk*")
    assert "clinvk" not in bare.systemctl("list-unit-files", "--no-legend", "*clinvk*", check=False)
    assert files_of(bare) - before == set()


def files_of(machine: Machine) -> set[str]:
    """Everything whose name or folder is clinvk's."""
    found = machine.run("find", "/", "-xdev", "-path", "*clinvk*", check=False)
    return {line for line in found.splitlines() if not line.startswith(("/mnt", "/proc", "/sys"))}


def test_restarts_under_load_lose_no_request(
    service: Machine, record_property: Callable[[str, object], None]
) -> None:
    with service.load() as load:
        for number in range(RESTARTS):
            assert service.ask(f"restart {number}").status == 200
            service.systemctl("reset-failed", SERVICE)  # its limit of starts is not the subject
            service.systemctl("restart", SERVICE)
    figure(record_property, f"{RESTARTS} restarts: {load.right} answers, {len(load.lost)} lost")
    assert load.lost == []
    assert load.right >= RESTARTS
    assert service.property("Result") == "success"


def test_an_upgrade_under_load_loses_no_request(
    service: Machine, newer: Path, record_property: Callable[[str, object], None]
) -> None:
    with service.stream("[[slow 0.05]] [[long 2400]]") as stream:
        with service.load(4) as load:
            before = service.daemon()
            service.run("apt-get", "install", "--yes", f"/mnt/{newer.name}")
            assert service.ask("hello").status == 200
            assert service.daemon() != before
        ends = [event["type"] for event in events_of(stream)[-2:]]
    figure(record_property, f"{load.right} answers meanwhile, {len(load.lost)} lost")
    assert ends == ["error", "complete"]
    assert load.lost == []
    assert service.property("ActiveState", SOCKET) == "active"


@pytest.fixture(scope="session")
def newer(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package once more, as a later version, beside the first."""
    root = tmp_path_factory.mktemp("newer") / "root"
    subprocess.run(["dpkg-deb", "--raw-extract", package, root], check=True, timeout=120)
    control = root / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9:"))
    later = package.with_name("newer.deb")
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", root, later],
        check=True, timeout=120, capture_output=True,
    )  # fmt: skip
    return later
