"""Claude Code, by its stream-json protocol."""

from __future__ import annotations

from .driver import ClaudeDriver

__all__ = ["ClaudeDriver"]
