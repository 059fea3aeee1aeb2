"""Who asks: a key, or without keys a process of a user that may. All but public routes need it.

It is a property of the route that was found, so a path can be written in no way that goes around
it, and a path that leads nowhere is closed, too.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections import OrderedDict, deque
from weakref import WeakKeyDictionary

from aiohttp import hdrs, web
from multidict import istr

from ..access_log import REQUEST
from ..api.endpoint import CALLER, KEY_RING
from ..config import Settings
from ..errors import Forbidden, RateLimited, Unauthorized
from ..keys import SAME_USER, STRANGER
from ..keys.local_user import let_in_by_group, peer_user
from ..keys.rights import REMEDY
from ..limits import Addresses
from .checks import Check
from .passage import Passage

_HEADER = istr("X-Api-Key")
_QUERY = "api_key"
_WRONG = "send a valid API key, as Authorization: Bearer or as X-Api-Key"

_MOST_FAILURES = 10  # wrong keys of one peer in a minute, before it is told to wait
_MINUTE = 60.0
_MOST_PEERS = 10_000


def auth(settings: Settings, app: web.Application) -> Check:
    """Set the request's `CALLER`, or refuse it.

    `server.allow_query_api_key` says whether a key may also stand in the address.
    """
    by_query = settings.server.allow_query_api_key
    addresses = Addresses(settings.server.trusted_proxies)
    failures = Failures()
    known: WeakKeyDictionary[asyncio.BaseTransport, bool] = WeakKeyDictionary()
    ring = app[KEY_RING]

    def check(request: web.Request, passage: Passage) -> None:
        declared = passage.declared
        public = declared is not None and declared.public
        if ring.required:
            shown = _shown(request, by_query=by_query)
            caller = ring.caller_of(next(iter(shown))) if len(shown) == 1 else None
            if caller is not None:
                REQUEST.get()["client"] = caller.name
            elif shown:
                raise failures.refusal(addresses.client_of(request), time.monotonic())
            elif not public:
                raise Unauthorized(_WRONG)
        else:
            caller = SAME_USER if _is_trusted(request, known) else None
            if caller is None and not public:
                raise Forbidden(
                    "without API keys only processes of the user that runs clinvk may ask, root,"
                    f" and those whom the group of the unix socket lets in; {REMEDY}"
                )
        request[CALLER] = passage.caller = caller or STRANGER

    return check


class Failures:
    """Wrong keys, by the peer that showed them: guessing gets slow, valid keys do not."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def refusal(self, peer: str, now: float) -> Unauthorized | RateLimited:
        """Note one at `now`, in seconds; how it is answered.

        A wrong key and two that differ get the same answer: it tells nothing of either.
        """
        times = self._times.setdefault(peer, deque(maxlen=_MOST_FAILURES + 1))
        self._times.move_to_end(peer)
        times.append(now)
        if len(self._times) > _MOST_PEERS:
            self._times.popitem(last=False)
        if len(times) <= _MOST_FAILURES or now - times[0] >= _MINUTE:
            return Unauthorized(_WRONG)
        seconds = max(1, round(_MINUTE - (now - times[0])))
        return RateLimited("too many wrong API keys", retry_after=seconds)


def _shown(request: web.Request, *, by_query: bool) -> set[bytes]:
    """The keys in a request, as bytes."""
    headers = request.headers
    shown = set()
    for value in headers.getall(hdrs.AUTHORIZATION, ()):
        scheme, _, key = value.partition(" ")
        if scheme.lower() == "bearer" and (key := key.strip()):
            shown.add(_bytes(key))
    for value in headers.getall(_HEADER, ()):
        if key := value.strip():
            shown.add(_bytes(key))
    # A page could make a browser send an address, but no header: a key there is no proof.
    if by_query and request.rel_url.raw_query_string and hdrs.ORIGIN not in headers:
        shown.update(_bytes(value) for value in request.query.getall(_QUERY, ()) if value)
    return shown


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_trusted(
    request: web.Request, known: WeakKeyDictionary[asyncio.BaseTransport, bool]
) -> bool:
    """Whether the process at the other end may ask without a key.

    It may as the user that runs the daemon, as root, who could become that user, and on the unix
    socket as a member of the group that the socket is open to.
    Only Linux can tell; elsewhere the loopback address has to do.
    """
    if sys.platform != "linux":
        return True
    if (transport := request.transport) is None:
        return False  # it has gone
    if transport not in known:
        connection: socket.socket | None = transport.get_extra_info("socket")
        known[transport] = connection is not None and (
            peer_user(connection) in (0, os.geteuid()) or let_in_by_group(connection)
        )
    return known[transport]
