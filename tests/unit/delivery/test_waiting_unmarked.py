"""What waits for its destination is not marked as being written."""

import asyncio

import pytest

from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.delivery.appetite import Appetite
from pipeline.delivery.breaker import FAILURES_MAX, BreakerState
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.follower import Follower
from pipeline.delivery.topology import TopologyRunner
from pipeline.delivery.witness import STARTS_MAX, Turn
from pipeline.model.errors import RetryLater
from pipeline.model.progress import Checkpoint
from pipeline.model.state import Report
from pipeline.plugin import Batch
from pipeline.testing.changes import CHANGES, SHARD, STREAM, batch
from pipeline.testing.clock import ManualClock, SeededChance
from pipeline.testing.fakes import FakeStateStore

PROBES = 5


class Down:
    """A sink whose destination refuses all; it notes whether each call found the turn taken."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.found: list[bool] = []

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, given: Batch) -> None:
        """Refuse."""
        self.found.append(self.turn.taken)
        raise RetryLater("out")

    async def close(self) -> None:
        """Do nothing."""


@pytest.mark.fault("P6", "R4")
def test_while_a_breaker_waits_for_its_probe_the_turn_is_free() -> None:
    """In doubt each call has the turn and a mark; between two probes nothing is marked and the turn is free."""

    async def story() -> None:
        clock, turn, store = ManualClock(), Turn(), FakeStateStore()
        for _ in range(STARTS_MAX):
            slot = CheckpointSlot(store, clock, SeededChance(1), f"{SHARD}@sink", "me")
            appetite = Appetite(10, 1000, 0.0, frozenset({"orders"}), False, "sink")
            follower = Follower(Cursor(STREAM, SHARD, appetite, Report(moved_at=0.0)), slot, turn, clock)
            await follower.begin(Checkpoint())
        sink = Down(turn)
        runner = TopologyRunner("sink", lambda: sink, appetite, clock, SeededChance(1))
        task = asyncio.ensure_future(runner.deliver(batch(CHANGES, 1, 6), follower))
        while len(sink.found) < FAILURES_MAX + PROBES:
            await clock.advance(0.1)
            waits = runner.breaker.state is BreakerState.OPEN
            assert not (waits and (turn.taken or follower.slot.evidence.offers))
        assert all(sink.found)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(story())
