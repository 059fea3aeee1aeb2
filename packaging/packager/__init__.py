"""Makes the packages of clinvk: wheel, sdist, deb, rpm, and the recipes of Homebrew and Arch.

It needs pip, hatchling and `packaging`, and nothing of clinvk itself:

    PYTHONPATH=packaging python -m packager all
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout, or the unpacked sdist."""
