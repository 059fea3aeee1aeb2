"""The `server` section: the listening socket, its limits, and who may use it for what."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, Strict, StringConstraints

from .sections import Count, Seconds, Section, Word, Words

_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")

BLOCKED_WORKDIR_PREFIXES = (
    "/etc",
    "/var/run",
    "/var/lock",
    "/root",
    "/sys",
    "/proc",
    "/dev",
    "/usr/bin",
    "/usr/sbin",
    "/bin",
    "/sbin",
    "/boot",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
)


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        labels = value.split(".")
        named = all(_HOST_LABEL.fullmatch(label) for label in labels)
        if not named or len(value) > 253 or labels[-1].isdigit():
            raise ValueError("an IP address or a host name") from None
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("an IP address or a network in CIDR notation") from None
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("an absolute path")
    return value


Prefixes: TypeAlias = Annotated[
    tuple[Annotated[Word, AfterValidator(_absolute)], ...], Strict(False)
]
Networks: TypeAlias = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], Strict(False)]


class ServerSettings(Section):
    """The HTTP server: where it listens, what it limits, whom it trusts."""

    host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    """Address to listen on: an IP address or a host name."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """TCP port to listen on, 0 to 65535; 0 takes any free one."""

    allowed_hosts: Words = ()
    """Further names by which clients may call the server (`Host` header, with or without port);
    the address it listens on and the loopback names are always allowed."""

    request_timeout_secs: Seconds = 300
    """Seconds a whole turn may take, waiting for an agent included."""

    read_timeout_secs: Seconds = 30
    """Seconds a client may take to send a request."""

    write_timeout_secs: Seconds = 300
    """Seconds a client may take to accept what is written to it."""

    idle_timeout_secs: Seconds = 120
    """Seconds an unused connection is kept open."""

    heartbeat_secs: Seconds = 15
    """Seconds of silence in a stream after which a heartbeat is sent."""

    shutdown_grace_secs: Annotated[float, Field(gt=0, le=3600)] = 10
    """Seconds running requests get to end when the daemon stops, at most 3600."""

    max_request_body_bytes: Count = 10_485_760
    """Largest request body in bytes; 0 sets no limit."""

    rate_limit_enabled: bool = False
    """Whether requests are limited per client."""

    rate_limit_rps: Annotated[float, Field(gt=0, le=1_000_000)] = 10
    """Requests per second one client may keep up, above 0."""

    rate_limit_burst: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """Requests one client may send at once; 0 means twice `rate_limit_rps`."""

    rate_limit_cleanup_secs: Seconds = 180
    """Seconds after which a silent client is forgotten by the limiter."""

    trusted_proxies: Networks = ()
    """Addresses or networks (CIDR) of reverse proxies whose `X-Forwarded-For` is believed."""

    cors_allowed_origins: Words = ()
    """Origins of web pages that may call the server, such as `http://localhost:3000`."""

    cors_allow_credentials: bool = False
    """Whether those pages may send cookies and credentials."""

    cors_max_age: Annotated[int, Field(ge=0, le=86_400)] = 300
    """Seconds a browser may remember the answer to a preflight, 0 to 86400."""

    allowed_workdir_prefixes: Prefixes = ()
    """Absolute directories under which a request's `workdir` must lie; empty allows all that
    are not blocked."""

    blocked_workdir_prefixes: Prefixes = BLOCKED_WORKDIR_PREFIXES
    """Absolute directories under which a request's `workdir` must not lie; wins over the
    allowed ones, and a list given here replaces the built-in one."""

    api_keys_gopass_path: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_.-]*$")] = ""
    """Path in the gopass store of the secret that holds the API keys; empty uses none."""

    metrics_enabled: bool = False
    """Whether `/metrics` is served."""
