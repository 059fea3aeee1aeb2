"""clinvk: installed AI command-line agents as HTTP APIs, from a pool of warm processes."""

from __future__ import annotations

__version__ = "0.1.0"
