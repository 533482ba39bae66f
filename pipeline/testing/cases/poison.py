"""Cases 41 to 43: a change that cannot be written is found, leaves its place, and comes later without harm."""

import asyncio
import math

from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.delivery.appetite import Appetite
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.follower import Follower
from pipeline.delivery.parking import Parking, Quarantine
from pipeline.delivery.reader import Page
from pipeline.delivery.witness import Turn
from pipeline.model.change import Batch, Change, Parked
from pipeline.model.errors import Defect, Rejected
from pipeline.model.progress import Checkpoint, Why
from pipeline.model.state import Report
from pipeline.testing.changes import CHANGES, CUTS, SHARD, STREAM, batch, batches, put
from pipeline.testing.context import Stores
from pipeline.testing.fakes import FakeObjectStore, FakeStateStore, ManualClock, SeededChance
from pipeline.testing.rig import Rig, offer
from pipeline.wire.record import Record

BAD = 10
"""Position of the change that cannot be written."""
WAITING = [position for position, change in enumerate(CHANGES, 1) if change.keys == CHANGES[0].keys and position > 1]
"""Positions of an item's third change and of all its later ones."""
REDRIVEN = "redriven-1"


class Poison(Rig):
    """Cases 41 to 43: a change that cannot be written is found, leaves its place, and comes later without harm."""

    def test_41_what_cannot_be_written_is_found_by_halves(self) -> None:
        """Of a batch it fails on without a reason a sink is offered halves; all is written but the change it is."""

        async def case() -> None:
            stores, sink = await self.start()
            failed = 0

            async def write(given: Batch) -> None:
                nonlocal failed
                if BAD in given.positions:
                    failed += 1
                    raise Defect("it fails, and does not say why")
                if self.takes(given):
                    await offer(sink, given)

            cursor, parking = await _quarantined()
            whole = cursor.take(0.0)
            assert whole is not None
            await parking.through(whole, write)
            cursor.settle(whole)
            assert [key.first[1] for key in cursor.settled.parked.values()] == [CHANGES[BAD - 1].sequence]
            assert failed <= math.ceil(math.log2(len(CHANGES))) + 1
            await self.holds(stores, batch(CHANGES, 1, len(CHANGES), without=[BAD]))

        asyncio.run(case())

    def test_42_what_waits_in_quarantine_leaves_its_place(self) -> None:
        """Ranges with placeholders are written, and written again with other borders, like any other."""

        async def case() -> None:
            for before in CUTS:
                for after in CUTS:
                    stores, _ = await self.start()
                    await self.deliver(stores, map(_without, batches(CHANGES, *before)))
                    await self.deliver(stores, map(_without, batches(CHANGES, *after, start=4)))
                    await self.holds(stores, _without(batch(CHANGES, 1, len(CHANGES))))

        asyncio.run(case())

    def test_43_what_is_put_through_later_brings_nothing_old_back(self) -> None:
        """Parked changes come under a name of their own, count once, and do no harm to what followed them."""

        async def case() -> None:
            stores, _ = await self.start()
            main = _without(batch(CHANGES, 1, len(CHANGES)))
            late = tuple(CHANGES[position - 1] for position in WAITING)
            through = Batch(STREAM, REDRIVEN, 1, len(late), late, range(1, len(late) + 1), asked_by="somebody")
            changes = (*CHANGES, put("a", len(CHANGES) + 1, over=CHANGES[-2].after))
            newest = batch(changes, len(changes), len(changes))
            await self.deliver(stores, [main, through])
            await self.deliver(stores, [through])
            await self.holds(stores, main, through)
            await self.deliver(stores, [newest, through])
            if self.may_regress:
                await self.deliver(stores, [newest])
            await self.holds(stores, main, through, newest)

        asyncio.run(case())

    def test_43_what_an_old_owner_left_out_does_not_pass_for_done(self) -> None:
        """Where the key was let go meanwhile, its change is written after all, or refused by name and waits in turn."""

        async def case() -> None:
            stores, _ = await self.start()
            whole = batch(CHANGES, 1, len(CHANGES))
            await self.deliver(stores, [_without(whole)])
            left = await self._refused(stores, whole)
            assert left <= set(WAITING), "a change was refused that nobody left out"
            late = tuple(CHANGES[position - 1] for position in sorted(left))
            places = range(1, len(late) + 1)
            through = [Batch(STREAM, REDRIVEN, 1, len(late), late, places, asked_by="somebody")] if late else []
            await self.deliver(stores, through)
            await self.holds(stores, whole.without(_waiting(whole, left)), *through)

        asyncio.run(case())

    async def _refused(self, stores: Stores, whole: Batch) -> set[int]:
        """Have the next owner offer a batch until it is taken; return the positions that it parks for that."""
        left = set[int]()
        while True:
            try:
                await self.deliver(stores, [whole.without(_waiting(whole, left))])
            except Rejected as error:
                found = set(error.positions)
            else:
                return left
            assert not found <= left, "what is parked already was refused"
            left |= found


def _waiting(given: Batch, positions: set[int]) -> list[Parked]:
    """Return the placeholders of some of a batch's changes."""
    return [_parked(position, change) for position, change in given if position in positions]


def _without(given: Batch) -> Batch:
    """Return a batch in which the changes at WAITING are in quarantine."""
    return given.without(_waiting(given, set(WAITING)))


def _parked(position: int, change: Change) -> Parked:
    why = Why.REFUSED if position == WAITING[0] else Why.LATER
    return Parked(position, change.table, change.epoch, change.shard, change.sequence, change.keys, "0" * 24, why)


async def _quarantined() -> tuple[Cursor, Parking]:
    """Return the real cursor of delivery, fed with all changes, and its quarantine."""
    clock, chance = ManualClock(), SeededChance(0)
    cursor = Cursor(STREAM, SHARD, Appetite(len(CHANGES), 1024 * 1024, 0.0, {"orders"}), Report())
    slot = CheckpointSlot(FakeStateStore(), clock, chance, "checkpoint", "worker")
    follower = Follower(cursor, slot, Turn(), clock)
    await follower.begin(Checkpoint())
    cursor.feed(Page(None, (Record(1, 0, "orders/e1/source", 0, CHANGES, 100),), 1, 100, ended=False, behind_ms=0), 0.0)
    quarantine = Quarantine(FakeObjectStore(), "pipeline", 1, 1)
    return cursor, Parking(quarantine, "sink", cursor, slot, follower.save)
