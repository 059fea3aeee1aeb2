"""Several prompts as one piece of work: in parallel, in a chain, compared.

All are compositions of `Engine.turn` and know nothing of HTTP. Each prompt runs in a `Lane`; what
the lanes tell comes as one stream of `Told`.
"""

from __future__ import annotations

from .chain import Chain, Placeholders, Step
from .compare import Compare, Verdict
from .lanes import Lane, Outcome, Told, Workflow
from .parallel import Parallel

__all__ = [
    "Chain",
    "Compare",
    "Lane",
    "Outcome",
    "Parallel",
    "Placeholders",
    "Step",
    "Told",
    "Verdict",
    "Workflow",
]
