"""One daemon, asked over HTTP."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import quote

import aiohttp
from yarl import URL

from .address import Address
from .failures import Failure, Unreachable

NDJSON = "application/x-ndjson"
PREFIX = "/api/v1"
_IGNORED = "X-Clinvk-Ignored"
_REMEDY = "start one with `clinvk serve`, or add --spawn"

Json: TypeAlias = dict[str, Any]


class Client:
    """Asks a daemon; an async context manager.

    Args:
        address: where it listens.
        key: the API key to show, or None.

    Attributes:
        ignored: what the daemon could not honour of the last request, as it names it, or empty.
    """

    def __init__(self, address: Address, key: str | None = None) -> None:
        self.address = address
        self.ignored = ""
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # A connection that was left open may be gone by the next request, and a POST is not sent
        # twice; a new one costs nothing on this machine.
        connector: aiohttp.BaseConnector
        if self.address.socket:
            connector = aiohttp.UnixConnector(str(self.address.socket), force_close=True)
        else:
            connector = aiohttp.TCPConnector(force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def call(
        self,
        method: str,
        *path: str,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """Ask for one JSON object.

        Args:
            path: segments below the native API; they are quoted here.

        Raises:
            Failure: the daemon refused or failed.
            Unreachable: there is none, or it is no clinvk.
        """
        response = await self._send(method, path, body, query, headers)
        try:
            return await self._json(response)
        finally:
            response.close()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        *path: str,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[AsyncIterator[Json]]:
        """Ask for a stream of unified events; leaving the context ends it, and what it told of.

        One JSON object in place of a stream comes as the content of one event `result`.

        Raises:
            Failure, Unreachable: as `call`; the latter also from the iterator when the stream
                breaks off.
        """
        headers = {**(headers or {}), "Accept": NDJSON}
        response = await self._send(method, path, body, query, headers)
        try:
            if response.content_type == NDJSON or response.status == 204:
                yield Events(self.address, response)
            else:
                yield _only({"type": "result", "content": await self._json(response)})
        finally:
            response.close()

    async def _send(
        self,
        method: str,
        path: tuple[str, ...],
        body: Json | None,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> aiohttp.ClientResponse:
        assert self._session is not None
        _check_text(*path, *(query or {}).values())
        segments = "/".join(quote(segment, safe="") for segment in path)
        url = URL(f"{self.address.url}{PREFIX}/{segments}", encoded=True).with_query(query or {})
        try:
            response = await self._session.request(
                method, url, json=body, headers=headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(
                f"no clinvk daemon answers at {self.address} ({_reason(error)}); {_REMEDY}"
            ) from None
        self.ignored = response.headers.get(_IGNORED, "")
        if response.status < 300:
            return response
        try:
            told = (await self._json(response)).get("error")
        finally:
            response.close()
        raise Failure.told(told) if isinstance(told, dict) else self._stranger(response)

    async def _json(self, response: aiohttp.ClientResponse) -> Json:
        try:
            found = json.loads(await response.read())
        except aiohttp.ClientError:
            raise _cut(self.address) from None
        except ValueError:
            raise self._stranger(response) from None
        if not isinstance(found, dict):
            raise self._stranger(response)
        return found

    def _stranger(self, response: aiohttp.ClientResponse) -> Unreachable:
        return Unreachable(
            f"what answers at {self.address} is no clinvk daemon (HTTP {response.status}"
            f" to {response.method} {response.url.path})"
        )


class Events:
    """The events of a stream, as they come."""

    def __init__(self, address: Address, response: aiohttp.ClientResponse) -> None:
        self._address = address
        self._response = response
        self._begun: list[bytes] = []
        self._lines: deque[bytes] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Json:
        while not self._lines:
            try:
                read = await self._response.content.readany()
            except (aiohttp.ClientError, OSError):
                raise _cut(self._address) from None
            if not read:
                raise StopAsyncIteration
            self._take(read)
        try:
            event: Json = json.loads(self._lines.popleft())
        except ValueError:
            raise Unreachable(f"{self._address} sent a line that is no JSON") from None
        return event

    def _take(self, read: bytes) -> None:
        """Cut what was read into lines; the last, which may be long, is joined once it is whole."""
        first, *rest = read.split(b"\n")
        self._begun.append(first)
        for line in rest:
            self._lines.append(b"".join(self._begun))
            self._begun = [line]


def _check_text(*words: str) -> None:
    """Refuse what no address can hold: a command line may have bytes that are no text."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise Failure(f"{word!r} is no UTF-8 text", code="usage", type="usage") from None


async def _only(event: Json) -> AsyncIterator[Json]:
    yield event


def _cut(address: Address) -> Unreachable:
    return Unreachable(f"the daemon at {address} went away in the middle of its answer")


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)  # aiohttp wraps what connecting failed with
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno).lower()
    return str(cause) or type(cause).__name__
