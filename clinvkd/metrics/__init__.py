"""What is measured, for Prometheus.

`definitions` is the one table of all metrics and costs nothing to import. `Metrics` needs the
Prometheus client, which takes some 30 ms to import, so it is imported only where metrics are on.
"""

from __future__ import annotations

from .definitions import DEFINITIONS, Definition
from .snapshot import BackendState, Snapshot

__all__ = ["DEFINITIONS", "BackendState", "Definition", "Snapshot"]
