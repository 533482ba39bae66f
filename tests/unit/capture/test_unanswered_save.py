"""A save that was stored, and whose answer was an error that needs a person."""

import asyncio

from pipeline.capture.packing import Packer, Packing, WireForm
from pipeline.capture.shard import ShardCapture
from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.coordination.gaps import Gaps
from pipeline.coordination.persist import HALT_SECONDS
from pipeline.model.errors import Misconfigured
from pipeline.model.state import Flow
from pipeline.testing.fakes import FakeLog, FakeStateStore, FakeTable, ManualClock, SeededChance


def test_after_a_halt_the_capture_begins_where_its_checkpoint_is() -> None:
    """What was saved may be trimmed: whoever reads on before it takes an old record's end for a loss."""

    async def story() -> None:
        clock, store, chance = ManualClock(), FakeStateStore(), SeededChance(1)
        table, log = FakeTable("orders", clock), FakeLog("changes", clock)
        stream = table.stream()
        (shard,) = await stream.shards()
        slot = CheckpointSlot(store, clock, chance, "orders@capture", "me")
        packer = Packer(Packing(WireForm.COMPACT, 1, 1_000_000, "us-east-1"), None)
        gaps = Gaps(FakeStateStore(), "changes", clock)
        capture = ShardCapture(stream, log, packer, slot, gaps, clock, chance, shard.id)
        for number in range(3):
            table.put({"pk": {"S": str(number)}})
        store.faults.after("write", Misconfigured("access denied"), skip=1)
        task = asyncio.create_task(capture.run())
        await clock.advance(5.0)
        assert capture.report.flow is Flow.HALTED
        table.trim(stream_end(table))
        table.put({"pk": {"S": "3"}})
        await clock.advance(HALT_SECONDS + 5.0)
        task.cancel()
        await asyncio.wait([task])
        assert (capture.report.flow, capture.report.changes) == (Flow.FLOWING, 4)

    asyncio.run(story())


def stream_end(table: FakeTable) -> int:
    """Return the sequence of the newest record."""
    return max(change.sequence for shard in table._leaves() for change in shard.tape._records)
