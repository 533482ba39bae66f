"""The whole pipeline under kills, reshards and faults: nothing lost, nothing reordered, nothing twice."""

import asyncio
import random
from collections.abc import Callable

import pytest

from pipeline.capture.packing import WireForm
from pipeline.model.errors import RetryLater
from pipeline.plugin import Sink
from tests.system.world import World, item


async def write(world: World, rng: random.Random, count: int) -> None:
    """Write changes to the tables, a few keys often."""
    for n in range(count):
        table = rng.choice(world.tables)
        key = rng.choice((0, 1, rng.randrange(20)))
        if rng.random() < 0.15:
            table.delete({"pk": {"S": f"k{key}"}})
        else:
            table.put(item(key, n))


def storm(rng: random.Random, rate: float) -> Callable[[str, str], RetryLater | None]:
    """Return a decision that fails calls at a rate, before or after their effect."""
    return lambda call, when: RetryLater(f"{call} {when}") if rng.random() < rate else None


def test_changes_of_several_tables_arrive_once_and_in_order() -> None:
    """Without trouble every change reaches every sink once, each key in source order."""

    async def story() -> None:
        world = World(shards=4, tables=2)
        await write(world, random.Random(1), 300)
        world.capture()
        world.worker({"a": world.sink("a"), "b": world.sink("b")})
        await world.run(15)
        for name in "ab":
            assert world.ledger(name).by_key == world.expected()
        await world.end()

    asyncio.run(story())


@pytest.mark.parametrize("form", list(WireForm))
@pytest.mark.parametrize("seed", range(2))
def test_kills_reshards_and_faults_lose_and_reorder_nothing(seed: int, form: WireForm) -> None:
    """Two captures and two workers, killed and resharded at random under failing calls, deliver what was written."""

    async def story() -> None:
        rng = random.Random(seed)
        world = World(seed, shards=rng.choice((1, 2, 4)), form=form, tables=2)
        world.tables[0].children_unlisted = rng.randrange(3)
        rate = rng.choice((0.0, 0.05, 0.2))
        world.log.faults.decide = world.store.faults.decide = storm(rng, rate)
        world.log.refuses = lambda _: "ProvisionedThroughputExceededException" if rng.random() < rate else None

        def sinks() -> dict[str, Sink]:
            return {"a": world.sink("a"), "b": world.sink("b")}

        captures = [world.capture(), world.capture()]
        workers = [world.worker(sinks()), world.worker(sinks())]
        for _ in range(8):
            await write(world, rng, 40)
            await world.run(rng.uniform(0.2, 4))
            match rng.randrange(5):
                case 0:
                    await world.kill(captures.pop(0))
                    captures.append(world.capture())
                case 1:
                    await world.kill(workers.pop(0))
                    workers.append(world.worker(sinks()))
                case 2:
                    rng.choice([world.tables[0].roll, world.tables[1].split])()
                case 3:
                    opened = [s.id for s in world.log._shards.values() if not s.tape.closed]
                    world.log.split(rng.choice(opened))
                case _:
                    host = workers.pop(0)
                    world.hosts.remove(host)
                    await host.drain()
                    workers.append(world.worker(sinks()))
        world.log.faults.decide = world.store.faults.decide = world.log.refuses = None
        await world.run(40)
        for name in "ab":
            assert world.ledger(name).by_key == world.expected()
        await world.end()

    asyncio.run(story())
