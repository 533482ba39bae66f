"""Rows that copies and repairs send, in quarantine: those of two of them are never taken for one another."""

import asyncio

from tests.system.test_quarantine import ask, saved
from tests.verification_world import NAME, ReplicaWorld

KEY = "k3"
KEYS = f'{{"pk":{{"S":"{KEY}"}}}}'.encode()


def begin() -> ReplicaWorld:
    """Return a world with a replica of mode exact and a quarantine."""
    world = ReplicaWorld(0, "exact")
    world.with_quarantine()
    world.start()
    return world


async def put(world: ReplicaWorld, n: int) -> None:
    """Change the item."""
    world.source.put({"pk": {"S": KEY}, "n": {"N": str(n)}})
    await world.run(3)


async def send_refused(world: ReplicaWorld) -> None:
    """Have a run of its own send the item as it is, which the replica refuses from now on."""
    world.away.refused = KEYS
    sending = asyncio.ensure_future(world.repair([KEYS]))
    await world.run(3)
    await sending


async def mend(world: ReplicaWorld) -> None:
    """Have the replica take everything, and what is parked put through."""
    world.away.refused = b""
    asking = await ask(world, NAME)
    await world.run(10)
    await asking.step()
    assert (asking.left, asking.refused, saved(world, NAME).parked) == (set(), {}, {})
    assert not world.parked.objects


def test_a_row_that_a_second_run_sends_does_not_keep_its_key_from_being_put_through() -> None:
    """The key of a row that was refused in two runs is put through like any other."""

    async def story() -> None:
        world = begin()
        await put(world, 0)
        await send_refused(world)
        await send_refused(world)
        assert [key.count for key in saved(world, NAME).parked.values()] == [1]
        await mend(world)
        assert world.copy.items == world.source.items
        await world.end()

    asyncio.run(story())


def test_a_change_behind_a_row_of_a_second_run_is_put_through() -> None:
    """What follows a row that was refused is written, though as much was put through behind a row of an earlier run."""

    async def story() -> None:
        world = begin()
        await put(world, 0)
        await send_refused(world)
        await put(world, 1)
        await mend(world)
        await put(world, 2)
        await send_refused(world)
        await put(world, 3)
        await mend(world)
        assert world.copy.items == world.source.items
        await world.end()

    asyncio.run(story())
