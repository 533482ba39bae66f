"""A table compared with its replica while it changes: every planted difference is found, and nothing else."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import orjson
import pytest

from pipeline.verification.judge import Finding, Kind
from pipeline.verification.side import digest
from pipeline.verification.verify import Verification
from tests.verification_world import ReplicaWorld, by_key
from topologies.replica import MODES, VERSION, Mode

SEEDS = 3
QUIET = 30
Answer = TypeVar("Answer")
PLANTED = 12


def changed(world: ReplicaWorld, key: str) -> Kind:
    """Change one attribute of the replica's item, in mode guarded under the version it has."""
    item = stored(world, key)
    world.copy.put({**item, "n": {"N": str(int(item["n"]["N"]) + 1)}})
    return Kind.DIFFERENT


def imprecise(world: ReplicaWorld, key: str) -> Kind:
    """Change the last of 38 digits."""
    world.copy.put({**stored(world, key), "precise": {"N": "1" * 37 + "3"}})
    return Kind.DIFFERENT


def stale(world: ReplicaWorld, key: str) -> Kind:
    """Put back an earlier state of the item."""
    world.copy.put({**stored(world, key), "n": {"N": "-1"}})
    return Kind.DIFFERENT


def missing(world: ReplicaWorld, key: str) -> Kind:
    """Remove the item."""
    world.copy.delete({"pk": {"S": key}})
    return Kind.MISSING


def extra(world: ReplicaWorld, key: str) -> Kind:
    """Have an item of which the source never heard."""
    world.copy.put({"pk": {"S": f"{key}-extra"}, "n": {"N": "1"}})
    return Kind.EXTRA


def respelled(world: ReplicaWorld, key: str) -> None:
    """Spell the item otherwise, which is no difference."""
    item = stored(world, key)
    world.copy.items[world.copy.keys_of(orjson.dumps(item))] = orjson.dumps(
        {**item, "n": {"N": f"{item['n']['N']}.0"}, "tags": {"SS": ["b", "a"]}}
    )


PLANTS: tuple[Callable[[ReplicaWorld, str], Kind], ...] = (changed, imprecise, stale, missing, extra)


def stored(world: ReplicaWorld, key: str) -> dict[str, dict[str, str]]:
    """Return an item of the replica."""
    found: dict[str, dict[str, str]] = orjson.loads(world.copy.items[b'{"pk":{"S":"%b"}}' % key.encode()])
    return found


def plant(world: ReplicaWorld) -> dict[str, Kind]:
    """Plant differences of all kinds at items that do not change; return what is to be found."""
    expected: dict[str, Kind] = {}
    keys = world.draw.sample(range(QUIET), PLANTED + 3)
    for number, key in enumerate(keys[:PLANTED]):
        kind = PLANTS[number % len(PLANTS)](world, f"quiet-{key}")
        expected[f"quiet-{key}" + ("-extra" if kind is Kind.EXTRA else "")] = kind
    for key in keys[PLANTED:]:
        respelled(world, f"quiet-{key}")
    return expected


async def meanwhile(world: ReplicaWorld, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Do something while the hot items change, each step of the way; shards of both streams move."""
    task = asyncio.ensure_future(work)
    for step in range(2_000):
        if task.done():
            return task.result()
        world.hot()
        if step == 20:
            world.log.split(next(shard.id for shard in await world.log.shards() if not shard.closed))
        if step % 37 == 0:
            world.source.roll()
        await world.run(0.3)
    raise AssertionError("it does not end")


async def verified(world: ReplicaWorld, unmet_max: int = 1_000) -> list[Finding]:
    """Compare all parts of the table."""
    return await _all(world.verification(unmet_max=unmet_max))


async def filled(seed: int, mode: Mode) -> ReplicaWorld:
    """Return a world whose table has items, and whose replica has them too."""
    world = ReplicaWorld(seed, mode, shards=2)
    for key in range(QUIET):
        tags, precise = {"SS": ["a", "b"]}, {"N": "1" * 38}
        world.source.put({"pk": {"S": f"quiet-{key}"}, "n": {"N": str(key)}, "tags": tags, "precise": precise})
    world.start()
    await world.run(8)
    return world


@pytest.mark.fault("R6")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_was_planted_is_found_and_nothing_else(seed: int, mode: Mode) -> None:
    """While hot items change, toggle and come back, each planted difference is found once, with its kind."""

    async def story() -> None:
        world = await filled(seed, mode)
        expected = plant(world)
        found = await meanwhile(world, verified(world, unmet_max=world.draw.choice((2, 1_000))))
        assert by_key(found) == expected
        assert VERSION not in {name for finding in found for name in finding.attributes}
        await world.end()

    asyncio.run(story())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_repair_mends_and_does_no_harm(seed: int, mode: Mode) -> None:
    """Planted differences are gone, and items repaired while they change end as the source has them."""

    async def story() -> None:
        world = await filled(seed, mode)
        plant(world)
        for _ in range(3):
            keys = [*{*world.source.items, *world.copy.items}]
            await meanwhile(world, world.repair(keys))
        assert by_key(await meanwhile(world, verified(world))) == {}
        await world.run(15)
        held = {keys: world.mirror.held(image) for keys, image in world.copy.items.items()}
        there = {keys: digest(image) for keys, image in held.items() if image is not None}
        assert there == {keys: digest(image) for keys, image in world.source.items.items()}
        await world.end()

    asyncio.run(story())


def test_listed_items_are_counted_where_they_are() -> None:
    """Of three keys, one is on both sides, one in the source alone, one nowhere; that one is no difference."""

    async def story() -> None:
        world = await filled(1, "exact")
        both, gone = list(world.source.items)[:2]
        del world.copy.items[gone]
        verification = world.verification()

        async def look() -> list[Finding]:
            return [each async for each in verification.items([both, gone, b'{"pk":{"S":"nowhere"}}'])]

        found = await meanwhile(world, look())
        assert {finding.keys: finding.kind for finding in found} == {gone: Kind.MISSING}
        assert (verification.count.source_items, verification.count.copy_items) == (2, 1)
        await world.end()

    asyncio.run(story())


def test_what_a_topology_never_settles_is_undecided() -> None:
    """Without a worker nothing is called different: it is said what holds the changes back."""

    async def story() -> None:
        world = ReplicaWorld(1, "exact")
        world.write("hot-1")
        world.source.put({"pk": {"S": "new"}})
        found = await meanwhile(world, verified(world))
        assert {finding.kind for finding in found} == {Kind.UNDECIDED}
        assert "not captured" in found[0].why

    asyncio.run(story())


def test_what_waits_in_quarantine_is_called_so() -> None:
    """A key whose changes the replica refuses is behind for a reason that is known."""

    async def story() -> None:
        world = ReplicaWorld(1, "exact")
        world.with_quarantine()
        world.start()
        world.source.put({"pk": {"S": "refused"}, "n": {"N": "1"}})
        world.source.put({"pk": {"S": "fine"}})
        await world.run(8)
        found = await meanwhile(world, verified(world))
        assert by_key(found) == {"refused": Kind.PARKED}
        await world.end()

    asyncio.run(story())


def test_enough_is_enough() -> None:
    """A replica that has nothing ends the comparison after as many findings as were asked for."""

    async def story() -> None:
        world = await filled(1, "exact")
        world.copy.items.clear()
        verification = world.verification(findings_max=7)
        found = await meanwhile(world, _all(verification))
        assert len(found) == 7
        assert verification.count.limited
        await world.end()

    asyncio.run(story())


async def _all(verification: Verification) -> list[Finding]:
    return [finding async for finding in verification.parts(0, 2, 3)]
