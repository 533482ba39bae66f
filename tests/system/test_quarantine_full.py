"""As many keys are parked as may be, and one more is refused: its batch stands, what is parked can be put through."""

import asyncio

import pytest

from pipeline.delivery import parking
from pipeline.model.state import Flow
from tests.system.test_quarantine import Poison, ask, in_order, saved
from tests.system.world import World, item

KEYS = (1, 2, 3)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only three keys be parked."""
    monkeypatch.setattr(parking, "PARKED_KEYS_MAX", len(KEYS))


def flow_of(world: World) -> Flow:
    """Return how the topology is."""
    return world.hosts[-1].only.reports["a"].flow


async def filled(world: World, poison: Poison) -> None:
    """Start a worker; have three keys parked, and a batch refused that has one more, and later changes of them."""
    world.with_quarantine()
    world.capture()
    world.worker({"a": world.sink("a", poison)})
    for key in KEYS:
        world.tables[0].put(item(key, 0))
        await world.run(1)
        world.tables[0].put(item(9, key))
        await world.run(1)
    for key in (1, 4, 2, 9):
        world.tables[0].put(item(key, 1))
    await world.run(3)
    assert (len(saved(world).parked), flow_of(world)) == (len(KEYS), Flow.HALTED)


def test_what_is_put_through_makes_room_for_what_is_refused() -> None:
    """The parked keys are mended: they go through before the batch that stands, which parks its key, and goes on."""

    async def story() -> None:
        world, poison = World(), Poison("k1", "k2", "k3", "k4")
        await filled(world, poison)
        poison.keys = set(Poison("k4").keys)
        asking = await ask(world)
        await world.run(60)
        await asking.step()
        assert (asking.left, asking.refused) == (set(), {})
        assert (len(saved(world).parked), flow_of(world)) == (1, Flow.FLOWING)
        poison.keys.clear()
        await ask(world)
        await world.run(8)
        assert in_order(world)
        await world.end()

    asyncio.run(story())


def test_what_is_refused_again_while_a_batch_stands_is_answered() -> None:
    """Nothing is mended: each request is answered with the reason, everything stays where it is, and is not lost."""

    async def story() -> None:
        world, poison = World(), Poison("k1", "k2", "k3", "k4")
        await filled(world, poison)
        asking = await ask(world)
        await world.run(60)
        await asking.step()
        assert (asking.left, len(asking.refused)) == (set(), len(KEYS))
        assert (len(saved(world).parked), flow_of(world)) == (len(KEYS), Flow.HALTED)
        poison.keys.clear()
        await world.run(40)
        await ask(world)
        await world.run(20)
        assert in_order(world)
        await world.end()

    asyncio.run(story())


def test_a_worker_that_dies_while_a_batch_stands_leaves_it_to_the_next() -> None:
    """Killed at ten moments of putting through beside a batch that stands: all of both arrives in order."""

    async def story(seconds: float) -> None:
        world, poison = World(), Poison("k1", "k2", "k3", "k4")
        await filled(world, poison)
        poison.keys = set(Poison("k4").keys)
        await ask(world)
        await world.run(seconds)
        await world.kill(world.hosts[-1])
        world.worker({"a": world.sink("a", poison)})
        await world.run(60)
        poison.keys.clear()
        await ask(world)
        await world.run(20)
        assert in_order(world)
        await world.end()

    for step in range(0, 350, 35):
        asyncio.run(story(step / 10))
