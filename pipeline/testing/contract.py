"""The tests every sink passes: inherit SinkContract, say how to make the sink and how to read what it wrote.

    class TestFolder(SinkContract):
        def make_sink(self, context): ...
        async def read_back(self, stores): ...

Stores taken from the context meet faults at every call. A sink with a destination of its own wraps each call to it:
`async with context.faults.around("name of the call"): ...`.
"""

import asyncio
import gc
from collections.abc import Mapping

import pytest

from pipeline.model.change import Batch
from pipeline.plugin import Sink
from pipeline.testing.changes import batch, batches, history, put, remove
from pipeline.testing.context import Stores, StoresContext
from pipeline.testing.faults import Killed, When, kill
from pipeline.testing.rig import CHANGES, Found, Kept, Rig, cancel, live_changes

__all__ = ["Found", "Kept", "SinkContract", "Stores", "StoresContext"]

CUTS = ((5, 9), (2, 3, 7), (11,), tuple(range(1, 12)), ())
ATTRIBUTES: Mapping[str, object] = {
    "number": {"N": "-12345678901234567890123456789012345678"},
    "small": {"N": "1E-130"},
    "text": {"S": 'line\nend "quoted" \\ é 🜁 \u0000 </script>'},
    "empty": {"S": ""},
    "binary": {"B": "AP8="},
    "no_bytes": {"B": ""},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "texts": {"SS": ["b", "a"]},
    "numbers": {"NS": ["2", "1.50"]},
    "binaries": {"BS": ["AQ==", "AA=="]},
    "list": {"L": [{"S": "x"}, {"L": []}]},
    "map": {"M": {"": {"M": {}}}},
}


class SinkContract(Rig):
    """What delivery counts on; see each case."""

    # What a sink is given, it keeps.

    def test_a_written_batch_can_be_read_back_at_once(self) -> None:
        """When write returns, every change of the batch is at the destination, not on its way."""

        async def case() -> None:
            stores, sink = await self.start()
            for upto, each in ((5, batch(CHANGES, 1, 5)), (12, batch(CHANGES, 6, 12))):
                await sink.write(each)
                await self.holds(stores, batch(CHANGES, 1, upto))

        asyncio.run(case())

    def test_changes_of_one_item_are_applied_in_order(self) -> None:
        """Changes of one item within one batch and over several take effect in their order."""

        async def case() -> None:
            for cuts in CUTS:
                changes = history(["a"] * 12)
                await self.whole(changes, batches(changes, *cuts))

        asyncio.run(case())

    def test_interleaved_items_keep_their_order(self) -> None:
        """Inserts, modifies and removes of several items arrive as they happened, however they are cut."""

        async def case() -> None:
            for cuts in CUTS:
                await self.whole(CHANGES, batches(CHANGES, *cuts))

        asyncio.run(case())

    def test_every_type_survives(self) -> None:
        """38 digits, sets, binary, empty values and control characters come back as they were given."""
        asyncio.run(self.whole((put("a", 1, ATTRIBUTES),)))

    def test_nesting_to_the_limit_survives(self) -> None:
        """An item nested 32 deep, DynamoDB's limit, comes back as it was given."""
        value: dict[str, object] = {"N": "1"}
        for _ in range(31):
            value = {"L": [value]}
        asyncio.run(self.whole((put("a", 1, {"deep": value}),)))

    def test_the_largest_items_survive(self) -> None:
        """Items as large as DynamoDB allows, a dozen in a batch, come back as they were given."""
        large = {"S": "x" * (400 * 1024 - 200)}
        changes = tuple(put(f"item-{n}", n, {"large": large}) for n in range(1, 13))
        asyncio.run(self.whole(changes))

    def test_a_full_batch_is_written(self) -> None:
        """A thousand changes of different items in one batch are all written."""
        changes = history([f"item-{n}" for n in range(1000)])
        asyncio.run(self.whole(changes))

    def test_removing_what_is_not_there_is_no_error(self) -> None:
        """An item that the destination never had can be removed."""
        asyncio.run(self.whole((remove("ghost", 1), put("a", 2))))

    def test_filtered_changes_leave_holes_in_positions(self) -> None:
        """A range of which some changes, or all, were filtered out is written like any other."""

        async def case() -> None:
            stores, sink = await self.start()
            given = [
                batch(CHANGES, 1, 4, without=[1, 3]),
                batch(CHANGES, 5, 6, without=[5, 6]),
                batch(CHANGES, 7, 12),
            ]
            for each in given:
                await sink.write(each)
            await self.holds(stores, *given)

        asyncio.run(case())

    # What comes again changes nothing.

    def test_the_same_batch_again_changes_nothing(self) -> None:
        """A batch that is delivered twice, to one sink or to its successor, has its effect once."""

        async def case() -> None:
            stores, sink = await self.start()
            whole = batch(CHANGES, 1, 12)
            await sink.write(whole)
            await sink.write(whole)
            await self.deliver(stores, [whole])
            await self.holds(stores, whole)

        asyncio.run(case())

    def test_overlapping_batches_count_once(self) -> None:
        """Batches that share positions store each position once."""

        async def case() -> None:
            stores, sink = await self.start()
            for first, last in ((1, 4), (3, 6), (2, 7), (7, 12)):
                await sink.write(batch(CHANGES, first, last))
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_other_borders_after_a_restart_count_once(self) -> None:
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

    def test_a_restart_goes_on_where_the_last_batch_ended(self) -> None:
        """A successor that starts right above what was settled needs nothing from before."""

        async def case() -> None:
            stores, _ = await self.start()
            for each in batches(CHANGES, 4, 8):
                await self.deliver(stores, [each])
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_a_shard_that_comes_back_is_continued(self) -> None:
        """A sink that gives up a shard and gets it back later goes on above what was written in between."""

        async def case() -> None:
            stores, sink = await self.start()
            await sink.write(batch(CHANGES, 1, 3))
            await self.deliver(stores, batches(CHANGES[:8], 6, start=4))
            await sink.write(batch(CHANGES, 9, 12))
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_old_after_new_is_ignored(self) -> None:
        """An old batch that comes after newer ones, through a new sink, brings nothing old back."""

        async def case() -> None:
            stores, _ = await self.start()
            await self.deliver(stores, [batch(CHANGES, 1, 12)])
            await self.deliver(stores, [batch(CHANGES, 1, 3)])
            await self.ends(stores, CHANGES)

        asyncio.run(case())

    def test_a_late_delete_removes_nothing_newer(self) -> None:
        """A removal that comes again after the item was inserted anew leaves the new item alone."""

        async def case() -> None:
            changes = history(["a", "-a", "a"])
            stores, _ = await self.start()
            await self.deliver(stores, batches(changes, 1, 2))
            await self.deliver(stores, [batch(changes, 2, 2)])
            await self.ends(stores, changes)

        asyncio.run(case())

    # Whatever breaks, nothing is lost and nothing comes twice.

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_crash_at_any_call(self, when: When) -> None:
        """Killed before or after the effect of any call, a sink leaves what its successor can complete."""
        asyncio.run(self.break_every_call(when, kill, Killed))

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_cancel_at_any_call(self, when: When) -> None:
        """Cancelled at any call, a sink leaves what its successor can complete."""
        asyncio.run(self.break_every_call(when, cancel, asyncio.CancelledError))

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_slow_destination_at_any_call(self, when: When) -> None:
        """A refusal, or an answer that is lost, at any call is a RetryLater; the batch is offered again."""
        asyncio.run(self.slow_every_call(when))

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_an_old_owner_that_wakes_up(self, when: When) -> None:
        """A worker that hung at any call and goes on after its successor wrote everything does no harm, ever."""
        asyncio.run(self.wake_at_every_call(when))

    def test_two_owners_side_by_side(self) -> None:
        """Two workers that write the same positions at once, cut differently, store each position once."""

        async def case() -> None:
            for mine in CUTS:
                for theirs in CUTS:
                    stores, _ = await self.start()
                    await asyncio.gather(
                        self.deliver(stores, batches(CHANGES, *mine)),
                        self.deliver(stores, batches(CHANGES, *theirs)),
                    )
                    await self.ends(stores, CHANGES)

        asyncio.run(case())

    # A sink serves several shards, and lets go of what it is done with.

    def test_several_shards_do_not_mix(self) -> None:
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

    def test_closing_twice_is_no_error(self) -> None:
        """A sink can be closed twice, and closing loses nothing."""

        async def case() -> None:
            stores, sink = await self.start()
            await sink.write(batch(CHANGES, 1, 12))
            await sink.close()
            await sink.close()
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_nothing_piles_up(self) -> None:
        """Changes that were written, and tasks that wrote them, are not kept in memory."""

        async def case() -> None:
            _, sink = await self.start()
            counts = {}
            for start in range(1, 101):
                changes = history(["a"], start=start)
                await sink.write(Batch("changes", "shard", start, start, changes, (start,)))
                del changes
                if start in {10, 100}:
                    gc.collect()
                    counts[start] = live_changes() + len(asyncio.all_tasks())
            assert counts[100] <= counts[10], "the sink keeps changes or tasks of batches that are written"

        asyncio.run(case())
