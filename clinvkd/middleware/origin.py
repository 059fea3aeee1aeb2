"""No web page of another origin may ask: a browser says where a request comes from."""

from __future__ import annotations

from aiohttp import hdrs, web
from multidict import istr

from ..config import Settings
from ..errors import Forbidden
from ..limits import Addresses
from .checks import Check
from .passage import Passage

_SITE = istr("Sec-Fetch-Site")


def origin(settings: Settings, _app: web.Application) -> Check:
    """Refuse requests that a browser sends for a page that is neither ours nor allowed."""
    addresses = Addresses(settings.server.trusted_proxies)
    allowed = frozenset(settings.server.cors_allowed_origins)

    def check(request: web.Request, passage: Passage) -> None:
        headers = request.headers
        given = headers.getall(hdrs.ORIGIN, None)
        if given is None:
            sites = headers.getall(_SITE, None)
            if sites is not None and not {*sites} <= {"none", "same-origin"}:
                raise _refused()
        elif len(given) == 1 and _matches(given[0], allowed):
            passage.allowed_origin = given[0]
        elif given != [f"{addresses.scheme_of(request)}://{headers['Host']}"]:
            raise _refused()

    return check


def _matches(given: str, allowed: frozenset[str]) -> bool:
    """Whether a page of that origin may ask; `null` stands for nobody in particular."""
    return given in allowed or ("*" in allowed and given not in ("", "null"))


def _refused() -> Forbidden:
    return Forbidden(
        "requests from web pages of another origin are not allowed; see server.cors_allowed_origins"
    )
