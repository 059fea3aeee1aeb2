"""What of a prompt may change from turn to turn, as settings of Claude Code.

Measured with 2.1.197 and 2.1.330: `apply_flag_settings` takes effect on the next turn, leaves
nothing in the conversation, and an empty value of a variable takes the variable back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic_core import from_json, to_json

from ...errors import BackendRefused
from ...prompt import Prompt
from ..base import Json
from .tools import body_members

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
"""Levels of effort, least first."""

EXTRA_BODY: Final = "CLAUDE_CODE_EXTRA_BODY"
"""Variable with a JSON object that is merged into the body of the provider's request."""

_MAX_TOKENS = "CLAUDE_CODE_MAX_OUTPUT_TOKENS"
_FORCING = ("any", "tool")
_NO_LESS: Mapping[str, str] = {"none": EFFORTS[0], "minimal": EFFORTS[0]}
"""Levels of others below the least one here. 2.1.330 goes on thinking when told not to think."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSettings:
    """The settings of one turn; the defaults are those of a process just started.

    Attributes:
        effort: one of `EFFORTS`, or None for the agent's own.
        max_tokens: most tokens of one model call, or None for the model's own limit.
        body: what the bodies of the provider's requests have to hold besides the agent's own.
        thinking_tokens: most tokens of reasoning, 0 for none, or None for the agent's own. The
            agent (`set_max_thinking_tokens`) follows it as far as the model can: a model that
            thinks as it sees fit goes on doing so, some even at 0.
    """

    effort: str | None = None
    max_tokens: int | None = None
    body: Json = field(default_factory=dict)
    thinking_tokens: int | None = None

    @classmethod
    def of(cls, prompt: Prompt) -> TurnSettings:
        """Those `prompt` asks for. The option ``--effort`` goes before the neutral field.

        Raises:
            BackendRefused: there is no such level of effort.
        """
        effort = prompt.option("effort") or prompt.sampling.effort or None
        if effort is not None:
            effort = _NO_LESS.get(str(effort), str(effort))
            if effort not in EFFORTS:
                raise BackendRefused(
                    f"claude has no effort {effort!r}; it has {', '.join(EFFORTS)}", param="effort"
                )
        body = body_members(prompt)
        if stops := provider_stops(prompt):
            body["stop_sequences"] = list(stops)
        thinking_tokens = prompt.sampling.thinking_tokens
        if thinking_tokens is None and body.get("tool_choice", {}).get("type") in _FORCING:
            # Models that can do without thinking must: their provider takes only one of the two.
            thinking_tokens = 0
        return cls(
            effort=effort,
            max_tokens=prompt.max_tokens,
            body=body,
            thinking_tokens=thinking_tokens,
        )

    def changes(self, before: TurnSettings, configured_body: str) -> Json:
        """What `apply_flag_settings` has to be given after `before`; empty when nothing.

        Args:
            configured_body: value of `EXTRA_BODY` in the agent's environment, "" without one.
        """
        settings: Json = {}
        if self.effort != before.effort:
            settings["effortLevel"] = self.effort
        environment: Json = {}
        if self.max_tokens != before.max_tokens:
            environment[_MAX_TOKENS] = "" if self.max_tokens is None else str(self.max_tokens)
        if self.body != before.body:
            environment[EXTRA_BODY] = _extra_body(configured_body, self.body)
        if environment:
            settings["env"] = environment
        return settings


def provider_stops(prompt: Prompt) -> tuple[str, ...]:
    """The stop texts that the provider can be given.

    It refuses those without a visible character. A stop inside the JSON of a structured answer
    would only make the agent ask again.
    """
    if prompt.output is not None:
        return ()
    return tuple(text for text in prompt.sampling.stop if text.strip())


def _extra_body(configured: str, members: Json) -> str:
    if not members:
        return configured
    try:
        body = from_json(configured or "{}")
    except ValueError:
        body = None
    own = body if isinstance(body, dict) else {}  # what is no object the agent ignores too
    return to_json(own | members).decode()
