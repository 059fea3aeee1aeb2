"""The groups of commands, a module each; `clinvkd.cli` puts them together."""

from __future__ import annotations
