"""Looks for whatever could keep clinvk from working: what a support person would ask for first.

Every check is a function that gives its findings; none of them changes anything.
"""

from __future__ import annotations

from .examination import Finding, Verdict, examine
from .machine_service import examine_service, is_meant, is_permitted

__all__ = ["Finding", "Verdict", "examine", "examine_service", "is_meant", "is_permitted"]
