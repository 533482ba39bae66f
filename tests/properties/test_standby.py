"""A warm standby: whenever it looks, killed wherever, it becomes the table; and it takes no other's place."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from pipeline.history.prune import keeping, prune
from pipeline.history.standby import Standby
from pipeline.model.errors import LeaseLost, Misconfigured
from pipeline.testing.clock import SkippingClock
from pipeline.testing.fakes import FakeItemStore, FakeObjectStore, FakeTable, SeededChance
from pipeline.testing.faults import Faults, Killed, kill
from tests.compacted import compacted
from tests.recorded import Recorded

KEYS = {"pk": "S", "sk": "N"}


class Growing(FakeObjectStore):
    """An archive to which segments come while it is read: those of the shards before the split first."""

    def __init__(self, whole: FakeObjectStore, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        early = [name for name in whole.objects if "/shardId-00000000000" in name]
        late = [name for name in whole.objects if name not in early and name.startswith("segments/")]
        self._coming = [(name, whole.objects[name]) for each in (early, late) for name in self._mixed(each)]

    def come(self, count: int) -> bool:
        """Let some segments come; return False when there are no more."""
        for name, data in self._coming[:count]:
            self.objects[name] = data
        del self._coming[:count]
        return bool(self._coming)

    async def read(self, name: str) -> bytes | None:
        """Let something come, now and then, before something is read."""
        if self._chance.random() < 0.1:
            self.come(self._chance.randint(1, 3))
        return await super().read(name)

    async def names(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        """List what is there when its page is made, a few names a page."""
        while True:
            found = sorted(name for name in self.objects if name.startswith(prefix) and name > after)[:3]
            for name in found:
                yield name
            if not found:
                return
            after = found[-1]
            self.come(self._chance.randint(0, 2))

    def _mixed(self, names: list[str]) -> list[str]:
        """Return names in a random order in which each shard's stay in theirs."""
        shards: dict[str, list[str]] = {}
        for name in sorted(names):
            shards.setdefault(name.rpartition("/")[0], []).append(name)
        order = [shard for shard, some in shards.items() for _ in some]
        self._chance.shuffle(order)
        return [shards[shard].pop(0) for shard in order]


def table_of() -> FakeTable:
    """Return an empty standby."""
    table = FakeTable("warm", SkippingClock(), keys=KEYS)
    table.disable_stream()
    return table


def positions() -> FakeTable:
    """Return an empty table for what is kept beside standbys."""
    table = FakeTable("warm-standby", SkippingClock(), keys={"row": "S"})
    table.disable_stream()
    return table


def standby(objects: FakeObjectStore, items: FakeItemStore, archive: str = "s3://b/p") -> Standby:
    """Return a process that follows."""
    return Standby(
        objects, archive, "orders", items, "warm", "warm-standby", SkippingClock(), SeededChance(1), lambda *_: None
    )


@pytest.mark.parametrize("seed", range(25))
def test_it_becomes_the_table_though_segments_come_while_it_reads(seed: int) -> None:
    """Rounds over an archive that grows between and inside them, sometimes from a snapshot, end at the table."""

    async def story() -> None:
        chance, history = random.Random(seed), Recorded(seed)
        growing = Growing(await history.archive(), chance)
        table = table_of()
        items = FakeItemStore(table, positions())
        follower = standby(growing, items)
        growing.come(chance.randint(0, 20))
        await follower.open()
        more = True
        while more:
            await follower.round(FakeObjectStore())
            more = growing.come(chance.randint(1, 15))
            if chance.random() < 0.2:
                follower = standby(growing, items)
                await follower.open()
        await follower.round(FakeObjectStore())
        await follower.round(FakeObjectStore())
        final = history.states[history.seconds[-1]]
        assert table.items == {key: image for key, image in final.items() if key not in history.untouched}

    asyncio.run(story())


def test_killed_at_every_call_another_process_goes_on() -> None:
    """Wherever it dies, filling or following, the next process brings the standby to the table."""

    async def story() -> None:
        history = Recorded(5, changes=150)
        whole = await history.archive()
        await compacted(whole, history.seconds[len(history.seconds) // 2] + 1000)
        final = history.states[history.seconds[-1]]
        expected = {key: image for key, image in final.items() if key not in history.untouched}
        for when in ("before", "after"):
            for at in range(1, 60):
                table = table_of()
                items = FakeItemStore(table, positions())
                dying = standby(whole, items.behind(Faults(at, when, kill)))

                async def live(follower: Standby = dying) -> None:
                    await follower.open()
                    await follower.round(FakeObjectStore())

                (outcome,) = await asyncio.gather(live(), return_exceptions=True)
                await live(standby(whole, items))
                assert table.items == expected
                if not isinstance(outcome, Killed):
                    break
            else:
                pytest.fail("more than sixty calls")

    asyncio.run(story())


def test_of_two_that_follow_into_one_table_one_ends() -> None:
    """The one that finds the row moved writes nothing and says so."""

    async def story() -> None:
        history, table = Recorded(2), table_of()
        growing = Growing(await history.archive(), random.Random(1))
        growing.come(30)
        items = FakeItemStore(table, positions())
        one, other = standby(growing, items), standby(growing, items)
        await one.open()
        await other.open()
        await one.round(FakeObjectStore())
        items.remembers_transactions = False  # or the same writes once more are answered as done
        before = dict(table.items)
        with pytest.raises(LeaseLost, match="somebody else follows into table warm"):
            await other.round(FakeObjectStore())
        assert table.items == before

    asyncio.run(story())


def test_a_foreign_table_is_refused() -> None:
    """A table with items and no position, and a standby of another archive, are left as they are."""

    async def story() -> None:
        history = Recorded(2)
        objects = await history.archive()
        full = table_of()
        full.items.update(history.states[history.seconds[-1]])
        with pytest.raises(Misconfigured, match="holds items, and is no standby"):
            await standby(objects, FakeItemStore(full, positions())).open()
        items = FakeItemStore(table_of(), positions())
        await standby(objects, items).open()
        with pytest.raises(Misconfigured, match="is a standby of table orders from s3://b/p"):
            await standby(objects, items, "s3://other/p").open()

    asyncio.run(story())


def test_a_standby_that_was_away_too_long_says_so() -> None:
    """What it lacks was pruned: it is refused with the remedy, instead of a hole in the table."""

    async def story() -> None:
        history = Recorded(2)
        whole = await history.archive()
        some = FakeObjectStore()
        first = min(whole.objects)
        some.objects[first] = whole.objects[first]
        items = FakeItemStore(table_of(), positions())
        follower = standby(some, items)
        await follower.open()
        await follower.round(FakeObjectStore())
        await compacted(whole, history.seconds[-1] + 1000)
        await prune(whole, await keeping(whole, FakeObjectStore(), history.seconds[-1] + 1000), lambda _: None)
        late = standby(whole, items)
        await late.open()
        with pytest.raises(Misconfigured, match="was pruned"):
            await late.round(FakeObjectStore())

    asyncio.run(story())
