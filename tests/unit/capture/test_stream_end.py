"""What is said of a table whose stream has ended."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.capture.packing import Packing, WireForm
from pipeline.capture.table import TableCapture
from pipeline.testing.fakes import FakeLog, FakeStateStore, FakeTable, ManualClock, SeededChance
from pipeline.wiring.core import Surroundings, capture_of

Run = Callable[[Any], Any]


class World:
    """A table and its capture."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.table = FakeTable("orders", self.clock)
        around = Surroundings(
            owner="me",
            log=FakeLog("changes", self.clock),
            claims=None,
            store=FakeStateStore(),
            clock=self.clock,
            chance=SeededChance(1),
            lease_seconds=3.0,
            checkpoint_seconds=1.0,
            ring_bytes_max=1_000_000,
        )
        packing = Packing(WireForm.COMPACT, 1, 1_000_000, "us-east-1")
        self.capture: TableCapture = capture_of(around, self.table.stream(), packing)

    async def after(self, what: Callable[[], object]) -> str:
        """Return the capture's problem 20 s after something happened to a captured table."""
        task = asyncio.create_task(self.capture.run(1.0))
        self.table.put({"pk": {"S": "1"}})
        await self.clock.advance(10.0)
        assert self.capture.problem == ""
        what()
        await self.clock.advance(20.0)
        problem = self.capture.problem
        task.cancel()
        await asyncio.wait([task])
        return problem


@pytest.mark.fault("D6", "D7")
def test_the_end_of_a_stream_is_told(run: Run) -> None:
    """A table that was deleted, or whose stream was switched off, is captured to its end, and then it is a problem."""
    world = World()
    assert "the stream of table orders has ended" in run(world.after(world.table.disable_stream))


@pytest.mark.fault("D4")
def test_a_shard_that_ends_is_no_problem(run: Run) -> None:
    """A shard that rolls over is followed by its child, also when the listing shows the child late."""
    world = World()
    world.table.children_unlisted = 2
    assert run(world.after(world.table.roll)) == ""
