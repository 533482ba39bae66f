"""Requests on keys in quarantine are answered, also when the owner that carried one out died before it could say so."""

import asyncio

from pipeline.wire.redrive import Requests, from_fields, request_key, to_row
from tests.system.test_isolation import fill
from tests.system.test_quarantine import SHARD, Poison, ask, saved
from tests.system.world import World

ROW = request_key("changes", SHARD, "a")


def requests(world: World) -> Requests:
    """Return what is asked of the shard's owner, and answered."""
    return from_fields(world.store.rows[ROW].fields, ROW)


def test_a_request_that_was_carried_out_does_not_stay() -> None:
    """An owner let the key go and died before its answer: the next one answers; what another key was told stays."""

    async def story() -> None:
        world, poison = World(), Poison("k3", "k7")
        world.with_quarantine()
        world.capture()
        worker = world.worker({"a": world.sink("a", poison)})
        await fill(world, 2)
        await world.run(3)
        poison.keys = set(Poison("k7").keys)
        await ask(world)
        asked = requests(world).asked
        await world.run(8)
        assert len(saved(world).parked) == 1
        await world.kill(worker)
        row = world.store.rows[ROW]
        (refused,) = requests(world).refused
        gone = {name: who for name, who in asked.items() if name != refused}
        assert await world.store.write(to_row(ROW, row.version + 1, Requests(gone, {refused: "bitter"})), row.version)
        world.worker({"a": world.sink("a", poison)})
        await world.run(10)
        assert requests(world) == Requests({}, {refused: "bitter"})
        await world.end()

    asyncio.run(story())
