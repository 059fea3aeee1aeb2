"""The native API: agents as they are, under ``/api/v1``."""

from __future__ import annotations

from typing import Any, ClassVar

from ...errors import ClinvkError
from ..dialect import Dialect
from ..endpoint import Endpoint
from .encoder import error_content
from .handlers import ENDPOINTS


class NativeDialect(Dialect):
    """Routes and errors of the native API."""

    prefix = "/api/v1"
    endpoints: ClassVar[tuple[Endpoint, ...]] = ENDPOINTS

    @classmethod
    def render_error(cls, error: ClinvkError, request_id: str) -> dict[str, Any]:
        """``{"error": {"code", "message", "param", "type"}}``."""
        return {"error": error_content(error)}
