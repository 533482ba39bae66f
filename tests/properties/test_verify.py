"""A table compared with its replica while it changes: every planted difference is found, and nothing else."""

import asyncio
from collections.abc import Callable

import orjson
import pytest

from pipeline.verification.judge import Finding, Kind
from tests.verification_world import ReplicaWorld, by_key
from topologies.replica import MODES, VERSION, Mode

SEEDS = 3
QUIET = 30
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


async def verified(world: ReplicaWorld, unmet_max: int) -> list[Finding]:
    """Compare while the hot items change, each step of the way; Kinesis shards split meanwhile."""

    async def all_parts() -> list[Finding]:
        verification = world.verification(unmet_max=unmet_max)
        return [finding async for finding in verification.parts(0, 2, 3)]

    comparing = asyncio.ensure_future(all_parts())
    for step in range(2_000):
        if comparing.done():
            return comparing.result()
        world.hot()
        if step == 20:
            world.log.split((await world.log.shards())[0].id)
        if step % 37 == 0:
            world.source.roll()
        await world.run(0.3)
    raise AssertionError("the comparison does not end")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_was_planted_is_found_and_nothing_else(seed: int, mode: Mode) -> None:
    """While hot items change, toggle and come back, each planted difference is found once, with its kind."""

    async def story() -> None:
        world = ReplicaWorld(seed, mode, shards=2)
        for key in range(QUIET):
            world.source.put(
                {
                    "pk": {"S": f"quiet-{key}"},
                    "n": {"N": str(key)},
                    "tags": {"SS": ["a", "b"]},
                    "precise": {"N": "1" * 38},
                }
            )
        world.start()
        await world.run(8)
        expected = plant(world)
        found = await verified(world, unmet_max=world.draw.choice((2, 1_000)))
        assert by_key(found) == expected
        assert VERSION not in {name for finding in found for name in finding.attributes}
        await world.end()

    asyncio.run(story())
