"""What a replica of mode exact remembers of quarantine: no more than a next owner may ask about."""

import asyncio

import orjson

from pipeline.model.change import Batch
from pipeline.testing.fakes import FakeItemStore, FakeTable
from pipeline.wire.positions import Positions
from tests.system.test_quarantine import Poison, ask, saved
from tests.system.world import World, item
from topologies.replica import write_exact

ROUNDS, KEYS = 4, 3


class Sink:
    """The exact replica, with changes that it refuses."""

    def __init__(self, items: FakeItemStore, poison: Poison) -> None:
        self._positions = Positions(items, "positions", "a/pipe")
        self._poison = poison

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, batch: Batch) -> None:
        """Write, unless one is refused."""
        if batch.changes:
            self._poison(batch)
        await write_exact(self._positions, batch, {"t0": "t0"})

    async def close(self) -> None:
        """Do nothing."""


def test_keys_that_were_put_through_are_forgotten() -> None:
    """Round after round other keys wait, are put through and never change again: what is remembered does not grow."""

    async def story() -> None:
        world, poison = World(), Poison()
        world.with_quarantine()
        tables = [FakeTable(name, world.clock, keys={key: "S"}) for name, key in (("t0", "pk"), ("positions", "row"))]
        items, source = FakeItemStore(*tables), world.tables[0]
        world.capture()
        world.worker({"a": Sink(items, poison)}, ranges=True)
        for number in range(ROUNDS):
            keys = range(100 + number * KEYS, 100 + (number + 1) * KEYS)
            poison.keys = {b'{"pk":{"S":"k%d"}}' % key for key in keys}
            for key in keys:
                source.put(item(key, 0))
                await world.run(1)
                source.put(item(1, key))
                await world.run(1)
            assert len(saved(world).parked) == KEYS
            poison.keys = set()
            asking = await ask(world)
            await world.run(10)
            await asking.step()
            assert not saved(world).parked
            (beside,) = items.tables["positions"].items.values()
            assert len(orjson.loads(orjson.loads(beside)["spans"]["S"])) <= KEYS
        assert items.tables["t0"].items == source.items
        await world.end()

    asyncio.run(story())
