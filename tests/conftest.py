"""What every test gets: an environment without any configuration of the person who runs it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["pytester", "tests.clients.table", "tests.service.boot.figures"]

# A busy machine is no failure: no example has a deadline of its own. Continuous integration
# judges a change, so it gives the same examples each time; new ones are tried where people work.
settings.register_profile("clinvk", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("clinvk")


# A shell starts what it puts in the background deaf to Ctrl-C, nohup what it starts deaf to its
# terminal's end, and children inherit that.
for _signal, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)


@pytest.fixture(autouse=True)
def _no_configuration_from_outside(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ:
        if name.startswith("CLINVK_") and not name.startswith("CLINVK_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLINVK_HOME", str(tmp_path_factory.mktemp("clinvk-home")))


@pytest.fixture
def clinvk_home() -> Path:
    """The empty directory that stands for `~/.clinvk` in this test and its processes."""
    return Path(os.environ["CLINVK_HOME"])
