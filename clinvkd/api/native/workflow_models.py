"""Bodies of parallel, chain and compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from ...errors import InvalidRequest
from ...intake import Asked
from ...prompt import Message, OutputSchema, Text
from ..schemas import answer_schema
from .models import (
    AgentOptions,
    Body,
    DryRunAnswer,
    Limit,
    OperationRequest,
    PromptAnswer,
    Prompting,
)

MOST_PROMPTS = 1000
"""Most prompts of one request."""

TimeAllowed = Annotated[float, Field(gt=0, le=86_400)]
Name = Annotated[str, Field(max_length=128, pattern=r"^[^{}]*$")]


class TaskRequest(Prompting):
    """One prompt of several that run at once."""

    id: str | None = None
    """The caller's own name of the task; comes back with its result."""

    name: Name = ""
    """What people call it; comes back with its result."""

    ephemeral: bool = True
    """Keep nothing of it; `false` keeps it as a session of its own."""

    timeout_secs: TimeAllowed | None = None
    """Most seconds it may take."""


class ParallelRequest(OperationRequest):
    """Several prompts at once."""

    tasks: Annotated[list[TaskRequest], Field(min_length=1, max_length=MOST_PROMPTS)]
    """What is asked."""

    max_parallel: Limit = 0
    """Most tasks that run at the same time; 0 for `parallel.max_workers`. Of one backend there
    never run more than its pool has room for."""

    fail_fast: bool | None = None
    """Stop all other tasks when one fails; `parallel.fail_fast` when left out."""


class StepRequest(AgentOptions):
    """One step of a chain."""

    prompt: Annotated[str, Field(min_length=1)]
    """What the agent is asked, with placeholders: ``{{previous}}`` is the output of the step
    before, ``{{steps.NAME.output}}`` that of an earlier step, ``{{input}}`` the chain's input."""

    name: Name = ""
    """Under which later steps and the results speak of it."""

    backend: str | None = None
    """Name of a configured backend; the default backend when left out."""

    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """JSON Schema that the answer, one JSON value, must fit."""

    timeout_secs: TimeAllowed | None = None
    """Most seconds it may take."""

    def asked(self, workdir: str) -> Asked:
        """The request free of this dialect; `workdir` is for a step that names none."""
        asked = self.asked_of(self.backend, (Message("user", (Text(self.prompt),)),))
        output = OutputSchema(answer_schema(self.schema_, "schema")) if self.schema_ else None
        return replace(
            asked, workdir=asked.workdir or workdir or None, output=output, ephemeral=True
        )


class DoneStep(Body, extra="ignore"):
    """The result of a step that is not to run again, as an earlier answer told it."""

    exit_code: int = 0
    output: str = ""


class ChainRequest(OperationRequest):
    """Prompts one after the other. Nothing of a chain is kept as a session."""

    steps: Annotated[list[StepRequest], Field(min_length=1, max_length=MOST_PROMPTS)]
    """What is asked, in order."""

    input: str | None = None
    """What ``{{input}}`` stands for."""

    results: list[DoneStep] = Field(default_factory=list)
    """The `results` of an earlier answer to the same chain: it goes on at the first step that
    did not succeed there."""

    stop_on_failure: bool = False
    """Run no step after one that failed."""

    pass_working_dir: bool = False
    """A step that names no workdir works in that of the step before."""

    pass_session_id: bool = False
    """Not supported."""

    persist_sessions: bool = False
    """Not supported."""

    def done(self) -> list[str]:
        """Outputs of the steps that need not run again.

        Raises:
            InvalidRequest: there are more of them than steps.
        """
        if len(self.results) > len(self.steps):
            raise InvalidRequest(
                f"there are {len(self.results)} results for {len(self.steps)} steps",
                param="results",
            )
        outputs = []
        for result in self.results:
            if result.exit_code != 0:
                break
            outputs.append(result.output)
        return outputs


class JudgeRequest(AgentOptions):
    """Who judges the answers."""

    backend: str | None = None
    """Name of a configured backend; the default backend when left out."""

    timeout_secs: TimeAllowed | None = None
    """Most seconds it may take."""


class CompareRequest(OperationRequest, AgentOptions):
    """One prompt for several backends."""

    backends: Annotated[list[str], Field(min_length=1, max_length=64)]
    """Who is asked: names of configured backends, or ``backend/model``."""

    prompt: Annotated[str, Field(min_length=1)]
    """What is asked."""

    sequential: bool = False
    """Ask one after the other instead of all at once."""

    judge: str | JudgeRequest | None = None
    """A backend that gets all answers, without the names of who gave them, and says which is the
    best."""

    timeout_secs: TimeAllowed | None = None
    """Most seconds each answer may take."""


class TaskAnswer(PromptAnswer):
    """The answer to one prompt of several."""

    id: str | None = None
    name: str | None = None


class ParallelAnswer(Body):
    """What came of all tasks, in the order of the request; stopped ones count as neither."""

    total_tasks: int
    completed: int
    failed: int
    total_duration_ms: int
    results: list[TaskAnswer]


class StepAnswer(PromptAnswer):
    """What came of a step, whose number counts from 1."""

    step: int
    name: str | None = None
    resumed: Literal[True] | None = None
    """It was not run again; `output` is what the request brought."""


class ChainAnswer(Body):
    """What came of the steps that ran."""

    total_steps: int
    completed_steps: int
    failed_step: int | None = None
    """Number of the last step that failed."""
    total_duration_ms: int
    results: list[StepAnswer]


class ScoreAnswer(Body):
    """What the judge says of one answer."""

    index: int
    """Its place in `results`."""
    backend: str
    score: float
    """0 to 10."""
    comment: str


class VerdictAnswer(Body):
    """What the judge says."""

    backend: str
    """The judge."""
    winner: str | None = None
    """The backend with the best answer."""
    winner_index: int | None = None
    """The place of that answer in `results`."""
    reasoning: str | None = None
    scores: list[ScoreAnswer] | None = None
    error: str | None = None
    """Why there is no verdict."""
    duration_ms: int
    token_usage: dict[str, int] | None = None
    cost_usd: float | None = None


class CompareAnswer(Body):
    """The answers side by side, in the order of the request."""

    prompt: str
    backends: list[str]
    total_duration_ms: int
    results: list[PromptAnswer]
    verdict: VerdictAnswer | None = None


class DryRuns(Body):
    """What would be done, in the order of the request."""

    dry_run: Literal[True] = True
    results: list[DryRunAnswer]
