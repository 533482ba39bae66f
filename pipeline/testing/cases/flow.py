"""Cases 40 and 50: a sink behind the real cursor of delivery, which holds back and counts."""

import asyncio

from pipeline.delivery.appetite import Appetite
from pipeline.delivery.cursor import INFLIGHT_BATCHES_MAX, Cursor
from pipeline.delivery.reader import Page
from pipeline.model.progress import Checkpoint
from pipeline.model.state import Report
from pipeline.testing.changes import CHANGES, SHARD, STREAM, batch
from pipeline.testing.clock import turn
from pipeline.testing.faults import Faults, Trouble
from pipeline.testing.rig import Rig, offer
from pipeline.wire.record import Record

BATCH_CHANGES = 2


class Flow(Rig):
    """Cases 40 and 50: a sink behind the real cursor of delivery, which holds back and counts."""

    def test_40_a_slow_destination_holds_back_the_reading(self) -> None:
        """While a write hangs delivery takes no more than its bound; then it goes on and has counted every change."""

        async def case() -> None:
            awake, faults, stores = asyncio.Event(), Faults(), self.make_stores()
            sink = await self.open(stores, faults)
            cursor = _cursor()
            left = _feed(cursor, 0)
            first = cursor.take(0.0)
            assert first is not None
            faults.at_next_call("before", _until(awake))
            writing = asyncio.create_task(offer(sink, first))
            await turn()
            taken = [first, *iter(lambda: cursor.take(0.0), None)]
            left = _feed(cursor, left)
            assert len(taken) <= INFLIGHT_BATCHES_MAX
            assert not cursor.hungry
            assert left < len(CHANGES), "nothing was held back"
            awake.set()
            await writing
            cursor.settle(taken.pop(0))
            while taken or left < len(CHANGES) or cursor.settled.position < len(CHANGES):
                for each in taken:
                    await offer(sink, each)
                    cursor.settle(each)
                left = _feed(cursor, left)
                taken = list(iter(lambda: cursor.take(0.0), None))
            await self.holds(stores, batch(CHANGES, 1, len(CHANGES)))
            assert cursor.report.changes == len(CHANGES)

        asyncio.run(case())


def _cursor() -> Cursor:
    cursor = Cursor(STREAM, SHARD, Appetite(BATCH_CHANGES, 1024 * 1024, 0.0, {"orders"}), Report())
    cursor.begin(Checkpoint())
    return cursor


def _feed(cursor: Cursor, start: int) -> int:
    """Feed a record of one change each while the cursor is hungry; return how many changes it was fed in all."""
    while cursor.hungry and start < len(CHANGES):
        record = Record(start + 1, 0, "orders/e1/source", 0, (CHANGES[start],), 100)
        cursor.feed(Page(start or None, (record,), start + 1, 100, ended=False, behind_ms=0), 0.0)
        start += 1
    return start


def _until(awake: asyncio.Event) -> Trouble:
    async def wait() -> None:
        await awake.wait()

    return wait
