"""clinvk as a service: what it says to its manager, takes from it, and how it is installed."""

from __future__ import annotations
