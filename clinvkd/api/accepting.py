"""What a caller accepts, of the media types that an answer may have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from aiohttp import web

_WEIGHT = re.compile(r"q=(0(?:\.[0-9]*)?|1(?:\.0*)?)")


def accept_of(request: web.Request) -> str:
    """The whole `Accept` of a request, which may be on several lines; empty without any."""
    return ",".join(request.headers.getall("Accept", ()))


def accepted(request: web.Request, named: Sequence[str], default: str) -> str:
    """The media type that the caller likes best.

    Args:
        named: types that are given only to who names them: `*/*` is what every client sends.
        default: the type for all others; of equal weights the named one counts.
    """
    weights = _weights(accept_of(request))
    best = max(named, key=lambda name: weights.get(name, 0))
    ranges = (default, f"{default.partition('/')[0]}/*", "*/*")
    otherwise = next((weights[name] for name in ranges if name in weights), 0)
    weight = weights.get(best, 0)
    return best if weight and weight >= otherwise else default


def _weights(accept: str) -> Mapping[str, float]:
    """The weight of each media range; what other parameters it has is of no interest."""
    weights: dict[str, float] = {}
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weighed = (found for text in parameters if (found := _WEIGHT.fullmatch(text)))
        weights[name] = next((float(found[1]) for found in weighed), 1)
    return weights
