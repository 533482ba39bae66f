"""`python -m tests.simulation.sweep [EVERY]`: kill a host at every (or every n-th) step of three short scenarios."""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from typing import NamedTuple

from tests.simulation.gate import quiet
from tests.simulation.loop import Host, SimLoop
from tests.simulation.scenario import rest
from tests.simulation.world import World

SEED = 0
RESTART_SECONDS = 1.0
REST_POLL_SECONDS = 0.5
CHUNK_POINTS = 25


class Death(NamedTuple):
    """One run: in which scenario, and before which step of all hosts, the host that was to run it was killed."""

    scenario: str
    step: int


async def steady(world: World) -> None:
    """Changes flow; nothing else happens."""
    await _begin(world, 1)
    await _write(world, 0, 6)


async def moving(world: World) -> None:
    """The table's shard rolls and a shard of the stream is split while changes flow."""
    await _begin(world, 1)
    await _write(world, 0, 3)
    next(iter(world.tables.values())).roll()
    await _write(world, 3, 3)
    world.log.split(next(iter(world.log._shards)))
    await _write(world, 6, 3)


async def takeover(world: World) -> None:
    """A capture and a worker stand still past their leases, others take over, then they wake up."""
    await _begin(world, 2)
    await _write(world, 0, 3)
    for host in (world.hosts[0][1], world.hosts[1][1]):
        if host.alive:
            world.loop.pause(host, 12)
    await _write(world, 3, 3)
    await asyncio.sleep(12)
    await _write(world, 6, 2)


SCENARIOS: dict[str, Callable[[World], Awaitable[None]]] = {"steady": steady, "moving": moving, "takeover": takeover}


async def _begin(world: World, pairs: int) -> None:
    for _ in range(pairs):
        world.start("capture")
        world.start("worker")
    await asyncio.sleep(0.5)


async def _write(world: World, first: int, number: int) -> None:
    for n in range(first, first + number):
        world.write(n)
        await asyncio.sleep(0.2)


def live(death: Death) -> int:
    """Live through a scenario; return how many steps its hosts took. Raises whatever promise was broken."""
    loop = SimLoop(SEED)
    world = World(loop)
    world.heal()
    world.calm()
    steps = count(1)
    taken = 0

    def before_step(host: Host) -> None:
        nonlocal taken
        taken = next(steps)
        if taken == death.step:
            world.kill_host(host, RESTART_SECONDS)

    loop.before_step = before_step

    async def life() -> None:
        await SCENARIOS[death.scenario](world)
        await rest(world, REST_POLL_SECONDS)

    loop.run_until_complete(life())
    return taken


def try_death(death: Death) -> tuple[Death, str]:
    """Return what a death broke, "" when nothing."""
    with quiet():
        try:
            live(death)
        except Exception as error:  # noqa: BLE001  # whatever broke
            return death, f"{type(error).__name__}: {error}"
    return death, ""


def deaths(name: str, every: int) -> list[Death]:
    """Return every n-th point of a scenario."""
    with quiet():
        return [Death(name, step) for step in range(1, live(Death(name, 0)) + 1, every)]


def main() -> int:
    """Sweep; return 1 when a promise was broken."""
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    points = [death for name in SCENARIOS for death in deaths(name, every)]
    broken = []
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), maxtasksperchild=20) as pool:
        for death, why in pool.imap_unordered(try_death, points, CHUNK_POINTS):
            if why:
                broken.append(death)
                print(f"{death.scenario}: killed before step {death.step}: {why}", flush=True)
    for name in SCENARIOS:
        print(f"{name}: killed at {sum(p.scenario == name for p in points)} steps")
    print(f"violations: {len(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
