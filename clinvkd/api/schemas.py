"""JSON Schemas of callers, checked before anything runs: later no one could say whose fault it is.

Whether an answer fits is judged elsewhere; here only what would make that impossible is refused.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from ..errors import InvalidRequest

MOST_KNOWN = 4096
"""Most schemas that are remembered as checked, by their digests."""

_known: OrderedDict[bytes, None] = OrderedDict()
_known_as_judges: OrderedDict[bytes, None] = OrderedDict()


def checked_schema(schema: object, where: str) -> dict[str, Any]:
    """A JSON Schema (2020-12) as it came, for somebody else to judge values by.

    Raises:
        InvalidRequest: it is none, naming the field `where`.
    """
    from .schema_faults import fault  # imports what takes 40 ms: not before the first schema

    if not isinstance(schema, dict):
        raise InvalidRequest(f"{where}: the schema must be an object", param=where)
    _check(schema, fault, _known, where)
    return schema


def answer_schema(schema: object, where: str) -> dict[str, Any]:
    """A JSON Schema (2020-12) as it came, by which any answer can be judged here.

    Raises:
        InvalidRequest: it is none, a pattern in it is no regular expression here, or a reference
            leads out of it, nowhere or in a circle; naming the field `where`.
    """
    from .schema_faults import fault_as_judge

    checked = checked_schema(schema, where)
    _check(checked, fault_as_judge, _known_as_judges, where)
    return checked


def _check(
    schema: dict[str, Any],
    fault_of: Callable[[dict[str, Any]], str | None],
    known: OrderedDict[bytes, None],
    where: str,
) -> None:
    """Refuse a schema with a fault; one that has none is known from now on.

    Callers send the same tools with every request, and to check one takes milliseconds.
    """
    try:
        digest = blake2b(json.dumps(schema).encode(), digest_size=16).digest()
        fault = None if digest in known else fault_of(schema)
    except RecursionError:
        fault = "the schema is nested too deeply"
    else:
        if fault is None:
            known[digest] = None
            known.move_to_end(digest)
            if len(known) > MOST_KNOWN:
                known.popitem(last=False)
            return
    raise InvalidRequest(f"{where}: {fault}", param=where)
