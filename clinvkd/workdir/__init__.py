"""Working directories: which ones a caller may name, and how they are entered."""

from __future__ import annotations

from .opening import open_directory
from .policy import PARAM, WorkdirPolicy, check_in_place

__all__ = ["PARAM", "WorkdirPolicy", "check_in_place", "open_directory"]
