"""The daemon's log: structured records, as JSON lines or, on a terminal, for people."""

from __future__ import annotations

import logging
import sys

import structlog

from .config import LogSettings


def set_up(settings: LogSettings, *, debug: bool = False) -> None:
    """Send all records to standard error in the configured form.

    Args:
        debug: log at level debug whatever is configured (``CLINVK_DEBUG``).
    """
    level = logging.DEBUG if debug else logging.getLevelNamesMapping()[settings.level.upper()]
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not console),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if console
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, force=True)
