"""Two workers with equally many leases come to have equally much to do, by what their lease rows tell."""

import asyncio
from collections import Counter
from functools import partial

from pipeline.coordination.leases import SETTLED_SECONDS, Leases
from pipeline.model.state import Report
from pipeline.testing.clock import ManualClock
from pipeline.testing.fakes import FakeStateStore

SHARDS = ("s0", "s1", "s2", "s3")
STEP_SECONDS = 3.0


class Workers:
    """Two workers, and how many changes a second each shard has."""

    def __init__(self) -> None:
        self.clock, store = ManualClock(), FakeStateStore()
        self.both = [Leases(store, self.clock, owner=o, group="g", lease_seconds=10) for o in ("a", "b")]
        self.per_second: Counter[str] = Counter()
        self.done: Counter[tuple[str, int]] = Counter()
        """Changes by shard and tenure: whoever takes a shard counts from nothing."""
        self.moves = 0

    async def run(self, seconds: float) -> None:
        """Let both step, one after the other, while changes flow."""
        for _ in range(int(seconds / STEP_SECONDS)):
            before = self.owners()
            for leases in self.both:
                await leases.step(SHARDS, lambda *_: True, partial(self._told, leases))
            self.moves += sum(before.get(shard, owner) != owner for shard, owner in self.owners().items())
            await self.clock.advance(STEP_SECONDS)

    def owners(self) -> dict[str, int]:
        """Return which of the two has each shard."""
        return {shard: number for number, leases in enumerate(self.both) for shard in leases.held}

    def loads(self) -> list[int]:
        """Return how many changes a second each of the two has."""
        return [sum(self.per_second[shard] for shard in leases.held) for leases in self.both]

    def _told(self, leases: Leases, shard: str) -> dict[str, Report]:
        place = (shard, leases.held[shard].tenure)
        self.done[place] += round(self.per_second[shard] * STEP_SECONDS)
        return {"replica": Report(changes=self.done[place])}


def test_a_worker_with_both_hot_shards_gives_one_away() -> None:
    """The idle one takes a hot shard once it has had its owner for a while, gives a cold one back; then all rests."""

    async def story() -> None:
        workers = Workers()
        await workers.run(60)
        assert Counter(workers.owners().values()) == {0: 2, 1: 2}
        for shard in SHARDS:
            workers.per_second[shard] = 400 if workers.owners()[shard] == 0 else 3
        workers.moves = 0
        await workers.run(SETTLED_SECONDS - 90)
        assert workers.moves == 0
        await workers.run(SETTLED_SECONDS)
        assert workers.loads() == [403, 403]
        assert Counter(workers.owners().values()) == {0: 2, 1: 2}
        assert workers.moves == 2
        await workers.run(4 * SETTLED_SECONDS)
        assert workers.moves == 2

    asyncio.run(story())


def test_equal_workers_leave_each_other_alone() -> None:
    """Loads that differ by less than is worth a move stay where they are."""

    async def story() -> None:
        workers = Workers()
        workers.per_second.update({"s0": 300, "s1": 310, "s2": 290, "s3": 320})
        await workers.run(60)
        workers.moves = 0
        await workers.run(4 * SETTLED_SECONDS)
        assert workers.moves == 0

    asyncio.run(story())
