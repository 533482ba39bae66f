"""`python -m tests.simulation.long_copy [SEED [HOUR_SECONDS]]`: a copy of 30 hours behind streams that keep 24."""

import asyncio
import sys
from dataclasses import dataclass

from pipeline.coordination.copies import Copies, Phase
from pipeline.model.capacity import READ_UNIT_BYTES
from tests.simulation.copying import CopyWorld
from tests.simulation.gate import quiet
from tests.simulation.loop import SimLoop
from tests.simulation.scenario import HOSTS, rest

COPY_HOURS = 30.0
KEPT_HOURS = 24.0
"""How long DynamoDB Streams keeps a change; here Kinesis keeps its records no longer."""
ROLL_HOURS = 4.0
WRITES_AN_HOUR = 20
KILLS_AN_HOUR = 1.0
ITEMS = 300
STEPS_MAX = 60_000_000
HOUR_SECONDS = 3600.0


@dataclass
class Told:
    """What a run went through."""

    copy_hours: float = 0.0
    changes: int = 0
    kills: int = 0
    trimmed: int = 0
    """Changes that the table's stream had forgotten when the copy ended."""
    steps: int = 0


class LongWorld(CopyWorld):
    """A world whose streams forget what is older than a day, whether it was read or not; an hour may be shorter."""

    def __init__(self, loop: SimLoop, hour_seconds: float) -> None:
        super().__init__(loop)
        self.hour_seconds = hour_seconds
        self.told = Told()
        self.rows_max, self.segments = 2, 1
        for table in self.tables.values():
            for n in range(ITEMS):
                table.preload({"pk": {"S": f"k{n}"}, "n": {"N": f"-{n}"}})
        bytes_max = max(sum(map(len, table.items.values())) for table in self.tables.values())
        self.units_per_second = bytes_max / READ_UNIT_BYTES / (COPY_HOURS * hour_seconds)

    async def copied(self) -> bool:
        """Return True when every table is copied."""
        runs = [await Copies(self.state, "changes", table, owner="nobody").run() for table in self.tables]
        return all(run is not None and run.phase is Phase.COPIED for run in runs)

    def forget(self) -> None:
        """Forget what is older than a day."""
        oldest_ms = self.clock.now_ms() - round(KEPT_HOURS * self.hour_seconds * 1000)
        for table in self.tables.values():
            for shard in list(table._streams[table.epoch].values()):
                old = [c.sequence for c in shard.tape._records if c.time_ms < oldest_ms]
                shard.tape.trim(max(old, default=0))
                self.told.trimmed += len(old)
                if shard.tape.closed and shard.tape.first == shard.tape.end:
                    del table._streams[table.epoch][shard.id]
        for name, kinesis in list(self.log._shards.items()):
            self.log.trim(name, max((r.sequence for r in kinesis.tape._records if r.arrival_ms < oldest_ms), default=0))


async def life(world: LongWorld) -> Told:
    """Copy while items change, processes die and the day passes. Raises Violation when there is no rest in the end."""
    loop, draw, hour_seconds = world.loop, world.loop.random, world.hour_seconds
    world.heal()
    for kind in (*HOSTS, "copy"):
        world.start(kind)
    clock = asyncio.ensure_future(_days(world))
    while not await world.copied():
        await asyncio.sleep(draw.expovariate(WRITES_AN_HOUR / hour_seconds))
        world.write(world.told.changes)
        world.told.changes += 1
        if draw.random() < KILLS_AN_HOUR / WRITES_AN_HOUR:
            world.kill()
            world.told.kills += 1
    clock.cancel()
    world.told.copy_hours = loop.time() / hour_seconds
    await rest(world)
    world.told.steps = loop.steps
    return world.told


async def _days(world: LongWorld) -> None:
    """Forget every hour; roll each table's shards every few hours."""
    hours = 0
    while True:
        await asyncio.sleep(world.hour_seconds)
        hours += 1
        world.forget()
        for table in world.tables.values() if hours % ROLL_HOURS == 0 else ():
            table.roll(table._leaves()[0].id)


def run(seed: int, hour_seconds: float = HOUR_SECONDS) -> Told:
    """Run one. Raises Violation when a promise was broken."""
    loop = SimLoop(seed)
    loop.steps_max = STEPS_MAX
    told: Told = loop.run_until_complete(life(LongWorld(loop, hour_seconds)))
    return told


def main() -> int:
    """Run one and tell."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    hour_seconds = float(sys.argv[2]) if len(sys.argv) > 2 else HOUR_SECONDS
    with quiet():
        told = run(seed, hour_seconds)
    print(
        f"seed {seed}, an hour of {hour_seconds:.0f} s: copied in {told.copy_hours:.1f} h, streams keep {KEPT_HOURS} h;"
    )
    print(f"{told.changes} changes, {told.trimmed} of them forgotten by the table's stream, {told.kills} hosts killed;")
    print(f"replica, archive and source equal; {told.steps:,} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main())
