"""`Settings`: the whole configuration, read from all its sources and checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ..attribute_docs import described
from ..errors import ConfigError
from . import problems
from .sections import (
    BackendName,
    BackendSettings,
    InspectorSettings,
    LogSettings,
    MediaSettings,
    ModelsSettings,
    OutputSettings,
    ParallelSettings,
    PoolSettings,
    SessionSettings,
    UnifiedFlags,
)
from .server import ServerSettings
from .sources import (
    BuiltInSource,
    EnvironmentSource,
    FileSource,
    FlagSource,
    Source,
    config_path,
)

AUTO = "auto"

_PREFERRED = ("claude", "codex", "gemini")
EMBEDDED = ("local", "echo")
"""The agents shipped with clinvk; `auto` takes them when there is no other."""

_sources: ContextVar[tuple[Source, ...]] = ContextVar("_sources", default=())


class Settings(BaseSettings):
    """The configuration of clinvk, immutable.

    `Settings(...)` takes its values from the arguments and the built-ins alone, and raises
    pydantic's `ValidationError`; `Settings.load` also reads file and environment.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        json_schema_extra=described,
        validate_default=False,
    )

    backends: Mapping[BackendName, BackendSettings] = Field(default_factory=dict)
    """Backends by name (`a-z`, digits, `-`, `_`, at most 32 characters, beginning with a
    letter). `claude`, `codex`, `gemini`, `local` and `echo` are built in; keys given here change
    them one by one, other names add backends."""

    default_backend: str = AUTO
    """Backend of a request that names none; `auto` takes the first available of `claude`,
    `codex`, `gemini`, then the configured ones, then `local`, then `echo`."""

    unified_flags: UnifiedFlags = Field(default_factory=UnifiedFlags)
    """Defaults of requests for every backend."""

    pool: PoolSettings = Field(default_factory=PoolSettings)
    """Warm agent processes: how many, how long, what a turn may cost."""

    session: SessionSettings = Field(default_factory=SessionSettings)
    """Stored conversations: how long they are kept, and with what."""

    output: OutputSettings = Field(default_factory=OutputSettings)
    """Form of the answers when a request does not say."""

    parallel: ParallelSettings = Field(default_factory=ParallelSettings)
    """Several prompts at once."""

    models: ModelsSettings = Field(default_factory=ModelsSettings)
    """Names of models: what they mean, and which are listed."""

    media: MediaSettings = Field(default_factory=MediaSettings)
    """Images named by a URL: whether and how they are fetched."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    """The HTTP server."""

    log: LogSettings = Field(default_factory=LogSettings)
    """The daemon's log."""

    inspector: InspectorSettings = Field(default_factory=InspectorSettings)
    """The last requests, for who looks for a fault in a client."""

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Read the configuration: overrides, then environment, then file, then built-ins.

        Args:
            path: the file; by default `CLINVK_CONFIG`, else `config.yaml` in `CLINVK_HOME` or
                `~/.clinvk`. Only a file that was named, here or by `CLINVK_CONFIG`, must exist.
            overrides: nested values that win over everything else.
            environ: the environment, by default that of the process; it is not kept.

        Raises:
            ConfigError: with one line per problem, never with a secret.
        """
        return cls.load_with_sources(path, overrides, environ)[0]

    @classmethod
    def load_with_sources(
        cls,
        path: Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> tuple[Self, tuple[Source, ...]]:
        """As `load`, and give the sources too, the strongest first."""
        environ = os.environ if environ is None else environ
        sources: list[Source] = [
            FlagSource(cls, overrides or {}),
            EnvironmentSource(cls, environ),
        ]
        file, required = config_path(path, environ)
        try:
            sources.append(FileSource(cls, file))
        except FileNotFoundError:
            if required:
                raise ConfigError(f"{file}: there is no such file") from None
        token = _sources.set(tuple(sources))
        try:
            return cls(), tuple(sources)
        except ValidationError as error:
            raise ConfigError("\n".join(problems.describe(error, cls, sources))) from None
        finally:
            _sources.reset(token)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, the sources of the `load` under way, and below all the built-ins."""
        return (init_settings, *_sources.get(), BuiltInSource(settings_cls))

    @field_validator("default_backend")
    @classmethod
    def _names_a_backend(cls, name: str, info: ValidationInfo) -> str:
        backends: Mapping[str, BackendSettings] | None = info.data.get("backends")
        if backends is None or name == AUTO:
            return name
        usable = [key for key, backend in backends.items() if backend.enabled]
        if name not in usable:
            raise ValueError("auto or an enabled backend: " + ", ".join(usable))
        return name

    def auto_order(self) -> tuple[str, ...]:
        """The enabled backends in the order in which `auto` tries them."""
        others = [name for name in self.backends if name not in _PREFERRED + EMBEDDED]
        order = (*_PREFERRED, *others, *EMBEDDED)
        return tuple(name for name in order if name in self.enabled_backends())

    def enabled_backends(self) -> Mapping[str, BackendSettings]:
        """The backends that may be used, by name."""
        return {name: backend for name, backend in self.backends.items() if backend.enabled}

    def configured_backends(self) -> frozenset[str]:
        """The backends somebody asked for: added, changed, or named as the default."""
        untouched = type(self)().backends
        changed = {n for n, section in self.backends.items() if untouched.get(n) != section}
        return frozenset(changed | ({self.default_backend} - {AUTO}))

    def pool_of(self, backend: str) -> PoolSettings:
        """The pool settings of a configured backend: the `pool` section under its own."""
        own = self.backends[backend].pool
        return self.pool.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})
