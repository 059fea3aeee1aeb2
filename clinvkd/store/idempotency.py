"""What requests with an ``Idempotency-Key`` led to, so that the same one leads to the same."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .volatile import VolatileAnswers
    from .worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request that wants to be carried out once.

    Attributes:
        owner: name of the API key; keys of different owners have nothing to do with each other.
        route: method and path, such as ``POST /api/v1/prompt``.
        key: the caller's, as it came.
        body_digest: of the body; the same key with another one is a mistake of the caller's.
    """

    owner: str
    route: str
    key: str
    body_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What an earlier request of the same owner, route and key led to.

    Attributes:
        body_digest: of that request's body.
        state: ``running`` as long as neither an answer nor a job stands for it.
        job_id: the job it made, or None.
        status: the HTTP status of its answer, or None.
        headers: those of the answer that are to be repeated.
        body: the answer's; None when there is none, or it was in memory alone and is there no more.
        created_at: when it was claimed, seconds since the epoch.
    """

    body_digest: str
    state: Literal["running", "done"]
    job_id: str | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    created_at: float


@dataclass(frozen=True, slots=True)
class HeldAnswer:
    """An answer that is in memory alone.

    Attributes:
        since: seconds since the epoch.
    """

    headers: tuple[tuple[str, str], ...]
    body: bytes
    since: float


class Idempotency:
    """All claimed keys.

    Every method may raise `StoreUnavailable`; then nothing of the call has been kept.

    Args:
        answers: holds the answers that must not be stored.
    """

    def __init__(self, worker: Worker, answers: VolatileAnswers) -> None:
        self._worker = worker
        self._answers = answers

    async def claim(self, claim: Claim, now: float) -> StoredAnswer | None:
        """Claim a key, in one step with looking whether somebody has.

        Returns:
            None when it is the caller's to carry the request out, and to `finish` or `release` it;
            else what the first one led to so far.
        """
        before = await self._worker.write(lambda database: database.idempotency.claim(claim, now))
        if before is not None and before.body is None and (held := self._answers.get(claim)):
            return replace(before, headers=held.headers, body=held.body)
        return before

    async def finish(
        self,
        claim: Claim,
        *,
        status: int,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        content: bool = True,
    ) -> None:
        """Keep the answer of a claimed request.

        Args:
            content: whether headers and body are stored; else they are in memory alone, and stored
                is that there was an answer.
        """
        if content:
            await self._worker.write(
                lambda database: database.idempotency.finish(claim, status, headers, body)
            )
            return
        await self._worker.write(
            lambda database: database.idempotency.finish(claim, status, (), None)
        )
        self._answers.put(claim, HeldAnswer(headers, body, time.time()))

    async def release(self, claim: Claim) -> None:
        """Give a claimed key up that led to nothing: the next request is carried out."""
        await self._worker.write(lambda database: database.idempotency.release(claim))

    async def prune(self, older_than: float) -> int:
        """Forget what was claimed before `older_than` (seconds since the epoch); how many."""
        self._answers.prune(older_than)
        return await self._worker.erase(lambda database: database.idempotency.prune(older_than))
