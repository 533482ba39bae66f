"""The life of a world: writes while hosts die, stand still, are stopped and shards move; then healing, then rest."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from tests.simulation.logs import Violation
from tests.simulation.loop import SimLoop
from tests.simulation.troubles import Trouble
from tests.simulation.world import World

HEAL_SECONDS = 300.0
HOSTS = ("capture", "capture", "worker", "worker", "worker")


@dataclass(frozen=True, slots=True)
class Life:
    """How much happens in a world before it heals."""

    rounds: range
    """How many times something is written, and perhaps something befalls a host."""
    changes: tuple[int, ...] = (1,)
    """How many changes are made at a time."""
    rates: tuple[float, ...] = (0.0, 0.02, 0.1)
    """How often each kind of fate comes, by rounds."""
    heal_seconds: float = HEAL_SECONDS
    """How long a healed world may take until all has arrived."""

    def changes_now(self, draw: random.Random) -> int:
        """Draw how many changes are made; where there is no choice nothing is drawn."""
        return draw.choice(self.changes) if len(self.changes) > 1 else self.changes[0]


SHORT = Life(range(20, 150))
"""What CI runs."""
LONG = Life(range(100, 400), changes=(1, 1, 1, 2, 20), rates=(0.02, 0.1), heal_seconds=4 * HEAL_SECONDS)
"""Several times as many changes and deaths: for campaigns, not for CI."""


@dataclass
class Tally:
    """What a run, or many, went through."""

    seeds: int = 0
    kills: int = 0
    stops: int = 0
    pauses: int = 0
    reshards: int = 0
    trims: int = 0
    changes: int = 0
    calls: int = 0
    steps: int = 0
    simulated_seconds: float = 0.0
    heal_seconds_max: float = 0.0
    met: Counter[Trouble] = field(default_factory=Counter)
    """How often each kind of trouble happened."""


async def scenario(world: World, tally: Tally, hosts: Sequence[str] = HOSTS, life: Life = SHORT) -> None:
    """Live through one seed. Raises Violation when there is no rest in the end."""
    draw = world.loop.random
    for kind in hosts:
        world.start(kind)
    world.operate()
    rates = {name: draw.choice(life.rates) for name in ("kills", "stops", "pauses", "reshards", "trims")}
    fates = dict(zip(rates, (world.kill, world.terminate, world.pause, world.reshard, world.trim), strict=True))
    burst = draw.choice((0.0, 0.0, 0.8))
    numbers = count()
    for _ in range(draw.choice(life.rounds)):
        for _ in range(life.changes_now(draw)):
            world.write(next(numbers))
            tally.changes += 1
        if draw.random() >= burst:
            await asyncio.sleep(draw.expovariate(2))
        for name, fate in fates.items():
            if draw.random() < rates[name] and (world.hosts or name in {"reshards", "trims"}):
                fate()
                setattr(tally, name, getattr(tally, name) + 1)
    world.heal()
    began = world.loop.time()
    await rest(world, heal_seconds=life.heal_seconds)
    tally.heal_seconds_max = max(tally.heal_seconds_max, world.loop.time() - began)


async def rest(world: World, every_seconds: float = 2.0, heal_seconds: float = HEAL_SECONDS) -> None:
    """Return when all has arrived. Raises Violation after `heal_seconds`."""
    began = world.loop.time()
    while why := await world.at_rest():
        if world.loop.time() - began > heal_seconds:
            raise Violation(f"I11 no rest after {heal_seconds:.0f} s: {why}")
        await asyncio.sleep(every_seconds)


def run(seed: int, tally: Tally, life: Life = SHORT) -> None:
    """Run one seed. Raises whatever promise it broke."""
    loop = SimLoop(seed)
    world = World(loop)
    try:
        loop.run_until_complete(scenario(world, tally, life=life))
    finally:
        tally.seeds += 1
        tally.met += loop.met
        tally.steps += loop.steps
        tally.calls += world.network.calls
        tally.simulated_seconds += loop.time()
