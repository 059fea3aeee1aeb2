"""Codex, by its app-server protocol."""

from __future__ import annotations

from .driver import CodexDriver

__all__ = ["CodexDriver"]
