"""The pool of one backend: finds a conversation for every prompt.

A turn finds its conversation in one of three ways, tried in this order:

1. *continue*: a parked conversation already holds exactly the history the caller sent.
2. *seed*: an agent that is ready takes a new conversation, and the history is put into it.
3. *start*: no agent is ready, so one is started, within the limit; at the limit the caller
   waits in a bounded queue.

All bookkeeping is synchronous: decide and record without awaiting, do slow work afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ..approvals import Relay
from ..config import Backend
from ..drivers.base import Driver, Exchange, Launch, Script
from ..errors import BackendUnavailable, ClinvkError, ShuttingDown
from ..prompt import Prompt
from ..shaping import Shaper
from ..workdir import check_in_place
from .agent import Agent, House, State
from .conversation import Conversation
from .crew import Crew
from .turn import Budgets, Turn, Way


@dataclass(frozen=True, slots=True)
class Figures:
    """What a pool holds right now, and how its turns found their conversations so far."""

    agents: int
    starting: int
    spares: int
    busy: int
    parked: int
    queued: int
    restarts: int
    turns: Mapping[Way, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A caller in the queue, and the agent it gets: reserved for it when the result is set."""

    launch: Launch
    agent: asyncio.Future[Agent]


class Pool:
    """The conversations of one backend.

    Args:
        backend: its configuration.
        driver: the class of its driver.
        house: what all pools share.
        default: a prompt as most callers send it; spares are started for it.

    Attributes:
        crew: the agents that hold the conversations.
    """

    def __init__(
        self, backend: Backend, driver: type[Driver], house: House, default: Prompt
    ) -> None:
        self.backend = backend
        self.driver = driver
        self.crew = Crew(backend, driver, house, driver.launch(backend, default), self)
        self._limits = backend.pool
        self._house = house
        self._parked: OrderedDict[str, Conversation] = OrderedDict()
        self._queue: deque[_Place] = deque()
        self._turns: Counter[Way] = Counter()
        self._running: set[Turn] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._closing = False

    # For callers.

    @asynccontextmanager
    async def turn(self, prompt: Prompt, total_secs: float) -> AsyncIterator[Turn]:
        """Run `prompt` as a turn of at most `total_secs`; leaving early interrupts it.

        Raises:
            BackendUnavailable: not installed, not startable, down, or the queue is full.
            InvalidRequest: the workdir is not there any more.
        """
        conversation, way = await self._acquire(prompt)
        self._turns[way] += 1
        conversation.agent.turns += 1
        script = conversation.script
        exchange = script.turn(prompt) if way is Way.CONTINUE else _opening(script, prompt)
        budgets = Budgets(
            self._limits.first_byte_timeout_secs, self._limits.idle_timeout_secs, total_secs
        )
        relay = Relay(self._house.approvals, prompt.client, self._limits.approval_timeout_secs)
        play = conversation.begin(exchange, relay)
        turn = Turn(conversation, play, prompt, way, budgets, self._shaper(prompt))
        turn.when_completed.append(lambda: self._release(turn))
        self._running.add(turn)
        self._quiet.clear()
        try:
            yield turn
        finally:
            self._release(turn)

    def figures(self) -> Figures:
        """What it holds right now."""
        agents = list(self.crew)
        return Figures(
            agents=len(agents),
            starting=sum(agent.state is State.STARTING for agent in agents),
            spares=sum(agent.state is State.READY and not agent.conversations for agent in agents),
            busy=len(self._running),
            parked=len(self._parked),
            queued=len(self._queue),
            restarts=self.crew.restarts,
            turns=dict(self._turns),
        )

    # Lifetime.

    def same_as(self, other: Pool) -> bool:
        """Whether the other pool would start the same agents in the same way."""
        return self.backend == other.backend and self.crew.default == other.crew.default

    def open(self) -> None:
        """Begin to keep spares ready."""
        self.crew.keep_warm()

    def tend(self) -> None:
        """Let go what is too old or too long idle; called every few seconds."""
        now = time.monotonic()
        for key, conversation in list(self._parked.items()):
            if now - conversation.idle_since > self._limits.idle_secs:
                self._unpark(key)
        self.crew.tend()

    async def drain(self, grace: float) -> None:
        """Take no more turns; give running ones `grace` seconds, then end them in-band."""
        self._closing = True
        self._serve_queue()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._quiet.wait()
        for turn in self._running:
            turn.give_up(ShuttingDown("the daemon is stopping; the turn was ended", retry_after=5))

    async def aclose(self) -> None:
        """End every agent; after `drain`."""
        self._closing = True
        self._parked.clear()
        await self.crew.aclose()

    # Finding a conversation.

    async def _acquire(self, prompt: Prompt) -> tuple[Conversation, Way]:
        self._refuse_when_closing()
        if prompt.history and (conversation := self._parked.pop(prompt.key(prompt.history), None)):
            if conversation.script.reusable and conversation.script.serves(prompt):
                return conversation, Way.CONTINUE
            self._discard(conversation)  # spoiled while it was parked, or bound otherwise
        launch = self.driver.launch(self.backend, prompt)
        agent = None if self._queue else self.crew.reserve(launch)
        if agent is None:
            agent = await self._queue_for(launch)
        way = Way.SEED if agent.state is State.READY else Way.START
        try:
            await agent.ready()
            if prompt.workdir is not None:
                # It may have changed in the queue, and not every agent is started in it.
                await asyncio.to_thread(check_in_place, prompt.workdir)
            self._refuse_when_closing()
            conversation = agent.open()
        except BaseException:
            self._give_back(agent)
            raise
        agent.reserved -= 1
        self.crew.refill_later()
        return conversation, way

    async def _queue_for(self, launch: Launch) -> Agent:
        if len(self._queue) >= self._limits.queue_length:
            raise self._full(f"{len(self._queue)} requests wait already")
        wait = self._limits.queue_wait_secs
        place = _Place(launch, asyncio.get_running_loop().create_future())
        self._queue.append(place)
        try:
            async with asyncio.timeout(wait):
                return await place.agent
        except BaseException as error:
            if place in self._queue:
                self._queue.remove(place)
                self._serve_queue()  # the next one may want another agent, and there may be one
            elif not place.agent.cancelled() and place.agent.exception() is None:
                self._give_back(place.agent.result())  # it came when the caller had left
            if isinstance(error, TimeoutError):
                raise self._full(f"none got free within {wait:g} s") from None
            raise

    def _full(self, why: str) -> BackendUnavailable:
        return BackendUnavailable(
            f"backend {self.backend.name!r} is busy: its {self.crew.most} agents are at work"
            f" and {why}",
            retry_after=max(1, int(self._limits.queue_wait_secs / 4)),
        )

    def _refuse_when_closing(self) -> None:
        if self._closing:
            raise ShuttingDown("the daemon is stopping", retry_after=5)

    def _serve_queue(self) -> None:
        """Give agents to those who wait, strictly in their order: nobody is passed by."""
        while self._queue:
            place = self._queue[0]
            if not place.agent.done():
                try:
                    self._refuse_when_closing()
                    agent = self.crew.reserve(place.launch)
                except BackendUnavailable as error:
                    place.agent.set_exception(error)
                else:
                    if agent is None:
                        return
                    place.agent.set_result(agent)
            self._queue.popleft()

    def _give_back(self, agent: Agent) -> None:
        """A place that was reserved is not needed after all."""
        agent.reserved -= 1
        self.room()

    def _shaper(self, prompt: Prompt) -> Shaper | None:
        """What makes true what the agent cannot, or None when there is nothing of it."""
        abilities = self.driver.abilities_for(self.backend, prompt)
        stop = () if "stop" in abilities.honours else prompt.sampling.stop
        most = prompt.max_tokens if "max_tokens" in abilities.ignores else None
        return Shaper(prompt, stop, most) if stop or most else None

    # After a turn.

    def _release(self, turn: Turn) -> None:
        if turn not in self._running:
            return  # it was released when it completed
        self._running.discard(turn)
        if not self._running:
            self._quiet.set()
        turn.stop_watching()
        conversation = turn.conversation
        if turn.running:
            self._house.background.start(self._settle(turn), f"settle {conversation.agent.id}")
            return
        conversation.play = None
        conversation.idle_since = time.monotonic()
        usable = conversation.script.reusable and conversation.agent in self.crew
        if turn.completed is not None:
            self.crew.proved(conversation.agent)
        if turn.completed is not None and not turn.cut and usable and not self._closing:
            self._park(turn)
        else:
            self._discard(conversation)
        self.room()

    async def _settle(self, turn: Turn) -> None:
        """The caller has left: have the agent stop, see it happen, and clean up."""
        conversation = turn.conversation
        play = conversation.play
        assert play is not None
        deaf = False
        try:
            conversation.interrupt()
            conversation.taken()  # it may not be read because the caller was slow
            async with asyncio.timeout(self._limits.stop_grace_secs):
                await play.finish()
        except TimeoutError:
            deaf = True
        except ClinvkError:
            pass  # an interrupted turn may end as an error: it has ended
        finally:
            conversation.play = None
            self._discard(conversation)
            self.room()
        if deaf:
            self.crew.withdraw(conversation.agent, "it did not react to an interrupt")

    def _park(self, turn: Turn) -> None:
        key = turn.prompt.key((*turn.prompt.messages, turn.reply))
        if key in self._parked:
            self._unpark(key)
        self._parked[key] = turn.conversation
        while len(self._parked) > self._limits.parked:
            self._unpark(next(iter(self._parked)))

    def _unpark(self, key: str) -> None:
        self._discard(self._parked.pop(key))

    def _discard(self, conversation: Conversation) -> None:
        """The conversation is over; so is its agent when it can hold only this one."""
        conversation.close()
        if conversation.agent.capacity == 1:
            self.crew.let_go(conversation.agent)
        else:
            self.crew.stop_when_idle(conversation.agent)

    # What the crew asks.

    def room(self) -> None:
        """An agent got ready or went away, or a turn ended."""
        self._serve_queue()
        self.crew.refill_later()

    def gone(self, agent: Agent) -> None:
        """Forget the parked conversations of `agent`."""
        for key in [key for key, c in self._parked.items() if c.agent is agent]:
            del self._parked[key]

    def give_up_shared(self, launch: Launch) -> bool:
        """End the longest parked conversation in an agent of `launch` that can hold several."""
        for key, conversation in self._parked.items():
            if conversation.agent.capacity > 1 and conversation.agent.launch == launch:
                self._unpark(key)
                return True
        return False

    def give_up_parked(self) -> bool:
        """End the longest parked conversation that has a process of its own."""
        for key, conversation in self._parked.items():
            if conversation.agent.capacity == 1:
                self._unpark(key)
                return True
        return False

    @property
    def waiting(self) -> bool:
        """Whether callers wait for an agent."""
        return bool(self._queue)


def _opening(script: Script, prompt: Prompt) -> Exchange[None]:
    yield from script.bind(prompt)
    if prompt.history:
        yield from script.seed(prompt.history)
    yield from script.turn(prompt)
