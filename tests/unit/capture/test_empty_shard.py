"""A shard that was empty when it was first read."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.capture.packing import Packer, Packing, WireForm
from pipeline.capture.shard import FRESH_REFUSED_MAX, ShardCapture
from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.coordination.gaps import Gaps
from pipeline.model.errors import Gap
from pipeline.model.state import Flow
from pipeline.testing.fakes import FakeLog, FakeStateStore, FakeTable, FakeTableStream, ManualClock, SeededChance

Run = Callable[[Any], Any]


class World:
    """A capture of the one shard of a table."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.table = FakeTable("orders", self.clock)
        self.stream: FakeTableStream = self.table.stream()
        self.chance = SeededChance(1)
        self.slot = CheckpointSlot(FakeStateStore(), self.clock, self.chance, "orders@capture", "me")
        self.packer = Packer(Packing(WireForm.COMPACT, 1, 1_000_000, "us-east-1"), None)
        self.log = FakeLog("changes", self.clock)

    async def captured(self, before: Callable[[], None], after: Callable[[], None], refused: int = 1) -> ShardCapture:
        """Return the capture after `before`, 5 s, `after`, reads refused, and 5 s more: less than a halt lasts."""
        (shard,) = await self.stream.shards()
        before()
        gaps = Gaps(FakeStateStore(), "changes", self.clock)
        capture = ShardCapture(self.stream, self.log, self.packer, self.slot, gaps, self.clock, self.chance, shard.id)
        task = asyncio.create_task(capture.run())
        await self.clock.advance(5.0)
        after()
        self.stream.faults.before("read", Gap("trimmed"), times=refused)
        await self.clock.advance(5.0)
        task.cancel()
        await asyncio.wait([task])
        return capture

    def put(self, number: int) -> None:
        """Write an item."""
        self.table.put({"pk": {"S": str(number)}})


def test_the_first_records_of_an_empty_shard_are_captured_at_once(run: Run) -> None:
    """An iterator that says "trimmed" though nothing was read is replaced: the shard begins at its oldest record."""
    world = World()
    capture = run(world.captured(lambda: None, lambda: world.put(1)))
    assert (capture.report.flow, capture.report.changes) == (Flow.FLOWING, 1)


def test_a_wait_says_what_it_is_and_when_it_is_over(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """The line about an empty shard says that nothing is lost, and one more says that the capture goes on, once."""
    world = World()
    with caplog.at_level("INFO", logger="pipeline.capture.shard"):
        run(world.captured(lambda: None, lambda: world.put(1)))
    waits, goes_on = caplog.messages
    assert "nothing was read of it yet, so it begins at its oldest change" in waits
    assert goes_on.endswith("goes on")


@pytest.mark.fault("D2")
def test_trimmed_after_something_was_read_is_a_gap(run: Run) -> None:
    """Once a change was read, "trimmed" means that changes are lost: the shard halts."""
    world = World()
    capture = run(world.captured(lambda: world.put(1), lambda: world.put(2)))
    assert (capture.report.flow, capture.report.changes) == (Flow.HALTED, 1)


def test_a_record_between_iterator_and_read_is_no_gap(run: Run) -> None:
    """A new iterator of an empty shard may be refused too, when the first record came in between: it is replaced."""
    world = World()
    world.stream.faults.before("read", Gap("trimmed"))
    capture = run(world.captured(lambda: world.put(1), lambda: None, refused=0))
    assert (capture.report.flow, capture.report.changes) == (Flow.FLOWING, 1)


@pytest.mark.fault("D2")
def test_trimmed_at_the_oldest_record_again_and_again_is_a_gap(run: Run) -> None:
    """New iterators that are all refused are not mended by another: the shard halts, and is not retried for ever."""
    world = World()
    world.stream.faults.before("read", Gap("trimmed"), times=10)
    capture = run(world.captured(lambda: None, lambda: None))
    assert capture.report.flow is Flow.HALTED
    assert world.stream.faults.calls["read"] == FRESH_REFUSED_MAX + 1
