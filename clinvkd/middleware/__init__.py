"""What every request passes, in this order: cheap refusals first, the body last."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp.typedefs import Middleware

from ..config import Settings
from .body import body
from .errors import errors
from .hosts import hosts
from .media_type import media_type
from .observe import observe
from .origin import origin

MIDDLEWARES: tuple[Callable[[Settings], Middleware], ...] = (
    observe,
    errors,
    hosts,
    origin,
    media_type,
    body,
)
