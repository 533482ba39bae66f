"""A shard that another worker has claimed: nothing of it stands still here for ever, and nothing crashes."""

import asyncio

import pytest

from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.delivery.appetite import Appetite
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.follower import Follower
from pipeline.delivery.parking import Parking, Quarantine
from pipeline.delivery.witness import Turn
from pipeline.model.change import Batch
from pipeline.model.errors import LeaseLost
from pipeline.model.progress import Checkpoint, Evidence
from pipeline.model.state import Flow, Report
from pipeline.testing.changes import CHANGES, SHARD, STREAM
from pipeline.testing.fakes import FakeObjectStore, FakeStateStore, ManualClock, SeededChance


def slot(store: FakeStateStore, owner: str) -> CheckpointSlot:
    """Return a worker's slot of one checkpoint."""
    return CheckpointSlot(store, ManualClock(), SeededChance(1), f"{SHARD}@sink", owner)


def cursor() -> Cursor:
    """Return a cursor at the start of the shard."""
    return Cursor(STREAM, SHARD, Appetite(10, 1000, 0.0, frozenset({"orders"}), False, "sink"), Report(moved_at=0.0))


async def _marked_after_another_claimed() -> Follower:
    store = FakeStateStore()
    follower = Follower(cursor(), slot(store, "old"), Turn(), ManualClock())
    await follower.begin(Checkpoint())
    await slot(store, "new").claim()
    with pytest.raises(LeaseLost):
        await follower.mark(Evidence())
    return follower


def test_who_learns_of_it_by_a_mark_ends_at_the_next_save() -> None:
    """A mark was refused and is tried again for ever; nothing new to save, the save says so (seed 2003138)."""
    follower = asyncio.run(_marked_after_another_claimed())
    assert follower.cursor.settled == follower.slot.saved
    with pytest.raises(LeaseLost):
        asyncio.run(follower.save())


def test_who_is_halted_learns_of_it_though_there_is_nothing_to_save() -> None:
    """What halts may come of it: a slower owner claimed the row last, and went on from there (seed 5309499)."""

    async def story() -> None:
        store = FakeStateStore()
        follower = Follower(cursor(), slot(store, "new"), Turn(), ManualClock())
        await follower.begin(Checkpoint())
        await slot(store, "old").claim()
        await follower.save()
        follower.cursor.report.trouble(Flow.HALTED, "another object is there")
        with pytest.raises(LeaseLost):
            await follower.save()

    asyncio.run(story())


def test_a_batch_from_quarantine_that_nobody_waits_for_is_left() -> None:
    """The shard was lost while it was on its way: it is not written, and no task dies (seeds 2002506, 2002944)."""
    written = []

    async def write(batch: Batch) -> None:
        written.append(batch)

    async def save() -> None:
        raise LeaseLost("claimed by another")

    quarantine = Quarantine(FakeObjectStore(), "pipe", 1, 1)
    parking = Parking(quarantine, "sink", cursor(), slot(FakeStateStore(), "old"), save)
    batch = Batch(STREAM, "redriven-0", 1, 1, CHANGES[:1], (1,), asked_by="somebody")
    asyncio.run(parking.through(batch, write))
    assert not written
