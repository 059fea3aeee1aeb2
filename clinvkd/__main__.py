"""`python -m clinvkd` is the command `clinvk`."""

from __future__ import annotations

from .cli import main

main(prog_name="clinvk")
