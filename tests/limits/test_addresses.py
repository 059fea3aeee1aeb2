"""Who a request is counted for, when proxies may speak for others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from clinvkd.limits import Addresses
from clinvkd.limits.addresses import LOCAL, parse

PROXIES = ("10.0.0.0/8", "fd00::1")


def client(
    peer: str | None, forwarded: Sequence[str] = (), trusted: Sequence[str] = PROXIES
) -> str:
    headers = CIMultiDict(("X-Forwarded-For", value) for value in forwarded)
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=peer or "")
    return Addresses(trusted).client_of(request)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.9",), "192.0.2.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.9",), "198.51.100.9"),
        ("10.0.0.1", ("203.0.113.5, 198.51.100.9",), "198.51.100.9"),
        ("10.0.0.1", ("203.0.113.5, 10.0.0.2",), "203.0.113.5"),
        ("10.0.0.1", ("203.0.113.5", "10.0.0.2"), "203.0.113.5"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("198.51.100.9:4711",), "198.51.100.9"),
        ("10.0.0.1", ("[2001:db8::9]:4711",), "2001:db8::/64"),
        ("10.0.0.1", ("198.51.100.9, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.9, nonsense, 10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("fd00::1", ("198.51.100.9",), "198.51.100.9"),
        ("::ffff:10.0.0.1", ("198.51.100.9",), "198.51.100.9"),
        ("2001:db8::1", (), "2001:db8::/64"),
        (None, ("198.51.100.9",), LOCAL),
    ],
    ids=str,
)
def test_only_trusted_proxies_speak_for_others(
    peer: str | None, forwarded: Sequence[str], expected: str
) -> None:
    assert client(peer, forwarded) == expected


def test_without_proxies_nobody_does() -> None:
    assert client("10.0.0.1", ("198.51.100.9",), trusted=()) == "10.0.0.1"


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "é"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None


def test_the_scheme_is_the_proxys_to_tell() -> None:
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-Proto": "https"})
    assert Addresses(PROXIES).scheme_of(request.clone(remote="10.0.0.1")) == "https"
    assert Addresses(PROXIES).scheme_of(request.clone(remote="192.0.2.1")) == "http"
