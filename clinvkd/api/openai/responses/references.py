"""Items of stored responses that an input refers to instead of repeating them.

An item's id tells its response, so items need no place of their own in the store. The Vercel AI
SDK refers to every earlier answer in this way unless it is told not to.
"""

from __future__ import annotations

import re
from typing import Any

from ....engine import Engine
from ....errors import InvalidRequest, NotFound
from ....keys import Caller
from .items import Item
from .models import ResponseRequest

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
}
_ID = re.compile(r"[a-z]+_(?P<response>[0-9a-f]+)_\d+")


def item_id(kind: str, response_id: str, index: int) -> str:
    """The id of an output item of a response, by the item's type."""
    return f"{_PREFIXES[kind]}_{response_id.removeprefix('resp_')}_{index}"


async def resolve(engine: Engine, body: ResponseRequest, caller: Caller) -> None:
    """Put the items themselves in the place of the references to them.

    Raises:
        InvalidRequest: a reference without an id.
        NotFound: the caller may see no stored response with such an item.
        StoreUnavailable: the store does not work.
    """
    found: dict[str, dict[str, Any]] = {}
    items = body.input if isinstance(body.input, list) else []
    for index, item in enumerate(items):
        if item.type != "item_reference":
            continue
        where = f"input[{index}]"
        name = (item.model_extra or {}).get("id")
        if not isinstance(name, str):
            raise InvalidRequest(f"{where}.id is required", param=f"{where}.id")
        if name not in found and (match := _ID.fullmatch(name)):
            name_of_response = f"resp_{match['response']}"
            stored = await engine.store.responses.get(name_of_response, caller.sees)
            output = (stored.output or {}).get("output", []) if stored else []
            found |= {one["id"]: one for one in output}
        if name not in found:
            raise NotFound(f"Item with id {name[:80]!r} not found.", param=where)
        items[index] = Item.model_validate(found[name])
