"""Whether a caller may have a prompt run: one rule for every API, on what would really be run."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Forbidden
from ..prompt import Permissions, Prompt
from .caller import Caller

REMEDY = "make a key with `clinvk keys generate`, then reload (SIGHUP) or restart clinvk"


def check_rights(caller: Caller, prompt: Prompt, model: str | None) -> None:
    """Compare a prompt, completed from the configuration, with the caller's scopes.

    The workdir is not looked at: that its prefixes hold is checked where it is resolved.

    Args:
        model: as the caller called it, before names stood for others.

    Raises:
        Forbidden: naming the field, and what is allowed.
    """
    scopes = caller.scopes
    if not scopes.allows_backend(prompt.backend):
        raise _refused("backend", prompt.backend, scopes.backends or ())
    if not scopes.allows_model(model, prompt.model):
        raise _refused("model", model or prompt.model or "the default", scopes.models or ())
    if prompt.permissions.tools:  # else the agent can do nothing that there is a mode for
        _check_modes(caller, prompt.permissions)


def _check_modes(caller: Caller, permissions: Permissions) -> None:
    scopes = caller.scopes
    approval, sandbox = permissions.approval, permissions.sandbox
    if scopes.approval_modes is not None and approval not in scopes.approval_modes:
        raise _refused("approval_mode", approval, scopes.approval_modes)
    if scopes.sandbox_modes is not None and sandbox not in scopes.sandbox_modes:
        raise _refused("sandbox_mode", sandbox, scopes.sandbox_modes)
    if scopes.dangerous:
        return
    for name, value in (("approval_mode", approval), ("sandbox_mode", sandbox)):
        if value in ("none", "full"):
            why = (
                "this API key may not use it"
                if caller.known_by == "key"
                else f"without API keys an agent could give itself that right; {REMEDY}"
            )
            raise Forbidden(f"{name} {value!r} is dangerous: {why}", param=name)


def _refused(field: str, value: str, allowed: Iterable[str]) -> Forbidden:
    names = ", ".join(sorted(allowed)) or "none"
    return Forbidden(
        f"this API key may not use {field} {value[:80]!r}; allowed: {names}", param=field
    )
