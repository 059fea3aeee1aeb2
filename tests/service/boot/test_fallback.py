"""The second way to make a container, so that it works on the day a machine has no nspawn."""

from __future__ import annotations

import pytest

from .machine import SERVICE, Machine

pytestmark = pytest.mark.timeout(600)  # the first test of a release may have to make its tree


def test_a_tree_boots_without_nspawn(unshared: Machine) -> None:
    assert unshared.container.way == "unshare"
    unshared.restore()
    answer = unshared.ask("good morning")
    assert (answer.status, answer.body["output"]) == (200, "good morning")
    unshared.systemctl("stop", SERVICE)
    assert unshared.container.processes(SERVICE) == set()
