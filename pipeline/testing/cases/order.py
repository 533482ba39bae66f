"""Cases 19 to 27: what comes again changes nothing, and nothing old comes back."""

import asyncio

from pipeline.plugin import Sink
from pipeline.testing.changes import CHANGES, CUTS, batch, batches, history
from pipeline.testing.faults import Faults, When, refuse
from pipeline.testing.rig import Rig
from pipeline.testing.watch import Watch


class Order(Rig):
    """Cases 19 to 27: what comes again changes nothing, and nothing old comes back."""

    def test_19_the_same_batch_again_changes_nothing(self) -> None:
        """A batch that is delivered twice, to one sink or to its successor, has its effect once."""

        async def case() -> None:
            stores, sink = await self.start()
            whole = batch(CHANGES, 1, 12)
            await sink.write(whole)
            await sink.write(whole)
            await self.deliver(stores, [whole])
            await self.holds(stores, whole)

        asyncio.run(case())

    def test_20_overlapping_batches_count_once(self) -> None:
        """Batches that share positions store each position once."""

        async def case() -> None:
            stores, sink = await self.start()
            for first, last in ((1, 4), (3, 6), (2, 7), (7, 12)):
                await sink.write(batch(CHANGES, first, last))
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_21_other_borders_after_a_restart_count_once(self) -> None:
        """A successor that starts from any older checkpoint, with any other borders, stores each position once."""

        async def case() -> None:
            for before in CUTS:
                for after in CUTS:
                    for start in (1, 2, 6, 12):
                        stores, _ = await self.start()
                        await self.deliver(stores, batches(CHANGES, *before))
                        await self.deliver(stores, batches(CHANGES, *after, start=start))
                        await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_22_old_after_new_is_ignored(self) -> None:
        """An old batch that comes after newer ones, through a new sink, brings nothing old back."""

        async def case() -> None:
            stores, _ = await self.start()
            await self.deliver(stores, [batch(CHANGES, 1, 12)])
            await self.deliver(stores, [batch(CHANGES, 1, 3)])
            await self.ends(stores, CHANGES)

        asyncio.run(case())

    def test_23_a_late_delete_removes_nothing_newer(self) -> None:
        """A removal that comes again after the item was inserted anew leaves the new item alone."""

        async def case() -> None:
            changes = history(["a", "-a", "a"])
            stores, _ = await self.start()
            await self.deliver(stores, batches(changes, 1, 2))
            await self.deliver(stores, [batch(changes, 2, 2)])
            await self.ends(stores, changes)

        asyncio.run(case())

    def test_24_changes_of_one_item_are_applied_in_order(self) -> None:
        """Changes of one item within one batch and over several take effect in their order."""

        async def case() -> None:
            for cuts in CUTS:
                changes = history(["a"] * 12)
                await self.whole(changes, batches(changes, *cuts))

        asyncio.run(case())

    def test_24_order_holds_when_part_of_a_batch_fails(self) -> None:
        """When a destination takes a part of a batch and refuses the rest, no item shows an older image."""

        async def case(at: int, when: When) -> int:
            faults, stores = Faults(at, when, refuse), self.make_stores()
            if not self.may_regress:
                faults.watch = Watch(self, stores).look
            await self.deliver(stores, batches(CHANGES, 4, 9), faults)
            await self.holds(stores, batch(CHANGES, 1, 12))
            return faults.total

        self.at_every_call(lambda at: asyncio.run(case(at, "before")))
        self.at_every_call(lambda at: asyncio.run(case(at, "after")))

    def test_24_what_a_call_leaves_undone_is_written(self) -> None:
        """Of a call that the destination accepts in part the rest is written as well, before write returns."""

        async def case() -> None:
            changes, stores = history([f"item-{n}" for n in range(30)]), self.make_stores()
            stores.leave_unprocessed = 2
            for each in batches(changes, 1, 7):
                await self.deliver(stores, [each])
                await self.holds(stores, batch(changes, 1, each.last))

        asyncio.run(case())

    def test_25_interleaved_items_keep_their_order(self) -> None:
        """Inserts, modifies and removes of several items arrive as they happened, however they are cut."""

        async def case() -> None:
            for cuts in CUTS:
                await self.whole(CHANGES, batches(CHANGES, *cuts))

        asyncio.run(case())

    def test_26_several_shards_do_not_mix(self) -> None:
        """Shards that are written one after the other or at once, through one sink, do not mix their positions."""

        async def case() -> None:
            per_shard = {f"shardId-{n}": history([f"{n}-{step}" for step in "abcab"]) for n in range(3)}
            expected = [batch(changes, 1, 5, shard=shard) for shard, changes in per_shard.items()]
            for at_once in (True, False):
                stores, sink = await self.start()

                async def write(shard: str, sink: Sink = sink) -> None:
                    for each in batches(per_shard[shard], 2, 4, shard=shard):
                        await sink.write(each)

                if at_once:
                    await asyncio.gather(*map(write, per_shard))
                else:
                    for shard in per_shard:
                        await write(shard)
                await self.holds(stores, *expected)

        asyncio.run(case())

    def test_27_an_older_image_never_shows(self) -> None:
        """Looked at after every effect of a worker and of successors from older checkpoints, no item goes back."""

        async def case() -> None:
            for cuts in CUTS:
                stores, _ = await self.start()
                look = Watch(self, stores).look
                for start in (1, 2, 6, 12):
                    faults = Faults()
                    faults.watch = look
                    await self.deliver(stores, batches(CHANGES, *cuts, start=start), faults)

        asyncio.run(case())
