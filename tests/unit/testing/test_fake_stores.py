"""What the fake stores and the clock do when told to."""

import asyncio
from collections.abc import Callable
from typing import Any

from pipeline.ports import ItemWrite
from pipeline.testing.fakes import FakeItemStore, FakeTable, ManualClock

Run = Callable[[Any], Any]


def test_time_wakes_sleepers_in_order(run: Run) -> None:
    """Advancing stops at every waking on the way, also of sleeps begun meanwhile, and cancelled ones do not matter."""
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))

    async def main() -> None:
        tasks = [asyncio.create_task(sleeper("slow", 3, 1)), asyncio.create_task(sleeper("quick", 1, 3))]
        gone = asyncio.create_task(sleeper("gone", 2, 1))
        await clock.advance(0.5)
        gone.cancel()
        await clock.advance(3)
        await asyncio.gather(*tasks)

    run(main())
    assert woken == [("quick", 1), ("quick", 2), ("slow", 3), ("quick", 3)]
    assert clock.now_ms() == ManualClock().now_ms() + 3500


def test_a_batch_can_be_left_undone(run: Run) -> None:
    """Unprocessed writes are returned in order and are not written; the next call does them."""
    table = FakeTable("t", ManualClock())
    store = FakeItemStore(table)
    writes = [ItemWrite("t", b'{"pk":{"S":"%d"}}' % i, b'{"pk":{"S":"%d"}}' % i) for i in range(3)]
    store.leave_unprocessed = 2
    assert run(store.write_batch(writes)) == tuple(writes[1:])
    assert len(table.items) == 1
    assert run(store.write_batch(writes[1:])) == ()


def test_a_transaction_may_be_forgotten(run: Run) -> None:
    """Long after, a repeated transaction is no longer recognised and finds its row moved."""
    store = FakeItemStore(FakeTable("t", ManualClock()))
    writes = [ItemWrite("t", b'{"pk":{"S":"a"}}', b'{"pk":{"S":"a"}}')]
    assert [run(store.transact(writes, "p", "r", 0, 1)) for _ in range(2)] == [True, True]
    store.remembers_transactions = False
    assert not run(store.transact(writes, "p", "r", 0, 1))
