"""The model catalog that chats get: codex's own, with plain function tools for every model.

The catalog tells codex how each model is given tools. Its newest models (0.169: from GPT-5.6 on)
get a JavaScript interpreter, which a chat cannot use and which asks the model again when a call
of a caller's tool is not answered within 30 s; others get a tool to patch files. No setting turns
these off, but a thread may have a catalog of its own. Threads with codex's own tools have none.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

from ...config import Backend
from ...errors import ConfigError
from ..base import Json

COMMAND = ("debug", "models")
"""Arguments that have codex print the catalog it would use: 0.02 s, most of a megabyte."""

_PLAIN_TOOLS: Json = {
    "apply_patch_tool_type": None,
    "experimental_supported_tools": [],
    "supports_search_tool": False,
    "use_responses_lite": False,
}
_LEFT_OUT = frozenset({"tool_mode", "multi_agent_version", "model_messages"})
_SWITCH = "model_catalog"


def wanted(backend: Backend) -> bool:
    """Whether chats of this backend get a catalog: ``quirks.model_catalog``, by default true.

    Raises:
        ConfigError: the quirk is not a boolean, or there are others.
    """
    for key, value in backend.quirks.items():
        where = f"backends.{backend.name}.quirks.{key}"
        if key != _SWITCH:
            raise ConfigError(f"{where}: unknown key, known is {_SWITCH}")
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: {value!r} is wrong, allowed is true or false")
    return bool(backend.quirks.get(_SWITCH, True))


def chat_catalog(printed: bytes) -> bytes:
    """The catalog for chats, from what `COMMAND` printed.

    The models' instructions, nearly all of its size, are left out: a chat brings its own.

    Raises:
        ValueError: it is not a catalog.
    """
    match from_json(printed):
        case {"models": [_, *_] as models} if all(isinstance(model, dict) for model in models):
            return to_json({"models": [_plain(model) for model in models]})
    raise ValueError("there is no list of models")


def _plain(model: dict[str, Any]) -> Json:
    kept = {key: value for key, value in model.items() if key not in _LEFT_OUT}
    return {**kept, **_PLAIN_TOOLS, "base_instructions": ""}
