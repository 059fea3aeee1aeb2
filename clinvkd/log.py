"""The daemon's log: structured records, for people on a terminal, with their fields in the journal
of systemd where standard error leads there, else as JSON lines.

Every line passes `redact` on its way out, whoever wrote it and whatever trace is in it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from . import journal
from .access_log import AccessLog, JSONLines, LineBuffer, of_the_request, structured
from .config import LogSettings
from .redaction import redact

_FIELDS = {"client": "CLINVK_KEY_NAME", "job": "CLINVK_JOB_ID"}
"""Fields of the journal that are not called as in the log; the others are `CLINVK_<NAME>`."""


def set_up(
    settings: LogSettings,
    *,
    debug: bool = False,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> AccessLog:
    """Send all records to standard error in the configured form, or to the journal behind it.

    Args:
        debug: log at level debug whatever is configured (``CLINVK_DEBUG``).
        environ: tells whether the journal is behind it (``JOURNAL_STREAM``).

    Returns:
        What takes the lines of the access log.
    """
    level = logging.DEBUG if debug else logging.getLevelNamesMapping()[settings.level.upper()]
    if settings.format == "auto" and journal.is_stderr(environ):
        _to_journal(journal.Journal(journal.SOCKET), level)
        return structured
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    access = LineBuffer(sys.stderr)
    shared: list[structlog.typing.Processor] = [
        of_the_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not console),
    ]
    # Traces without the values of variables: those are what callers said.
    renderer: list[structlog.typing.Processor] = (
        [
            _redacted(
                structlog.dev.ConsoleRenderer(
                    colors=sys.stderr.isatty() and not environ.get("NO_COLOR"),
                    exception_formatter=structlog.dev.plain_traceback,
                )
            )
        ]
        if console
        else [
            _after(access),
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            _redacted(structlog.processors.JSONRenderer()),
        ]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, force=True)
    for handler in logging.root.handlers:
        handler.setFormatter(_RedactingFormatter(logging.BASIC_FORMAT))
    return structured if console or level > logging.INFO else JSONLines(access)


def _to_journal(journal_: journal.Journal, level: int) -> None:
    structlog.configure(
        processors=[
            of_the_request,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _record,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _JournalLogger(journal_),
        cache_logger_on_first_use=True,
    )
    handler = _JournalHandler(journal_)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


class _JournalLogger:
    """What structlog gives its records to, whatever their level."""

    def __init__(self, journal_: journal.Journal) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = journal_.write
        self.msg = self.exception = self.log = journal_.write


class _JournalHandler(logging.Handler):
    """Records of libraries."""

    def __init__(self, journal_: journal.Journal) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter())  # else they get their level in front, a field here
        self._journal = journal_

    def close(self) -> None:
        """Write no more."""
        self._journal.close()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        text = self.format(record)
        event = {"event": text, "level": record.levelname.lower(), "logger": record.name}
        self._journal.write(_record(None, "", event))


def _record(logger: structlog.typing.WrappedLogger, name: str, event: Mapping[str, Any]) -> bytes:
    """A record as the journal takes it: a line for people, and each value in a field."""
    level = event.get("level", "info")
    values = {
        key: redact(value if isinstance(value, str) else repr(value))
        for key, value in event.items()
        if key not in ("event", "level", "exception", "logger")
    }
    told = " ".join([redact(str(event.get("event", ""))), *(f"{k}={v}" for k, v in values.items())])
    if trace := event.get("exception"):
        told += f"\n{redact(str(trace))}"
    fields = {_FIELDS.get(key, f"CLINVK_{key.upper()}"): value for key, value in values.items()}
    return journal.datagram(
        {
            "MESSAGE": told,
            "PRIORITY": str(journal.PRIORITIES.get(level, 6)),
            "SYSLOG_IDENTIFIER": "clinvk",
            **fields,
        }
    )


class _RedactingFormatter(logging.Formatter):
    """Records of libraries; their traces are part of the text."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _after(access: LineBuffer) -> structlog.typing.Processor:
    """Keeps the order of the lines: what waits in `access` came before this record."""

    def processor(
        logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        access.flush()
        return event

    return processor


def _redacted(render: Callable[..., str | bytes]) -> structlog.typing.Processor:
    """What `render` makes of a record, without what looks like a secret."""

    def processor(
        logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict
    ) -> str:
        line = render(logger, name, event)
        return redact(line if isinstance(line, str) else line.decode())

    return processor
