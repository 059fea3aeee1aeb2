"""The environment of agents."""

from __future__ import annotations

from clinvkd.pool.environment import child_environment

DAEMON = {
    "HOME": "/home/a", "PATH": "/bin", "LANG": "C", "LC_ALL": "C", "XDG_CONFIG_HOME": "/x",
    "https_proxy": "http://p", "NODE_EXTRA_CA_CERTS": "/ca",
    "CLINVK_API_KEYS": "secret", "NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "1",
    "LISTEN_FDS": "1", "CREDENTIALS_DIRECTORY": "/c", "JOURNAL_STREAM": "1:1",
    "INVOCATION_ID": "i", "GOPASS_AGE_PASSWORD": "p", "CLAUDECODE": "1",
    "ANTHROPIC_API_KEY": "theirs", "AWS_SECRET_ACCESS_KEY": "s", "PYTHONPATH": "/p",
}  # fmt: skip
ALLOWED = {
    name: DAEMON[name]
    for name in (
        "HOME", "PATH", "LANG", "LC_ALL", "XDG_CONFIG_HOME", "https_proxy", "NODE_EXTRA_CA_CERTS",
    )
}  # fmt: skip


def test_only_what_is_allowed_is_passed_on() -> None:
    assert child_environment(DAEMON, (), {}) == ALLOWED


def test_a_backend_may_have_more_passed_on_by_name_or_pattern() -> None:
    passed = child_environment(DAEMON, ("ANTHROPIC_*", "PYTHONPATH"), {})
    assert passed == {**ALLOWED, "ANTHROPIC_API_KEY": "theirs", "PYTHONPATH": "/p"}


def test_no_pattern_passes_on_what_is_the_daemons_alone() -> None:
    passed = child_environment(DAEMON, ("*", "CLINVK_API_KEYS"), {})
    assert sorted(set(DAEMON) - set(passed)) == [
        "CLAUDECODE", "CLINVK_API_KEYS", "CREDENTIALS_DIRECTORY", "GOPASS_AGE_PASSWORD",
        "INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_USEC",
    ]  # fmt: skip


def test_what_is_set_wins() -> None:
    assert child_environment(DAEMON, (), {"HOME": "/b", "NEW": "n"}) == {
        **ALLOWED,
        "HOME": "/b",
        "NEW": "n",
    }
