"""Which address a request comes from, when proxies may speak for others."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

from aiohttp.web import BaseRequest

Address: TypeAlias = IPv4Address | IPv6Address

LOCAL = "local"
"""Stands for all peers of a unix socket: they have no address."""


class Addresses:
    """Finds the address a request is counted for.

    Args:
        trusted: addresses and networks (CIDR) of proxies; only these are believed when they name
            another address in `X-Forwarded-For`, or another scheme in `X-Forwarded-Proto`.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = tuple(ip_network(network, strict=False) for network in trusted)

    def trusts(self, address: Address | None) -> bool:
        """Whether it is that of a configured proxy."""
        return address is not None and any(address in network for network in self._trusted)

    def client_of(self, request: BaseRequest) -> str:
        """The address that sent the request, as far as it can be believed.

        `X-Forwarded-For` is read from its end, where the nearest proxy writes: each proxy that is
        trusted vouches for the entry before its own, and the first address that is none is the
        client's. An IPv6 client is told by its network of 64 bits: it has all addresses of that.
        """
        peer = parse(request.remote or "")
        if self._trusted and self.trusts(peer):
            for entry in reversed(_entries(request.headers.getall("X-Forwarded-For", []))):
                named = parse(entry)
                if named is None:
                    break
                peer = named
                if not self.trusts(peer):
                    break
        return LOCAL if peer is None else _network_of(peer)

    def scheme_of(self, request: BaseRequest) -> str:
        """`http` or `https`, as the browser sees it."""
        if self._trusted and self.trusts(parse(request.remote or "")):
            told = request.headers.get("X-Forwarded-Proto", "").lower()
            if told in ("http", "https"):
                return told
        return request.scheme


@lru_cache(maxsize=1024)
def parse(text: str) -> Address | None:
    """An address as peers and proxies write it: with or without port, brackets and zone."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _entries(headers: Iterable[str]) -> list[str]:
    return [entry for header in headers for entry in header.split(",")]


@lru_cache(maxsize=1024)
def _network_of(address: Address) -> str:
    match address:
        case IPv4Address():
            return str(address)
        case IPv6Address():
            return str(ip_network((address, 64), strict=False))
