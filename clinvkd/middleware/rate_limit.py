"""How many requests a client may send, and that every answer says how many are left."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import istr

from ..api.anthropic import AnthropicDialect
from ..api.endpoint import CALLER, ENGINE
from ..config import ServerSettings, Settings
from ..errors import RateLimited
from ..limits import Addresses, Limiter, Rate
from .passage import PASSAGE, Passage
from .signals import Headers

LIMITER = web.AppKey("LIMITER", Limiter)
_LIMIT, _REMAINING, _RESET = (
    istr(f"X-RateLimit-{what}") for what in ("Limit", "Remaining", "Reset")
)


def rate_limit(settings: Settings, app: web.Application) -> Middleware:
    """Count a request for its key, or for its address if it has none.

    `server.rate_limit_*` holds for everybody, the requests per minute of a key for that key.
    """
    general = _general(settings.server)
    addresses = Addresses(settings.server.trusted_proxies)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        caller = request[CALLER]
        quotas = app[ENGINE].quotas
        quotas.note(caller)
        own = caller.scopes.requests_per_minute
        rates = [Rate(own / 60, own)] if own is not None else []
        if general is not None:
            rates.append(general)
        if rates:
            who = f"key:{caller.name}" if caller.name else addresses.client_of(request)
            limiter = app[LIMITER]
            verdict = limiter.hit_at_once(who, rates)
            if verdict is None:
                verdict = await limiter.strictest(who, rates)
            request[PASSAGE].verdict = verdict
            if not verdict.allowed:
                wait = math.ceil(verdict.retry_after)
                quotas.refused["requests"] += 1
                raise RateLimited(f"too many requests; try again in {wait} s", retry_after=wait)
        return await handler(request)

    return middleware


def rate_headers(_settings: Settings, _app: web.Application) -> Headers:
    """Tell what is left, on every answer to a request that was counted."""

    def add(passage: Passage, response: web.StreamResponse) -> None:
        verdict = passage.verdict
        if verdict is None:
            return
        headers = response.headers
        headers[_LIMIT] = limit = str(verdict.limit)
        headers[_REMAINING] = remaining = str(verdict.remaining)
        headers[_RESET] = str(math.ceil(verdict.full_at))
        if passage.dialect is AnthropicDialect:
            full = datetime.fromtimestamp(math.ceil(verdict.full_at), UTC)
            headers["anthropic-ratelimit-requests-limit"] = limit
            headers["anthropic-ratelimit-requests-remaining"] = remaining
            headers["anthropic-ratelimit-requests-reset"] = f"{full:%Y-%m-%dT%H:%M:%SZ}"

    return add


def limiter_of(settings: Settings) -> Callable[[web.Application], AsyncIterator[None]]:
    """The buckets, for as long as the application runs; a `cleanup_ctx` of aiohttp.

    Raises:
        ConfigError: they cannot be kept where the configuration says.
    """
    url = settings.server.rate_limit_redis_url
    limiter = Limiter(url.get_secret_value() if url is not None else None)

    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        app[LIMITER] = limiter
        yield
        await limiter.aclose()

    return lifetime


def _general(server: ServerSettings) -> Rate | None:
    if not server.rate_limit_enabled:
        return None
    burst = server.rate_limit_burst or max(1, math.ceil(2 * server.rate_limit_rps))
    return Rate(server.rate_limit_rps, burst)
