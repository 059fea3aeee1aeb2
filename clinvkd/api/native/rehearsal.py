"""``dry_run``: the real scripts played against an agent that agrees to everything."""

from __future__ import annotations

from pathlib import Path

from ...drivers.base import Driver, Exchange, Json, Receive, Send, ServeTools
from ...errors import BackendUnavailable
from ...pool import Pool
from ...pool.locate import NotFound
from ...prompt import Prompt
from .models import DryRunAnswer

_SCRATCH = Path("/a-private-folder")
_TOOL_SERVER = "http://127.0.0.1:0/mcp"


def rehearse(pool: Pool, prompt: Prompt) -> DryRunAnswer:
    """What would be started and written for `prompt`; nothing is.

    Raises:
        BackendUnavailable: the agent is not installed.
    """
    program = pool.crew.program()
    if isinstance(program, NotFound):
        raise BackendUnavailable(
            f"backend {prompt.backend!r} is not available: not installed: {program}",
            param="backend",
        )
    launch = pool.driver.launch(pool.backend, prompt)
    name = pool.backend.command[0]
    command = [
        str(program.path) if word == name else word.replace("{scratch}", str(_SCRATCH))
        for word in launch.argv
    ]
    driver = pool.driver(pool.backend, _SCRATCH)
    lines: list[Json] = []
    _play(driver, driver.start(), lines)
    script = driver.open()
    _play(driver, script.bind(prompt), lines)
    if prompt.history:
        _play(driver, script.seed(prompt.history), lines)
    _play(driver, script.turn(prompt), lines)
    return DryRunAnswer(
        backend=prompt.backend,
        output="Would execute: " + " ".join(command),
        command=command,
        workdir=str(launch.cwd or prompt.workdir or "a private empty folder"),
        lines=lines,
    )


def _play(driver: Driver, exchange: Exchange[None], lines: list[Json]) -> None:
    """Step an exchange until it waits for something the agent would have to make up."""
    answers: list[Json] = []
    value: Json | None = None
    while True:
        try:
            step = exchange.send(value)
        except StopIteration:
            return
        value = None
        if isinstance(step, Send):
            lines.append(step.message)
            if (answer := driver.rehearse(step.message)) is not None:
                answers.append(answer)
        elif isinstance(step, ServeTools):
            value = {"url": _TOOL_SERVER, "headers": {"Authorization": "Bearer ..."}}
        elif isinstance(step, Receive):
            if not answers:
                exchange.close()
                return
            value = answers.pop(0)
            driver.route(value)
