"""Model names of the OpenAI and Anthropic dialects: which backend a name means, and the list."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .config import Settings
from .errors import NotFound

_VENDORS = (
    (re.compile(r"claude-.*"), "claude"),
    (re.compile(r"(gpt-|chatgpt-|o[134]\b|codex-).*"), "codex"),
    (re.compile(r"gemini-.*"), "gemini"),
)
"""Names that vendors give their models, and the backend of that vendor."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a model name means.

    Attributes:
        backend: name of an enabled backend.
        model: the agent's name of the model, or None for the agent's (or the configured) default.
        guessed: the name means nothing here; the default backend was taken.
    """

    backend: str
    model: str | None
    guessed: bool = False


class ModelNames:
    """The names of one configuration.

    Args:
        settings: the configuration.
        default_backend: the backend of names that mean nothing.
    """

    def __init__(self, settings: Settings, default_backend: Callable[[], str]) -> None:
        self._enabled = settings.enabled_backends()
        self._aliases = settings.models.aliases
        self._strict = settings.models.strict_models
        self._default_backend = default_backend

    def resolve(self, name: str) -> Choice:
        """The backend and model a caller means.

        In this order: the configured table, the exact name of a backend, ``backend/model``, a
        vendor's name of a model, the default backend.

        Raises:
            NotFound: the name means nothing and `models.strict_models` is on.
        """
        if (choice := self._meaning(name)) is not None:
            return choice
        if self._strict:
            raise NotFound(
                f"The model {name!r} does not exist here; GET models lists those that do.",
                param="model",
            )
        return Choice(self._default_backend(), None, guessed=True)

    def listed(self) -> list[tuple[str, str]]:
        """All published ids with their backends, in a stable order.

        An alias of what means nothing is not among them.
        """
        names: dict[str, str] = {}
        for backend, section in self._enabled.items():
            names[backend] = backend
            for model in filter(None, (section.model, *section.models)):
                names[f"{backend}/{model}"] = backend
        for alias in self._aliases:
            if (choice := self._meaning(alias)) is not None:
                names[alias] = choice.backend
        return list(names.items())

    def _meaning(self, name: str) -> Choice | None:
        target = self._aliases.get(name, name)
        if target in self._enabled:
            return Choice(target, None)
        backend, slash, model = target.partition("/")
        if slash and model and backend in self._enabled:
            return Choice(backend, model)
        for pattern, vendor in _VENDORS:
            if vendor in self._enabled and pattern.fullmatch(target):
                return Choice(vendor, target)
        return None
