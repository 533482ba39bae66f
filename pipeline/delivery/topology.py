"""One topology in one worker: its sink, and a batch offered to it until it is durable."""

import logging
from collections.abc import Callable, Collection
from functools import partial

from pipeline.coordination.persist import HALT_SECONDS, rest
from pipeline.delivery.appetite import Appetite
from pipeline.delivery.breaker import Breaker, BreakerState
from pipeline.delivery.follower import Follower
from pipeline.delivery.keeper import DEADLINE_SECONDS, SinkKeeper
from pipeline.delivery.redrive import SETTLE_SECONDS
from pipeline.model.change import Batch
from pipeline.model.errors import LeaseLost, PipelineError, Rejected, RetryLater
from pipeline.model.state import Flow, Report
from pipeline.plugin import Sink
from pipeline.ports import Chance, Clock
from pipeline.wire.attributes import AttributeGuard

UNPARKED = "with a section [quarantine] these and their keys' later changes wait; the rest flows"
"""What to do about a refusal where there is no quarantine."""

logger = logging.getLogger(__name__)


class TopologyRunner:
    """Offers batches to the topology's sink, and turns what goes wrong into a wait that is seen.

    Nothing is skipped: `deliver` returns only when the sink has returned, in time. `make` makes a sink. What it and
    the quarantine are given went through `guard`.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Sink],
        appetite: Appetite,
        clock: Clock,
        chance: Chance,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        guard: AttributeGuard | None = None,
    ) -> None:
        self.name = name
        self.appetite = appetite
        self.breaker = Breaker(clock, chance)
        self.sinks = SinkKeeper(name, make, clock, deadline_seconds)
        self._clock = clock
        self._guard = guard

    @property
    def tables(self) -> Collection[str]:
        """Return the source tables this topology gets."""
        return self.appetite.tables

    async def deliver(self, batch: Batch, follower: Follower) -> None:
        """Return when the batch is durable at the sink, however long that takes; the report shows why it takes long.

        With a quarantine it may also be there, all of it or some.
        """
        attempt, report = 0, follower.cursor.report
        while True:
            await self._let_pass(batch, follower)
            try:
                await self._write(batch, follower)
            except RetryLater as error:
                attempt += 1
                self._say(report, Flow.RETRYING, batch, error, attempt)
                await self._clock.sleep(self.breaker.pause_seconds(attempt, error.after_seconds))
            except PipelineError as error:
                attempt += 1
                lost = isinstance(error, LeaseLost)  # another worker has the shard: this task is about to be ended
                self._say(report, Flow.RETRYING if lost else Flow.HALTED, batch, error, attempt)
                await rest(self._clock, HALT_SECONDS, report)
            else:
                report.flowing()
                self._sign_of_life(report)
                return

    async def _let_pass(self, batch: Batch, follower: Follower) -> None:
        """While a batch stands for want of room in quarantine, deliver what is put through: it comes before."""
        cursor = follower.cursor
        while cursor.held and cursor.standing and not batch.asked_by:
            if cursor.redriven is not None and (ahead := cursor.redriven.take()) is not None:
                await self.deliver(ahead, follower)
                cursor.settle(ahead)
            self._sign_of_life(cursor.report)
            await self._clock.sleep(SETTLE_SECONDS)

    async def _write(self, batch: Batch, follower: Follower) -> None:
        waits = partial(self._waits, follower.cursor.report)

        async def call(part: Batch) -> None:
            if part.changes or self.appetite.ranges:
                await self.breaker.offer(partial(self.sinks.write, part), waits)

        async def write(part: Batch) -> None:
            await self.breaker.ready(waits)  # what waits here for long is not marked, and has not the turn
            await follower.witness.through(part, call)

        if self._guard is not None:
            batch = self._guard.batch(batch)
        if follower.parking is not None:
            await follower.parking.through(batch, write)
            return
        follower.must_have_quarantine()
        try:
            await write(batch)
        except Rejected as error:
            error.hint = error.hint or UNPARKED
            raise

    async def close(self) -> None:
        """Close the sink if it was opened."""
        await self.sinks.close()

    def _sign_of_life(self, report: Report) -> None:
        report.moved_at = self._clock.monotonic()

    def _waits(self, report: Report) -> None:
        """Say that a batch waits for the destination, though its own call did not fail: it was not made yet."""
        self._sign_of_life(report)
        if self.breaker.state is not BreakerState.CLOSED and report.flow not in {Flow.RETRYING, Flow.HALTED}:
            report.trouble(Flow.RETRYING, f"waits while the breaker is {self.breaker.state}: {self.breaker.reason}")

    def _say(self, report: Report, flow: Flow, batch: Batch, error: PipelineError, attempt: int) -> None:
        report.trouble(flow, error.reason, error.hint, attempt)
        self._sign_of_life(report)
        log = logger.warning if flow is Flow.RETRYING else logger.error
        where = f"{self.name} on {batch.shard} at positions {batch.first}-{batch.last}"
        log("topology %s is %s (attempt %d): %s", where, flow, attempt, error)
