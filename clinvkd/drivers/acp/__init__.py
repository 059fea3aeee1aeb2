"""Any agent that speaks the Agent Client Protocol."""

from __future__ import annotations

from .driver import AcpDriver

__all__ = ["AcpDriver"]
