"""Cases 44 to 49: restarts, more workers and fewer, idle shards, reshards, and what an older version left."""

import asyncio
from collections.abc import Sequence

from pipeline.model.change import Change
from pipeline.testing.changes import CHANGES, CUTS, batch, batches, history
from pipeline.testing.keep import restore
from pipeline.testing.rig import Rig, offer

SHARDS = tuple(f"shardId-{n:012d}" for n in range(4))


class Scale(Rig):
    """Cases 44 to 49: restarts, more workers and fewer, idle shards, reshards, and what an older version left."""

    def test_44_a_restart_from_any_checkpoint(self) -> None:
        """A successor that starts right above what was settled, wherever that is, needs nothing from before."""

        async def case() -> None:
            for settled in range(1, 12):
                for cuts in CUTS[:2]:
                    stores, _ = await self.start()
                    await self.deliver(stores, batches(CHANGES[:settled], *cuts))
                    await self.deliver(stores, batches(CHANGES, *cuts, start=settled + 1))
                    await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_45_two_workers_become_four(self) -> None:
        """Shards that two workers wrote are continued by four, from checkpoints that are a little behind."""
        asyncio.run(self._rescale(2, 4))

    def test_46_four_workers_become_two(self) -> None:
        """Shards that four workers wrote are continued by two, from checkpoints that are a little behind."""
        asyncio.run(self._rescale(4, 2))

    def test_47_an_idle_shard_is_continued(self) -> None:
        """A shard of which nothing came while another had much goes on where it stood."""

        async def case() -> None:
            idle, busy = history([f"i-{n}" for n in range(6)]), history([f"b-{n}" for n in range(40)])
            stores, sink = await self.start()
            await sink.write(batch(idle, 1, 3, shard=SHARDS[0]))
            for each in batches(busy, *range(1, 40), shard=SHARDS[1]):
                await sink.write(each)
            await sink.write(batch(idle, 4, 6, shard=SHARDS[0]))
            await self.holds(stores, batch(idle, 1, 6, shard=SHARDS[0]), batch(busy, 1, 40, shard=SHARDS[1]))

        asyncio.run(case())

    def test_47_a_shard_that_comes_back_is_continued(self) -> None:
        """A sink that gives up a shard and gets it back later goes on above what was written in between."""

        async def case() -> None:
            stores, sink = await self.start()
            await sink.write(batch(CHANGES, 1, 3))
            await self.deliver(stores, batches(CHANGES[:8], 6, start=4))
            await sink.write(batch(CHANGES, 9, 12))
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_48_a_split_and_a_merge_hand_over(self) -> None:
        """Items go on in child shards, whose positions start at one; what comes again of a parent changes nothing."""

        async def case() -> None:
            stages = [
                {SHARDS[0]: history(("a", "b", "a", "-b", "c"))},
                {SHARDS[1]: history(("a", "a", "-c"), start=6), SHARDS[2]: history(("b", "d", "b"), start=6)},
                {SHARDS[3]: history(("-a", "b", "c", "-d"), start=9)},
            ]
            stores, _ = await self.start()
            before: dict[str, Sequence[Change]] = {}
            for stage in stages:
                workers = (self.deliver(stores, batches(stage[s], 2, shard=s)) for s in stage)
                await asyncio.gather(*workers)
                if not self.may_regress:
                    for shard, changes in before.items():
                        await self.deliver(stores, [batch(changes, 2, len(changes), shard=shard)])
                before |= stage
            await self.holds(stores, *(batch(c, 1, len(c), shard=shard) for shard, c in before.items()))

        asyncio.run(case())

    def test_49_what_the_version_before_left_is_continued(self) -> None:
        """What the version before stored is read, and a worker of this version that starts a little behind goes on."""

        async def case() -> None:
            assert self.kept_state, "say in not_applicable that it is the first version, or keep a state with `keep`"
            stores = self.make_stores()
            restore(stores, self.kept_state.read_bytes())
            await self.holds(stores, batch(CHANGES, 1, 6))
            await self.deliver(stores, batches(CHANGES, 9, start=4))
            await self.ends(stores, CHANGES)

        asyncio.run(case())

    async def _rescale(self, before: int, after: int) -> None:
        changes = {shard: history([f"{shard}-{step}" for step in "pqrabcab"]) for shard in SHARDS}
        stores, _ = await self.start()

        async def work(shards: Sequence[str], start: int, upto: int) -> None:
            sink = await self.open(stores)
            for shard in shards:
                for each in batches(changes[shard][:upto], start + 1, start=start, shard=shard):
                    await offer(sink, each)

        await asyncio.gather(*(work(SHARDS[n::before], 1, 5) for n in range(before)))
        await asyncio.gather(*(work(SHARDS[n::after], 4, 8) for n in range(after)))
        await self.holds(stores, *(batch(c, 1, 8, shard=shard) for shard, c in changes.items()))
