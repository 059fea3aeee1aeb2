"""How a client program is told what to do, and how it tells what happened.

Its only argument is a `Job` as JSON.  It runs its cases one after the other and prints a line of
JSON for each: ``{"case": name, "result": value}``, or ``{"case": name, "failure": traceback}``.
Whether a result is right is for the test to say.

The programs run in the clients' own environments: only the standard library is there for sure.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PATIENCE = 20.0


@dataclass(frozen=True)
class Job:
    """Where the daemon is, and what answers behind it."""

    url: str
    """The daemon's root."""
    backend: str
    """Name of the backend, which is a model's name to the client."""
    scripted: bool
    """Whether a fake provider is behind it, which obeys directives."""
    tool_prefix: str
    """What the agent puts before the name of a caller's tool when it tells its model of it."""
    scenes: dict[str, dict[str, Any]]
    """Answers of the provider that call the tool `weather`, by name."""

    @property
    def base_url(self) -> str:
        """What the clients call their base URL."""
        return f"{self.url}/openai/v1"

    def prompt(self, marker: str, **reply: Any) -> str:
        """A prompt that is recognised by its marker; `reply` scripts the provider's answer."""
        text = f"Say hello marker={marker}"
        return f"{text} %%{json.dumps(reply)}%%" if reply and self.scripted else text

    def scene(self, name: str, way: str) -> str:
        """A prompt that plays one of the scenes for one way of using a client."""
        return self.prompt(f"{way}_{name}", **self.scenes[name])

    def calling(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """An answer of the provider that is a call of one of the caller's tools."""
        return {"tools": [{"name": self.tool_prefix + tool, "arguments": arguments}]}

    def pool(self) -> dict[str, Any]:
        """The backend's pool, by `/health`."""
        with urllib.request.urlopen(f"{self.url}/health") as response:
            reports = json.load(response)["backends"]
        [report] = [report for report in reports if report["name"] == self.backend]
        return dict(report["pool"])

    def ways(self) -> Counter[str]:
        """How often its turns continued, seeded and started conversations so far."""
        return Counter(self.pool()["turns"])

    def gets_quiet(self) -> bool:
        """Whether the turns that run now end before long."""
        deadline = time.monotonic() + PATIENCE
        while busy := self.pool()["busy"]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return not busy


Case = Callable[[Job], Any]
"""Does something with the client; returns what can be written as JSON."""

CASES: dict[str, Case] = {}
"""The cases of the running program by name."""
SCRIPTED: set[str] = set()
"""Names of those that make sense only with a fake provider."""


def case(function: Case) -> Case:
    """Make a function a case of the program."""
    CASES[function.__name__] = function
    return function


def scripted(function: Case) -> Case:
    """Make a function a case that needs a fake provider."""
    SCRIPTED.add(function.__name__)
    return case(function)


def main() -> None:
    """Run the job."""
    job = Job(**json.loads(sys.argv[1]))
    # What a library prints must not get between the results.
    results, sys.stdout = sys.stdout, sys.stderr
    for name, run in CASES.items():
        if name in SCRIPTED and not job.scripted:
            continue
        try:
            outcome = {"result": run(job)}
        except Exception:  # noqa: BLE001 - the test tells what it means
            outcome = {"failure": traceback.format_exc()}
        print(json.dumps({"case": name, **outcome}), file=results, flush=True)
