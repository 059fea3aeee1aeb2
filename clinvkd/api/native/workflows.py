"""Parallel, chain and compare as operations of the native API.

Everything is checked before anything runs: an error names the task or step by its index.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace

from pydantic import BaseModel, JsonValue

from ...engine import Engine
from ...errors import ClinvkError, InvalidRequest
from ...keys import Caller
from ...prompt import Message, Prompt, Text
from ...workflows import (
    Chain,
    Compare,
    Lane,
    Outcome,
    Parallel,
    Placeholders,
    Step,
    Workflow,
)
from .answers import answer_of_lane
from .lanes import Happening, LanesEncoder
from .models import DryRunAnswer, PromptAnswer
from .operation import Operation, Ready, Running
from .prompting import check
from .rehearsal import rehearse
from .workflow_models import (
    ChainAnswer,
    ChainRequest,
    CompareAnswer,
    CompareRequest,
    DryRuns,
    JudgeRequest,
    ParallelAnswer,
    ParallelRequest,
    ScoreAnswer,
    StepAnswer,
    TaskAnswer,
    VerdictAnswer,
)

_JUDGED = "(the answers of the others)"


async def prepare_parallel(engine: Engine, caller: Caller, body: ParallelRequest) -> Ready:
    """See `Operation`."""
    lanes: list[Lane] = []
    ignored: dict[str, None] = {}
    for index, task in enumerate(body.tasks):
        with _at(f"tasks[{index}]"):
            checked = await check(engine, caller, task)
        ignored |= dict.fromkeys(checked.ignored)
        lanes.append(
            Lane(
                index=index,
                prompt=checked.approved.prompt,
                keeping=checked.keeping,
                session_id=checked.session_id,
                seconds_allowed=task.timeout_secs,
            )
        )
    settings = engine.settings.parallel
    most = _at_most(body.max_parallel or settings.max_workers, caller)
    fail_fast = settings.fail_fast if body.fail_fast is None else body.fail_fast

    def answer(workflow: Workflow) -> ParallelAnswer:
        return ParallelAnswer(
            total_tasks=len(lanes),
            completed=_number(lanes, Outcome.COMPLETED),
            failed=_number(lanes, Outcome.FAILED),
            total_duration_ms=_milliseconds(workflow.seconds),
            results=[
                TaskAnswer(**dict(answer_of_lane(lane)), id=task.id, name=task.name or None)
                for lane, task in zip(lanes, body.tasks, strict=True)
            ],
        )

    return Ready(
        _runner(
            lambda: Parallel(engine, lanes, most=most, fail_fast=fail_fast),
            lambda lane: {"task": lane.index},
            answer,
        ),
        lambda: _rehearsed(engine, [lane.prompt for lane in lanes]),
        tuple(ignored),
        asks=_asking((f"tasks[{lane.index}].", lane) for lane in lanes),
    )


async def prepare_chain(engine: Engine, caller: Caller, body: ChainRequest) -> Ready:
    """See `Operation`."""
    if body.pass_session_id or body.persist_sessions:
        raise InvalidRequest(
            "chain is always ephemeral; pass_session_id and persist_sessions are not supported",
            param="pass_session_id" if body.pass_session_id else "persist_sessions",
        )
    placeholders = Placeholders([Step(s.name, s.prompt) for s in body.steps], body.input)
    placeholders.check()
    done = body.done()
    lanes: list[Lane] = []
    ignored: dict[str, None] = {}
    workdir = ""
    for index, step in enumerate(body.steps):
        with _at(f"steps[{index}]"):
            approved = await engine.approve(step.asked(workdir), caller)
        if body.pass_working_dir:
            workdir = step.workdir or workdir
        ignored |= dict.fromkeys(approved.ignored)
        lanes.append(
            Lane(
                index=index,
                prompt=approved.prompt,
                name=step.name,
                seconds_allowed=step.timeout_secs,
            )
        )

    def answer(workflow: Workflow) -> ChainAnswer:
        failed = [lane.index + 1 for lane in lanes if lane.outcome is Outcome.FAILED]
        return ChainAnswer(
            total_steps=len(lanes),
            completed_steps=len(done) + _number(lanes, Outcome.COMPLETED),
            failed_step=failed[-1] if failed else None,
            total_duration_ms=_milliseconds(workflow.seconds),
            results=[
                *(_resumed(lane, output) for lane, output in zip(lanes, done, strict=False)),
                *(_step(lane) for lane in lanes if lane.outcome is not None),
            ],
        )

    return Ready(
        _runner(
            lambda: Chain(
                engine, lanes, placeholders, done=done, stop_on_failure=body.stop_on_failure
            ),
            _step_tag,
            answer,
        ),
        lambda: _rehearsed(engine, [lane.prompt for lane in lanes]),
        tuple(ignored),
        asks=_asking((f"steps[{lane.index}].", lane) for lane in lanes),
    )


async def prepare_compare(engine: Engine, caller: Caller, body: CompareRequest) -> Ready:
    """See `Operation`."""
    message = Message("user", (Text(body.prompt),))
    lanes: list[Lane] = []
    ignored: dict[str, None] = {}
    for index, name in enumerate(body.backends):
        backend, _, model = name.partition("/")
        asked = body.asked_of(backend, (message,))
        asked = replace(asked, model=model or asked.model, ephemeral=True)
        with _at(f"backends[{index}]", exactly=True):
            approved = await engine.approve(asked, caller)
        ignored |= dict.fromkeys(approved.ignored)
        lanes.append(Lane(index=index, prompt=approved.prompt, seconds_allowed=body.timeout_secs))
    judge = None
    if body.judge is not None:
        judge = await _judge(engine, caller, body.judge, len(lanes))
    most = 1 if body.sequential else _at_most(len(lanes), caller)

    def compare() -> Compare:
        return Compare(engine, lanes, most=most, judge=judge)

    def answer(workflow: Workflow) -> CompareAnswer:
        assert isinstance(workflow, Compare)
        return CompareAnswer(
            prompt=body.prompt,
            backends=body.backends,
            total_duration_ms=_milliseconds(workflow.seconds),
            results=[answer_of_lane(lane) for lane in lanes],
            verdict=_verdict(workflow),
        )

    return Ready(
        _runner(compare, _compare_tag, answer),
        lambda: _rehearsed(engine, [lane.prompt for lane in lanes]),
        tuple(ignored),
        asks=_asking([*(("", lane) for lane in lanes), *([("judge.", judge)] if judge else [])]),
    )


PARALLEL = Operation("parallel", ParallelRequest, prepare_parallel)
CHAIN = Operation("chain", ChainRequest, prepare_chain)
COMPARE = Operation("compare", CompareRequest, prepare_compare)


async def _judge(engine: Engine, caller: Caller, judge: str | JudgeRequest, index: int) -> Lane:
    asked = JudgeRequest(backend=judge) if isinstance(judge, str) else judge
    message = Message("user", (Text(_JUDGED),))
    with _at("judge"):
        approved = await engine.approve(
            replace(asked.asked_of(asked.backend, (message,)), ephemeral=True), caller
        )
    return Lane(
        index=index, prompt=approved.prompt, judging=True, seconds_allowed=asked.timeout_secs
    )


@contextmanager
def _at(place: str, *, exactly: bool = False) -> Iterator[None]:
    """Say in an error of the body which of several prompts it is about.

    Args:
        exactly: the place is itself the field at fault.
    """
    try:
        yield
    except ClinvkError as error:
        whole = exactly or error.param is None
        error.param = place if whole else f"{place}.{error.param}"
        error.message = f"{place}: {error.message}"
        raise


def _runner(
    make: Callable[[], Workflow],
    tag: Callable[[Lane], Mapping[str, JsonValue]],
    answer: Callable[[Workflow], BaseModel],
) -> Callable[[str], AbstractAsyncContextManager[Running[Happening]]]:
    @asynccontextmanager
    async def run(content_type: str) -> AsyncIterator[Running[Happening]]:
        workflow = make()
        async with workflow.running() as told:

            async def happenings() -> AsyncIterator[Happening]:
                async for each in told:
                    yield each
                yield answer(workflow)

            yield Running(happenings(), LanesEncoder(content_type, tag), lambda: answer(workflow))

    return run


def _rehearsed(engine: Engine, prompts: Sequence[Prompt]) -> DryRuns:
    results: list[DryRunAnswer] = [
        rehearse(engine.pool(prompt.backend), prompt) for prompt in prompts
    ]
    return DryRuns(results=results)


def _asking(lanes: Iterable[tuple[str, Lane]]) -> str | None:
    """The field of the first lane whose agent asks the caller; each comes with its place."""
    return next(
        (f"{place}approval_mode" for place, lane in lanes if lane.prompt.permissions.asks), None
    )


def _at_most(wanted: int, caller: Caller) -> int:
    """How many turns may run at once for a caller whose key may be limited."""
    allowed = caller.scopes.concurrent_turns
    return wanted if allowed is None else max(1, min(wanted, allowed))


def _step_tag(lane: Lane) -> Mapping[str, JsonValue]:
    return {"step": lane.index + 1, **({"name": lane.name} if lane.name else {})}


def _compare_tag(lane: Lane) -> Mapping[str, JsonValue]:
    return {"judge": True} if lane.judging else {"index": lane.index}


def _step(lane: Lane) -> StepAnswer:
    return StepAnswer(**dict(answer_of_lane(lane)), step=lane.index + 1, name=lane.name or None)


def _resumed(lane: Lane, output: str) -> StepAnswer:
    return StepAnswer(
        backend=lane.prompt.backend,
        duration_ms=0,
        output=output,
        step=lane.index + 1,
        name=lane.name or None,
        resumed=True,
    )


def _verdict(compare: Compare) -> VerdictAnswer | None:
    judge, verdict = compare.judge, compare.verdict
    if judge is None:
        return None
    about: PromptAnswer = answer_of_lane(judge)
    if verdict is None:
        reason = about.error or "fewer than two answers completed"
        return VerdictAnswer(
            backend=judge.prompt.backend, error=reason, duration_ms=about.duration_ms
        )
    return VerdictAnswer(
        backend=judge.prompt.backend,
        winner=verdict.winner.prompt.backend,
        winner_index=verdict.winner.index,
        reasoning=verdict.reasoning,
        scores=[
            ScoreAnswer(
                index=score.lane.index,
                backend=score.lane.prompt.backend,
                score=score.score,
                comment=score.comment,
            )
            for score in verdict.scores
        ],
        duration_ms=about.duration_ms,
        token_usage=about.token_usage,
        cost_usd=about.cost_usd,
    )


def _number(lanes: Sequence[Lane], outcome: Outcome) -> int:
    return sum(lane.outcome is outcome for lane in lanes)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
