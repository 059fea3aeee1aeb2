"""``Idempotency-Key``: the same POST sent twice is carried out once and answered alike.

The first request runs to its end even when its caller leaves, so that a caller who sends it again
after a broken connection gets the answer that was missed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..api.endpoint import CALLER, CLAIM, ENGINE, JOB, checked_body
from ..api.recording import RECORDING, Recording
from ..config import Settings
from ..engine import Engine
from ..errors import AnswerGone, Conflict, InvalidRequest, StoreUnavailable
from ..store import Claim, Idempotency, StoredAnswer, insist

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REPEATED = ("Content-Type", "Location", "X-Clinvk-Ignored")


def idempotency(_settings: Settings, _app: web.Application) -> Middleware:
    """Carry a keyed POST out once."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "POST" or (key := request.headers.get(HEADER)) is None:
            return await handler(request)
        if not _KEY.fullmatch(key):
            raise InvalidRequest(
                f"{HEADER} is 1 to 255 printable ASCII characters without blanks", param=HEADER
            )
        if getattr(checked_body(request), "ephemeral", False):
            raise InvalidRequest(
                f"{HEADER} keeps the answer, ephemeral keeps nothing; leave one of them out",
                param=HEADER,
            )
        body = await request.read()
        claim = Claim(
            owner=request[CALLER].name,
            route=f"POST {request.path}",
            key=key,
            body_digest=hashlib.sha256(body).hexdigest(),
        )
        engine = request.app[ENGINE]
        before = await _claimed(engine, claim)
        if before is None:
            return await _first(request, handler, engine, claim)
        return await _again(request, handler, claim, before)

    return middleware


async def _claimed(engine: Engine, claim: Claim) -> StoredAnswer | None:
    """See `Idempotency.claim`; a caller who leaves meanwhile leaves no claim behind."""
    keys = engine.store.idempotency
    claiming = asyncio.get_running_loop().create_task(keys.claim(claim, time.time()), name="claim")
    try:
        return await asyncio.shield(claiming)
    except asyncio.CancelledError:
        engine.background.start(_give_back(keys, claim, claiming), "give a key back")
        raise


async def _give_back(
    keys: Idempotency, claim: Claim, claiming: asyncio.Task[StoredAnswer | None]
) -> None:
    with suppress(StoreUnavailable):  # then there is no claim
        if await claiming is None:
            await insist(partial(keys.release, claim))


async def _first(
    request: web.Request, handler: Handler, engine: Engine, claim: Claim
) -> web.StreamResponse:
    request[CLAIM] = claim
    request[RECORDING] = Recording()
    response: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()
    engine.background.start(_carry_out(request, handler, engine, claim, response), "keyed request")
    return await asyncio.shield(response)


async def _carry_out(
    request: web.Request,
    handler: Handler,
    engine: Engine,
    claim: Claim,
    answered: asyncio.Future[web.StreamResponse],
) -> None:
    release = partial(engine.store.idempotency.release, claim)
    try:
        response = await handler(request)
    except Exception as failure:  # noqa: BLE001 - it is the caller's
        await _settle(release, partial(answered.set_exception, failure))
    except BaseException as end:
        answered.set_exception(end)
        with suppress(StoreUnavailable):  # then the next start gives it back
            await release()
        raise
    else:
        keep = partial(_keep, request, engine, claim, response)
        await _settle(keep, partial(answered.set_result, response))


async def _settle(store: Callable[[], Awaitable[None]], answer: Callable[[], None]) -> None:
    """Store what a key led to, then answer.

    A store that does not work is no reason to withhold what was carried out; only the key then
    waits until it does.
    """
    stored = False
    try:
        with suppress(StoreUnavailable):
            await store()
            stored = True
    finally:
        answer()
    if not stored:
        await insist(store)


async def _keep(
    request: web.Request, engine: Engine, claim: Claim, response: web.StreamResponse
) -> None:
    """Keep an answer that the same request would get again."""
    if request.get(JOB) is not None:
        return  # the job stands for it
    body: bytes | None
    if isinstance(response, web.Response):
        assert response.body is None or isinstance(response.body, bytes)
        body = response.body or b""
    else:
        body = request[RECORDING].body()
    if body is None or response.status >= 400:
        await engine.store.idempotency.release(claim)
        return
    await engine.store.idempotency.finish(
        claim,
        status=response.status,
        headers=tuple((n, response.headers[n]) for n in _REPEATED if n in response.headers),
        body=body,
        content=engine.settings.session.store_content and _may_be_stored(request),
    )


def _may_be_stored(request: web.Request) -> bool:
    """Whether the caller did not say that nothing is to be stored (``"store": false``)."""
    return getattr(checked_body(request), "store", None) is not False


async def _again(
    request: web.Request, handler: Handler, claim: Claim, before: StoredAnswer
) -> web.StreamResponse:
    if before.body_digest != claim.body_digest:
        raise Conflict(f"this {HEADER} came with another body before", param=HEADER)
    if before.job_id is not None:
        request[JOB] = before.job_id
        response = await handler(request)
        response.headers[REPLAYED] = "true"
        return response
    if before.state == "running":
        raise Conflict(
            "the first request with this key is still being answered, or its answer is not stored"
            " yet",
            param=HEADER,
            retry_after=1,
        )
    if before.body is None:
        raise AnswerGone(
            "the first request with this key was carried out; its answer was in memory only, and"
            " is gone. Take another key to carry it out again",
            param=HEADER,
        )
    return web.Response(
        status=before.status or 200,
        body=before.body,
        headers={**dict(before.headers), REPLAYED: "true"},
    )
