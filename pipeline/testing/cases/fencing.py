"""Cases 28 to 30: two workers at once, and a pipeline that is begun anew."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest

from pipeline.model.change import Batch
from pipeline.model.errors import PipelineError, RetryLater
from pipeline.testing.changes import CHANGES, CUTS, SHARD, STREAM, batch, batches, history
from pipeline.testing.faults import When
from pipeline.testing.rig import Rig, offer
from pipeline.testing.watch import Found, Kept, comparable


class Fencing(Rig):
    """Cases 28 to 30: two workers at once, and a pipeline that is begun anew."""

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_28_an_old_owner_that_wakes_up(self, when: When) -> None:
        """A worker that hung at any call and goes on after its successor wrote everything does no harm, ever."""
        asyncio.run(self.wake_at_every_call(when))

    def test_29_two_owners_side_by_side(self) -> None:
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

    def test_30_a_pipeline_begun_anew_counts_from_one(self) -> None:
        """Positions that start again with other changes are written or refused aloud; the old ones stay as they are."""

        async def case() -> None:
            stores, _ = await self.start()
            old = batch(CHANGES, 1, 12)
            await self.deliver(stores, [old])
            later = history(("b", "a", "-b", "a", "c", "d"), start=13)
            anew = Batch(STREAM, SHARD, 1, 6, later, range(1, 7))
            sink = await self.open(stores, pipeline="anew")
            try:
                await offer(sink, anew)
            except PipelineError as error:
                assert not isinstance(error, RetryLater)  # noqa: PT017  # both outcomes are right, each is looked at
                await self.holds(stores, old)
            else:
                await self._has_both(await self.read_back(stores), old, anew)

        asyncio.run(case())

    async def _has_both(self, found: Found, old: Batch, anew: Batch) -> None:
        if isinstance(found, Mapping):
            expected = {(c.table, c.keys): c.after for each in (old, anew) for c in each.changes}
            assert comparable(found) == comparable(expected)
        else:
            kept = [Kept(e.shard, position, self.content_of(c)) for e in (old, anew) for position, c in e]
            assert Counter(map(repr, found)) == Counter(map(repr, kept)), "a change of one of the two is gone"
