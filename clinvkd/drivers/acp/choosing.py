"""Model and mode of an ACP session: what to send for them, by what the agent offers.

The schema's way is ``session/set_config_option`` with an option of the category ``model`` or
``mode``; the older ``session/set_mode`` and the unlisted ``session/set_model`` are still what
several agents have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import BackendRefused
from ...prompt import Permissions
from ..base import Json
from .quirks import Quirks


@dataclass(frozen=True, slots=True)
class Setting:
    """A request that sets something in a session, without its ``sessionId``."""

    method: str
    params: Json


def model_setting(offered: Json, model: str, any_model: bool, backend: str) -> Setting | None:
    """How to choose `model`; None when the session has it already.

    An agent that lists nothing is simply asked, and decides.

    Args:
        offered: the agent's answer to the request that opened the session.
        any_model: it takes names it does not list.

    Raises:
        BackendRefused: the agent has no such model.
    """
    option = _config_option(offered, "model")
    listed: Mapping[str, Any] = offered.get("models") or {}
    if option is not None:
        names = {choice.get("value"): choice.get("name") for choice in _choices(option)}
        current = option.get("currentValue")
    else:
        models = listed.get("availableModels") or []
        names = {entry.get("modelId"): entry.get("name") for entry in models}
        current = listed.get("currentModelId")
    value = model
    if names and model not in names and not any_model:
        named = [key for key, name in names.items() if name == model]
        if len(named) != 1:
            known = ", ".join(sorted(str(key) for key in names))
            raise BackendRefused(
                f"backend {backend!r} has no model {model!r}; it has {known}", param="model"
            )
        value = str(named[0])
    if value == current:
        return None
    if option is not None:
        return Setting("session/set_config_option", {"configId": option["id"], "value": value})
    return Setting("session/set_model", {"modelId": value})


def mode_setting(offered: Json, mode: str) -> Setting | None:
    """How to choose `mode`; None when the session has it already or the agent has none such."""
    match offered:
        case {"modes": {"availableModes": [*modes], "currentModeId": current}}:
            if current != mode and any(entry.get("id") == mode for entry in modes):
                return Setting("session/set_mode", {"modeId": mode})
            return None
    option = _config_option(offered, "mode")
    if option is None or option.get("currentValue") == mode:
        return None
    if all(choice.get("value") != mode for choice in _choices(option)):
        return None
    return Setting("session/set_config_option", {"configId": option["id"], "value": mode})


def mode_of(quirks: Quirks, permissions: Permissions) -> str:
    """The mode of a conversation; "" leaves the agent's own.

    Within a sandbox, and when the caller is to be asked, it is the one in which the agent asks for
    everything, since what a sandbox forbids we can only refuse.
    """
    if not permissions.tools:
        return quirks.chat_mode
    asking = permissions.sandbox in ("read-only", "workspace") or permissions.asks
    return quirks.modes.get("always" if asking else permissions.approval, "")


def _config_option(offered: Json, category: str) -> Json | None:
    for option in offered.get("configOptions") or []:
        match option:
            case {"category": str(found), "id": str()} if found == category:
                return dict(option)
    return None


def _choices(option: Json) -> list[Json]:
    """The values of an option, which may be grouped."""
    choices: list[Json] = []
    for entry in option.get("options") or []:
        match entry:
            case {"options": [*grouped]}:
                choices.extend(grouped)
            case {"value": _}:
                choices.append(entry)
    return choices
