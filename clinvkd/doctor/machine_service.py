"""The service of the machine, as its own user sees it."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigError
from ..keys import file as key_file
from ..service import system
from .examination import examine
from .finding import Finding, Passed, Service
from .unit import show

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # of systemd
_AGAIN = "sudo clinvk doctor --system"


def is_meant(shell: Mapping[str, str]) -> bool:
    """Whether root, or its user, means it who asks for an examination and names nothing."""
    if sys.platform == "darwin" or shell.get("CLINVK_CONFIG") or shell.get("CLINVK_HOME"):
        return False
    if not is_permitted():
        return False
    loaded = [show(scope, shell).get("LoadState") == "loaded" for scope in ("system", "user")]
    return loaded == [True, False]


def is_permitted() -> bool:
    """Whether this user may look at its files: root, and the service's own."""
    return os.geteuid() in (0, _user_id())


def examine_service(shell: Mapping[str, str]) -> Iterator[Finding]:
    """Do all checks on it. Root becomes the service's user for them, and stays it.

    So a file that this user cannot read is found, and no program is run as root that lies in a
    folder which agents can write to.
    """
    detail = f"the service of the machine, as its user {system.ACCOUNT}"
    unread = [path for path in (system.KEYS, system.VARIABLES) if _is_closed(path)]
    service = Service(_environment(shell), _keys())  # what systemd reads as root
    if os.geteuid() == 0 and not _become_its_user():
        remedy = "sudo clinvk service install --system"
        yield Finding("scope", "fail", f"there is no user {system.ACCOUNT}", remedy)
        return
    if unread:
        names = " and ".join(map(str, unread))
        yield Finding("scope", "warn", f"{detail}; only root can read {names}", _AGAIN)
    else:
        yield Finding("scope", "ok", detail)
    yield from examine(None, shell, service)


def _environment(shell: Mapping[str, str]) -> dict[str, str]:
    """What the unit gives the daemon."""
    found = {
        "PATH": _DEFAULT_PATH, "HOME": str(system.HOME), "CLINVK_CONFIG": str(system.CONFIG),
        "CLINVK_HOME": str(system.HOME),
    }  # fmt: skip
    with suppress(ValueError):  # the defaults do for words that mean nothing to us
        # systemctl prints them as shells take them, those that need it as $'NAME=value'.
        for word in shlex.split(show("system", shell).get("Environment", "")):
            name, _, value = word.lstrip("$").partition("=")
            found[name] = value
    return found | system.variables()


def _keys() -> Passed:
    try:
        return {str(system.KEYS): key_file.read(system.KEYS, private=False)}
    except FileNotFoundError:
        return {}
    except ConfigError as error:
        if _is_closed(system.KEYS):
            return Finding("keys", "warn", str(error), _AGAIN)
        return Finding("keys", "fail", str(error), "clinvk does not start with a broken source")


def _is_closed(path: Path) -> bool:
    return path.exists() and not os.access(path, os.R_OK)


def _user_id() -> int | None:
    try:
        return pwd.getpwnam(system.ACCOUNT).pw_uid
    except KeyError:
        return None


def _become_its_user() -> bool:
    try:
        account = pwd.getpwnam(system.ACCOUNT)
    except KeyError:
        return False
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.chdir("/")
    return True
