"""What the tests with a real systemd measure or see, at the end of a run: a plugin of pytest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_FIGURE = "boot-figure"


def figure(record_property: Callable[[str, object], None], text: str) -> None:
    """Have something printed at the end of the run, with the name of the running test."""
    record_property(_FIGURE, text)


class Figures:
    """Collects the figures of a run, also those of other processes."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            _, _, name = report.nodeid.rpartition("::")
            self._lines += [
                f"{name}: {value}" for key, value in report.user_properties if key == _FIGURE
            ]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._lines:
            terminalreporter.section("clinvk under a real systemd")
            for line in self._lines:
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    # Those that run tests for another process report to it.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Figures())
