"""`python -m tests.simulation.takeover SEEDS`: how soon somebody reads what a stopped or killed host worked on."""

import asyncio
import sys
from enum import StrEnum

from pipeline.capture.table import TableCapture
from tests.simulation.gate import quiet
from tests.simulation.hosts import LEASE_SECONDS
from tests.simulation.loop import Host, SimLoop
from tests.simulation.scenario import HOSTS
from tests.simulation.world import World

SETTLED_SECONDS = 2.5 * LEASE_SECONDS
"""Until the leases are shared out."""
GIVEN_UP_SECONDS = 5 * LEASE_SECONDS
PAUSE_SECONDS = 0.02


class End(StrEnum):
    """How a host ends."""

    STOPPED = "stopped"
    KILLED = "killed"


def shards_read(host: Host) -> set[str]:
    """Return the shards this host reads now."""
    captures = [each for work in host.work if isinstance(work, TableCapture) for each in work.captures.values()]
    deliveries = [each for work in host.work if not isinstance(work, TableCapture) for each in work.deliveries.values()]
    return {c.shard for c in captures if c.report.reads} | {d.shard.id for d in deliveries if d.report.reads}


def seconds_until_read(seed: int, end: End) -> float:
    """Return the time from the end of a host that reads until the others read all its shards."""
    loop = SimLoop(seed)
    world = World(loop)
    world.heal()
    world.calm()

    async def life() -> float:
        for kind in HOSTS:
            world.start(kind)
        writing = asyncio.ensure_future(_write(world))
        await asyncio.sleep(SETTLED_SECONDS + loop.random.uniform(0, LEASE_SECONDS))
        host = loop.random.choice([host for _, host in world.hosts if shards_read(host)])
        left, others = shards_read(host), [each for _, each in world.hosts if each is not host]
        began = loop.time()
        if end is End.KILLED:
            loop.kill(host)
        host.stopping.set()
        while not left <= {shard for each in others for shard in shards_read(each)}:
            if loop.time() - began > GIVEN_UP_SECONDS:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        writing.cancel()
        return loop.time() - began

    return float(loop.run_until_complete(life()))


async def _write(world: World) -> None:
    n = 0
    while True:
        world.write(n := n + 1)
        await asyncio.sleep(world.loop.random.uniform(0, 1))


def main() -> int:
    """Print quantiles."""
    seeds = int(sys.argv[1])
    for end in End:
        with quiet():
            times = sorted(seconds_until_read(seed, end) for seed in range(seeds))
        p50, p99 = times[seeds // 2], times[seeds * 99 // 100]
        print(f"{end}: p50 {p50:.2f} s, p99 {p99:.2f} s, max {times[-1]:.2f} s of {seeds}, lease {LEASE_SECONDS:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
