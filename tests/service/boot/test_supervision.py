"""What systemd does for the service: starts it by its socket, watches it, restarts it, stops it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

import pytest

from .figures import figure
from .machine import SERVICE, SOCKET, Machine, events_of
from .watch import watching

pytestmark = pytest.mark.timeout(600)  # the first test of a release may have to make its tree

RESTARTS = 5

SLOW = "[[slow 0.05]] [[long 1200]]"
"""A prompt whose answer takes a minute."""


def test_it_is_ready_soon(service: Machine, record_property: Callable[[str, object], None]) -> None:
    cold = service.startup()
    whole, ready = [], []
    for _ in range(RESTARTS):
        service.systemctl("reset-failed", SERVICE)  # else it were started too often
        began = time.monotonic()
        service.systemctl("restart", SERVICE)
        whole.append(time.monotonic() - began)
        ready.append(service.startup())
    figure(
        record_property,
        f"exec to READY {cold:.2f} s; of {RESTARTS} `systemctl restart clinvk` the median is"
        f" {median(whole):.2f} s, of which exec to READY {median(ready):.2f} s",
    )
    assert service.property("StatusText") == (
        "Listening on 127.0.0.1:8080 and unix:/run/clinvk/clinvk.sock; default backend: echo."
    )
    assert service.property("Result") == "success"
    assert "Traceback" not in service.journal()


def test_the_first_connection_starts_it(service: Machine) -> None:
    service.systemctl("stop", SERVICE)
    assert service.property("ActiveState") == "inactive"
    assert service.property("ActiveState", SOCKET) == "active"
    answer = service.ask("good morning")
    assert (answer.status, answer.body["output"]) == (200, "good morning")
    assert service.property("ActiveState") == "active"


def test_a_reload_keeps_streams_and_brings_the_new_configuration(service: Machine) -> None:
    daemon = service.daemon()
    with service.stream("[[slow 0.05]] [[long 60]]") as stream:
        service.configure(
            "default_backend: echo\nserver: {shutdown_grace_secs: 2}\nlog: {level: debug}\n"
        )
        service.systemctl("reload", SERVICE)
        service.wait_for_log("configuration reloaded")
        service.wait_for("ActiveState", "active")  # until then it is `reloading`
        events = events_of(stream)
    assert events[-1]["type"] == "complete"
    text = "".join(event["content"]["text"] for event in events if event["type"] == "message")
    assert text.split()[-1] == "word60"
    assert service.daemon() == daemon


def test_a_wrong_configuration_does_not_survive_a_start_but_a_reload(service: Machine) -> None:
    service.configure("server: {port: ninety}\n")
    service.systemctl("reload", SERVICE)
    service.wait_for_log("configuration not reloaded")
    assert service.ask("still there").status == 200

    service.systemctl("restart", SERVICE, check=False)
    assert service.property("ExecMainStatus") == "78"
    # While another start is due, this is `auto-restart` or `failed-before-auto-restart`.
    assert service.property("SubState") == "failed"
    assert service.property("NRestarts") == "0"
    assert "server.port" in service.journal()


def test_callers_cannot_make_it_start_for_ever_with_a_wrong_configuration(service: Machine) -> None:
    service.configure("server: {port: ninety}\n")
    service.systemctl("stop", SERVICE)
    assert service.ask("hello").status == 0
    service.wait_for("Result", "service-start-limit-hit", SOCKET)
    assert service.property("ActiveState") == "failed"
    service.configure("")
    service.systemctl("reset-failed", SERVICE, SOCKET)
    service.systemctl("start", SERVICE)
    assert service.ask("hello").status == 200


def test_a_frozen_loop_is_killed_and_the_service_comes_back(service: Machine) -> None:
    with service.drop_in("WatchdogSec=8"):
        service.systemctl("restart", SERVICE)
        service.ask("warm up")
        frozen, agents = service.daemon(), service.agents()
        assert agents
        with watching({frozen, *agents}) as watch:
            os.kill(frozen, signal.SIGSTOP)
            answer = service.ask("anybody there?")  # waits at the socket for the next daemon
            watch.all()
        assert (answer.status, answer.body["output"]) == (200, "anybody there?")
        assert "Watchdog timeout" in service.journal()
        assert service.property("NRestarts") == "1"


def test_a_killed_daemon_leaves_no_agent_and_comes_back(service: Machine) -> None:
    with service.stream(SLOW):
        daemon, agents = service.daemon(), service.agents()
        assert agents
        with watching({daemon, *agents}) as watch:
            os.kill(daemon, signal.SIGKILL)
            watch.all()
    assert service.ask("again").status == 200
    assert service.daemon() != daemon
    assert service.property("NRestarts") == "1"


def test_a_crash_loop_ends(service: Machine) -> None:
    with service.drop_in("ExecStart=", "ExecStart=/bin/false", "RestartSec=50ms"):
        service.systemctl("restart", SERVICE, check=False)
        service.wait_for("SubState", "failed")
        assert int(service.property("NRestarts")) <= 5  # which of them count differs
        assert "Start request repeated too quickly" in service.journal()


def test_a_stop_ends_streams_in_band_and_leaves_no_process(service: Machine) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(service.stream(SLOW)) for _ in range(3)]
        everything = service.container.processes(SERVICE)
        assert service.agents()
        watch = stack.enter_context(watching(everything))
        service.systemctl("stop", SERVICE)
        watch.all()
        ends = [[event["type"] for event in events_of(stream)[-2:]] for stream in streams]
    assert ends == [["error", "complete"]] * 3
    assert service.container.processes(SERVICE) == set()
    assert service.property("Result") == "success"
    left = service.run("find", "/tmp", "/var/tmp", "/dev/shm", "-user", "clinvk").split()
    assert left == []


def test_every_value_of_the_log_is_a_field_of_the_journal(service: Machine) -> None:
    service.ask("hello")
    assert "request" in service.journal("CLINVK_STATUS=200", "CLINVK_ROUTE=/api/v1/prompt")


@pytest.mark.parametrize("unit", [SERVICE, SOCKET, "clinvk@ada.service"])
def test_systemd_has_nothing_to_complain_about(machine: Machine, unit: str) -> None:
    said = machine.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit)
    assert [line for line in said.splitlines() if "clinvk" in line] == []


@pytest.mark.parametrize("unit", [SERVICE, "clinvk@ada.service"])
def test_it_is_as_tight_as_agents_allow(
    service: Machine, unit: str, record_property: Callable[[str, object], None]
) -> None:
    said = service.run("systemd-analyze", "security", "--threshold=30", "--no-pager", unit)
    figure(record_property, said.splitlines()[-1].strip())
