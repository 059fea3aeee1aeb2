"""The native API: agents as they are, under ``/api/v1``."""

from __future__ import annotations

from typing import Any, ClassVar

from ...errors import ClinvkError
from ..dialect import Dialect, Lifetime
from ..endpoint import Endpoint
from ..inspection import inspecting
from . import (
    approval_handlers,
    handlers,
    job_handlers,
    live_handlers,
    session_handlers,
    usage_handlers,
)
from .encoder import error_content
from .event_types import ErrorBody
from .jobs import jobs


class NativeDialect(Dialect):
    """Routes and errors of the native API."""

    prefix = "/api/v1"
    title = "Native API"
    error_body = ErrorBody
    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        *handlers.ENDPOINTS,
        *session_handlers.ENDPOINTS,
        *job_handlers.ENDPOINTS,
        *usage_handlers.ENDPOINTS,
        *approval_handlers.ENDPOINTS,
        *live_handlers.ENDPOINTS,
    )
    lifetimes: ClassVar[tuple[Lifetime, ...]] = (jobs, inspecting)

    @classmethod
    def render_error(cls, error: ClinvkError, request_id: str) -> dict[str, Any]:
        """``{"error": {"code", "message", "param", "type"}}``."""
        return {"error": error_content(error)}
