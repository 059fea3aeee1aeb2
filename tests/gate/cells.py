"""The table of what the gate lets in: each cell is a change to a request that is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .routes import Route

ALLOWED = "http://app.example:3000"
EVIL = "https://evil.example"
ALLOWED_HOST = "clinvk.lan"
KEY = "clinvk_0123456789abcdef0123456789abcdef"
PORT = "{port}"

Outcome = Literal["accepted"] | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row of the table.

    Attributes:
        topic: under which it stands.
        request: what is sent, in words.
        outcome: the status of the answer; ``accepted``: the one it has without the change.
        lines: header lines in addition; ``{port}`` is the daemon's port.
        without: headers that are left out.
        target: instead of the route's own; ``{target}`` is that, ``{joint}`` what stands before a
            further parameter.
        method: instead of the route's own.
        version: of HTTP.
        on: which routes it is about.
        keyed: whether it is about a daemon that has keys.
    """

    topic: str
    request: str
    outcome: Outcome
    lines: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    target: str | None = None
    method: str | None = None
    version: str = "1.1"
    on: Callable[[Route], bool] = lambda _: True
    keyed: bool = False

    def __str__(self) -> str:
        return f"{self.topic}: {self.request}"


def _host(request: str, outcome: Outcome, *values: str, version: str = "1.1") -> Cell:
    lines = tuple(f"Host: {value}" for value in values)
    return Cell(
        topic="Host", request=request, outcome=outcome, lines=lines, without=("Host",),
        version=version,
    )  # fmt: skip


HOSTS = (
    _host("`localhost`", "accepted", "localhost"),
    _host("`LocalHost` with our port", "accepted", "LocalHost:{port}"),
    _host("`127.0.0.1` with our port", "accepted", "127.0.0.1:{port}"),
    _host("`[::1]` with our port", "accepted", "[::1]:{port}"),
    _host("an entry of `server.allowed_hosts`, any port", "accepted", f"{ALLOWED_HOST}:9"),
    _host("our name with another port", 403, "localhost:1"),
    _host("another name", 403, "evil.example"),
    _host("another name that resolves to us", 403, "127.0.0.1.nip.io"),
    _host("our name with a dot at its end", 403, "localhost."),
    _host("our name behind `user@`", 403, "user@localhost"),
    _host("our name and a path", 403, "localhost/health?x="),
    _host("another address of this machine", 403, "0.0.0.0"),
    _host("empty", 403, ""),
    _host("none, HTTP/1.0", 403, version="1.0"),
    _host("none, HTTP/1.1", 400),
    _host("two", 400, "localhost", "evil.example"),
    Cell(
        topic="Host", request="a whole URL as the target", outcome=400,
        target="http://localhost{target}",
    ),
)  # fmt: skip


def _page(request: str, outcome: Outcome, *lines: str) -> Cell:
    return Cell(topic="Origin", request=request, outcome=outcome, lines=lines)


ORIGINS = (
    _page("none: no browser", "accepted"),
    _page("our own", "accepted", "Origin: http://localhost"),
    _page(
        "an entry of `server.cors_allowed_origins`", "accepted",
        f"Origin: {ALLOWED}", "Sec-Fetch-Site: cross-site",
    ),
    _page("another", 403, f"Origin: {EVIL}"),
    _page("another, said to be the same", 403, f"Origin: {EVIL}", "Sec-Fetch-Site: same-origin"),
    _page("`null`: a sandboxed page or a file", 403, "Origin: null"),
    _page("this machine, another port", 403, "Origin: http://localhost:1"),
    _page("ours, another scheme", 403, "Origin: https://localhost"),
    _page("an allowed one, longer", 403, f"Origin: {ALLOWED}.evil.example"),
    _page("two, one of them allowed", 403, f"Origin: {ALLOWED}", f"Origin: {EVIL}"),
    _page("none; `Sec-Fetch-Site: none`, `same-origin`", "accepted", "Sec-Fetch-Site: none"),
    _page("none; `Sec-Fetch-Site: cross-site`", 403, "Sec-Fetch-Site: cross-site"),
    _page("none; `Sec-Fetch-Site: same-site`", 403, "Sec-Fetch-Site: same-site"),
)  # fmt: skip

_PREFLIGHT = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-api-key")

PREFLIGHTS = tuple(
    Cell(
        topic="Preflight", request=request, outcome=outcome, lines=(*_PREFLIGHT, *lines),
        method="OPTIONS", without=("Content-Type", "Content-Length"), keyed=True,
    )
    for request, outcome, lines in (
        ("an entry of `server.cors_allowed_origins`, without a key", 204, (f"Origin: {ALLOWED}",)),
        ("another origin", 403, (f"Origin: {EVIL}",)),
        ("`null`", 403, ("Origin: null",)),
        (
            "another origin, to a private network", 403,
            (f"Origin: {EVIL}", "Access-Control-Request-Private-Network: true"),
        ),
    )
)  # fmt: skip


def _takes_body(route: Route) -> bool:
    return route.body is not None


def _has_none(route: Route) -> bool:
    return route.body is None


def _typed(request: str, outcome: Outcome, *lines: str) -> Cell:
    return Cell(
        topic="Body", request=request, outcome=outcome, lines=lines, without=("Content-Type",),
        on=_takes_body,
    )  # fmt: skip


BODIES = (
    _typed("`application/json`", "accepted", "Content-Type: application/json"),
    _typed("JSON in UTF-8", "accepted", "Content-Type: application/json; charset=UTF-8"),
    _typed("JSON in another charset", 415, "Content-Type: application/json; charset=latin-1"),
    _typed("of no type", 415),
    _typed("`text/plain`", 415, "Content-Type: text/plain"),
    _typed("a form", 415, "Content-Type: application/x-www-form-urlencoded"),
    _typed("a form with files", 415, "Content-Type: multipart/form-data; boundary=x"),
    _typed("of two types", 400, "Content-Type: application/json", "Content-Type: text/plain"),
    _typed(
        "compressed", 415, "Content-Type: application/json", "Content-Encoding: gzip",
    ),
    Cell(
        topic="Body", request="not wanted, and no JSON", outcome=415, on=_has_none,
        lines=("Content-Type: text/plain", "Content-Length: 1"),
    ),
    Cell(
        topic="Body", request="announced larger than `server.max_request_body_bytes`", outcome=413,
        lines=("Content-Type: application/json", "Content-Length: 999999999"),
        without=("Content-Type", "Content-Length"),
    ),
)  # fmt: skip

METHODS = (
    Cell(topic="Method", request="`TRACE`", outcome=405, method="TRACE"),
    Cell(topic="Method", request="`PROPFIND`", outcome=405, method="PROPFIND"),
    Cell(topic="Method", request="no method of HTTP", outcome=400, method="STEAL"),
)

_PAGES = {"/", "/dashboard/{asset}", "/docs", "/docs/{asset}"}
_PUBLIC = {"/health", "/openapi.json", "/openapi.yaml", *_PAGES}


def _public(route: Route) -> bool:
    return route.path in _PUBLIC


def _private(route: Route) -> bool:
    return route.path not in _PUBLIC


def _key(request: str, outcome: Outcome, *lines: str, query: str | None = None) -> Cell:
    return Cell(
        topic="Key", request=request, outcome=outcome, lines=lines, keyed=True, on=_private,
        without=("Authorization",), target=query and "{target}{joint}api_key=" + query,
    )  # fmt: skip


KEYS = (
    _key("`Authorization: Bearer`", "accepted", f"Authorization: Bearer {KEY}"),
    _key("`X-Api-Key`", "accepted", f"X-Api-Key: {KEY}"),
    _key("`?api_key=`", "accepted", query=KEY),
    _key("both headers, the same key", "accepted", f"Authorization: Bearer {KEY}",
         f"X-Api-Key: {KEY}"),
    _key("none", 401),
    _key("a wrong one", 401, "Authorization: Bearer clinvk_wrong"),
    _key("two that differ", 401, f"Authorization: Bearer {KEY}", "X-Api-Key: clinvk_wrong"),
    _key("`?api_key=` from a page", 401, f"Origin: {ALLOWED}", query=KEY),
    Cell(
        topic="Key",
        request="none, on `GET /health`, the dashboard's page and the API description",
        outcome="accepted", keyed=True, without=("Authorization",), on=_public,
    ),
)  # fmt: skip

CELLS = (*HOSTS, *ORIGINS, *PREFLIGHTS, *METHODS, *BODIES, *KEYS)
