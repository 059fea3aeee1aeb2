"""Images that a request names by URL: fetched, when the configuration allows it at all.

A fetch is a request that a caller makes this machine send, so every connection of it, those of
redirects included, is checked against the address it really goes to.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from aiohttp.client_exceptions import InvalidURL
from yarl import URL

from ..config import MediaSettings
from ..errors import InvalidRequest
from .images import TYPES, type_of

MOST_IMAGES = 16
"""Most images fetched for one request."""

_MOST_REDIRECTS = 5
_AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a request where a URL of an image may stand.

    Attributes:
        where: path of the field, for errors.
        put: puts a data URL in the place of the URL.
    """

    url: str
    where: str
    put: Callable[[str], None]


async def fetch_images(references: Iterable[Reference], settings: MediaSettings) -> None:
    """Put the images of all http(s) URLs into the request; what is no such URL is left alone.

    Does nothing unless `media.fetch_urls` is on: decoding then refuses the URLs.

    Raises:
        InvalidRequest: naming the field whose image cannot be had.
    """
    if not settings.fetch_urls:
        return
    remote = [each for each in references if re.match("https?://", each.url, re.IGNORECASE)]
    if not remote:
        return
    if len(remote) > MOST_IMAGES:
        where = remote[MOST_IMAGES].where
        raise InvalidRequest(f"{where}: at most {MOST_IMAGES} images are fetched", param=where)
    connector = TCPConnector(
        ssl=await asyncio.to_thread(_trusting), socket_factory=_socket_factory(settings)
    )
    timeout = ClientTimeout(total=settings.timeout_secs)
    async with ClientSession(connector=connector, timeout=timeout) as session:
        for reference in remote:
            reference.put(await _data_url(session, reference, settings))


async def _data_url(session: ClientSession, reference: Reference, settings: MediaSettings) -> str:
    where = reference.where
    try:
        data = await _body(session, reference.url, settings.max_bytes)
    except _Refused as error:
        raise InvalidRequest(f"{where}: {error}", param=where) from None
    except TimeoutError:
        reason = f"the image did not arrive within {settings.timeout_secs:g} s"
        raise InvalidRequest(f"{where}: {reason}", param=where) from None
    except (ClientError, InvalidURL, ValueError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, _NotPublic) else None
        reason = str(cause or f"the image could not be fetched ({type(error).__name__})")
        raise InvalidRequest(f"{where}: {reason}", param=where) from None
    media_type = type_of(data)
    if media_type is None:
        reason = f"what the URL gives is none of {', '.join(TYPES)}"
        raise InvalidRequest(f"{where}: {reason}", param=where)
    encoded = await asyncio.to_thread(base64.b64encode, data)
    return f"data:{media_type};base64,{encoded.decode()}"


async def _body(session: ClientSession, url: str, limit: int) -> bytes:
    async with session.get(URL(url), max_redirects=_MOST_REDIRECTS) as response:
        if response.status != 200:
            raise _Refused(f"the URL gives HTTP status {response.status}")
        data = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            data += chunk
            if len(data) > limit:
                raise _Refused(f"the image is larger than {limit} bytes")
        return bytes(data)


@cache
def _trusting() -> ssl.SSLContext:
    """Checks servers by the machine's certificates, which `quick_start` keeps from aiohttp."""
    return ssl.create_default_context()


class _Refused(Exception):
    """An answer that is not taken; the text says why."""


class _NotPublic(OSError):
    """A connection that is not made."""


def _socket_factory(settings: MediaSettings) -> Callable[[_AddressInfo], socket.socket]:
    """Makes the socket of every connection, when the address it goes to is known at last."""

    def make(address: _AddressInfo) -> socket.socket:
        family, kind, protocol, _, place = address
        if not settings.allow_private_networks and not _is_public(str(place[0])):
            raise _NotPublic("the URL leads to an address that is not public")
        return socket.socket(family, kind, protocol)

    return make


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast
