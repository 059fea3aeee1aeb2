"""The `server` section: the listening socket, its limits, and who may use it for what."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    Strict,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from .sections import Count, Seconds, Section, Word, Words

_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?P<port>:[0-9]{1,5})?"
)
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*(/[A-Za-z0-9._@-]+)*")

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
    # What opens other machines and accounts: keys, logins, password stores.
    "~/.aws",
    "~/.azure",
    "~/.config/gcloud",
    "~/.config/gh",
    "~/.config/glab-cli",
    "~/.config/gopass",
    "~/.config/op",
    "~/.docker",
    "~/.gnupg",
    "~/.kube",
    "~/.local/share/gopass",
    "~/.local/share/keyrings",
    "~/.password-store",
    "~/.ssh",
    # The agents' own: logins, and settings that name commands to run.
    "~/.claude",
    "~/.codex",
    "~/.config/opencode",
    "~/.gemini",
    "~/.local/share/opencode",
    "~/.qwen",
    # What runs by itself when the person logs in.
    "~/.config/autostart",
    "~/.config/environment.d",
    "~/.config/systemd",
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


def _origin(value: str) -> str:
    """As browsers write it: lower case, no default port, no path."""
    given = _ORIGIN.fullmatch(value)
    ports = {"http": ":80", "https": ":443"}
    if value != "*" and (given is None or given["port"] == ports.get(given["scheme"], "none")):
        raise ValueError("an origin such as http://localhost:3000, in lower case, without a path")
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"(rediss?|unix)://\S+", value.get_secret_value()):
        raise ValueError("a URL that begins with redis://, rediss:// or unix://")
    return value


def _secret(value: str) -> str:
    if value and (not _SECRET.fullmatch(value) or ".." in value.split("/")):
        raise ValueError("the path of a secret, such as team/clinvk")
    return value


def _socket_path(value: str) -> str:
    if value and (not value.startswith("/") or "\0" in value or len(os.fsencode(value)) > 100):
        raise ValueError("an absolute path of at most 100 bytes")
    return value


def _prefix(value: str) -> str:
    if not value.startswith(("/", "~/")) and value != "~":
        raise ValueError("an absolute path, or one that begins with ~/")
    return value


Prefix: TypeAlias = Annotated[Word, AfterValidator(_prefix)]
Prefixes: TypeAlias = Annotated[tuple[Prefix, ...], Strict(False)]
Origins: TypeAlias = Annotated[tuple[Annotated[Word, AfterValidator(_origin)], ...], Strict(False)]
RedisUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_redis_url)]
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

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    """Connections held at once, 1 to 1000000, and never more than half of the files the process
    may open. When there are more, those that have waited longest for a whole request are closed."""

    max_connections_per_peer: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """Connections held at once for one address, 1 to 1000000; for those of this machine and for
    `trusted_proxies` only `max_connections` counts."""

    header_timeout_secs: Seconds = 10
    """Seconds a client may take to send the head of a request."""

    read_timeout_secs: Seconds = 30
    """Seconds a client may take to send the body of a request."""

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

    rate_limit_redis_url: RedisUrl | None = None
    """URL of a Redis or Valkey server through which several daemons share their limits
    (`redis://localhost:6379/0`); none keeps them in memory. Needs the extra `clinvkd[redis]`."""

    rate_limit_cleanup_secs: Seconds = 180
    """Seconds, without effect: a client is forgotten as soon as it has its whole burst again."""

    loop_guard_repeats: Annotated[int, Field(ge=0, le=1000)] = 8
    """Answers that one request with tools may get one after the other, within
    `loop_guard_window_secs`, without a call where `tool_choice` demands one, or without anything;
    answers in words where no call was demanded count a quarter. The next equal request gets 400.
    0 sets no limit."""

    loop_guard_window_secs: Seconds = 60
    """Seconds after which such an answer is forgotten."""

    loop_guard_rounds: Annotated[int, Field(ge=0, le=1000)] = 12
    """Rounds in a row in which the same tools may be called with the same arguments and give the
    same results; the request that brings the last of them gets 400. 0 sets no limit."""

    trusted_proxies: Networks = ()
    """Addresses or networks (CIDR) of reverse proxies whose `X-Forwarded-For` and
    `X-Forwarded-Proto` are believed. Behind https a proxy has to send the second: it is part of
    the origin of the dashboard and of `/docs`."""

    cors_allowed_origins: Origins = ()
    """Origins of web pages that may call the server, such as `http://localhost:3000`, exactly as
    a browser writes them; `*` allows all, and only where API keys are needed."""

    cors_allow_credentials: bool = False
    """Whether those pages may send cookies and credentials."""

    cors_max_age: Annotated[int, Field(ge=0, le=86_400)] = 300
    """Seconds a browser may remember the answer to a preflight, 0 to 86400."""

    allowed_workdir_prefixes: Prefixes = ()
    """Directories under which a request's `workdir` must lie, absolute or below `~/`; empty
    allows all that are not blocked."""

    blocked_workdir_prefixes: Prefixes = BLOCKED_WORKDIR_PREFIXES
    """Directories under which a request's `workdir` must not lie, absolute or below `~/`; wins
    over the allowed ones, and a list given here replaces the built-in one. clinvk's own directory
    is blocked in any case."""

    workdir_trust: Mapping[Prefix, bool] = Field(default_factory=dict)
    """Directories, absolute or below `~/`, and whether files in a `workdir` there may configure
    the agent (hooks, tool servers, settings); the innermost one decides, and without any
    `backends.NAME.trusted` does."""

    api_keys_gopass_path: Annotated[str, AfterValidator(_secret)] = ""
    """Path in the gopass store of the secret whose first line holds API keys, with commas between
    them (`team/clinvk`); empty uses none."""

    allow_query_api_key: bool = True
    """Whether a key may also come as `?api_key=` in the address, for clients that can send no
    header. It is never logged here, but a proxy in front may log it."""

    unix_socket: Annotated[str, AfterValidator(_socket_path)] = ""
    """Absolute path of a unix socket to listen on beside the port; empty listens on none. Its
    directory must exist."""

    unix_socket_mode: Annotated[str, StringConstraints(pattern=r"^0[0-7]{3}$")] = "0600"
    """Permissions of that socket, four octal digits in quotes."""

    metrics_enabled: bool = False
    """Whether `/metrics` is served, for Prometheus."""

    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """TCP port of a listener of its own for `/metrics`, 0 to 65535, 0 takes any free one; then
    they are not served beside the APIs, and need no API key. `null` opens none."""

    metrics_host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    """Address of that listener: an IP address or a host name."""

    @field_validator("metrics_port")
    @classmethod
    def _has_metrics(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and not info.data.get("metrics_enabled", True):
            raise ValueError("null, as long as server.metrics_enabled is false")
        return value

    @field_validator("cors_allow_credentials")
    @classmethod
    def _names_the_origins(cls, value: bool, info: ValidationInfo) -> bool:
        if value and "*" in info.data.get("cors_allowed_origins", ()):
            raise ValueError("false, as long as server.cors_allowed_origins holds '*'")
        return value
