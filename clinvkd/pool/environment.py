"""The environment of agents, built from nothing by an allow-list.

An agent runs what a model tells it to, so it sees no variable it has no use for: above all not
clinvk's own keys and not what the service manager gave to the daemon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

BASE = (
    "HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LC_*", "TERM", "TZ", "XDG_*",
    "SSL_CERT_*", "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
"""Names and patterns every agent gets from the daemon's environment."""

NEVER = (
    "CLINVK_*", "NOTIFY_SOCKET", "WATCHDOG_*", "LISTEN_*", "CREDENTIALS_DIRECTORY",
    "JOURNAL_STREAM", "INVOCATION_ID", "SYSTEMD_EXEC_PID", "GOPASS_*", "GNUPGHOME",
    "CLAUDECODE",
)  # fmt: skip
"""What no configuration can pass on. CLAUDECODE would make claude refuse to run inside itself."""


def child_environment(
    inherited: Mapping[str, str],
    passed: Iterable[str],
    set_: Mapping[str, str],
) -> dict[str, str]:
    """The variables of one agent.

    Args:
        inherited: the daemon's own environment.
        passed: names or patterns (``ANTHROPIC_*``) the backend takes over from it.
        set_: values the backend or its driver sets; they win.
    """
    allowed = (*BASE, *passed)
    environment = {
        name: value
        for name, value in inherited.items()
        if _matches(name, allowed) and not _matches(name, NEVER)
    }
    environment.update(set_)
    return environment


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
