"""`python -m tests.faults.burst MEBIBYTES SPARE`: a shard with far more in it than the process has memory for.

The real delivery, over a log that makes its records when they are read, with SPARE MiB of address space left beyond
what the process has once everything is loaded. Prints what arrived, and by how much resident memory grew, as JSON.
"""

import asyncio
import json
import resource
import sys
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.delivery.appetite import Appetite
from pipeline.delivery.topology import TopologyRunner
from pipeline.model.change import Change, ChangeKind
from pipeline.model.shard import Shard
from pipeline.plugin import Batch
from pipeline.ports import LogPage, LogRecord, OutRecord
from pipeline.testing.fakes import FakeStateStore, ManualClock, SeededChance
from pipeline.wire.compact import encode_frame, encode_record
from pipeline.wiring.core import Surroundings, delivery_of

MIB = 1024 * 1024
CHANGE_BYTES = 20 * 1024
RECORD_CHANGES = 10
PAGE_RECORDS = 10
"""A page of 2 MiB: what a shard gives in a second."""
RING_BYTES_MAX = 8 * MIB
BATCH_BYTES_MAX = 1 * MIB
WRITE_SECONDS = 1.0
SHARD = "shardId-000000000000"


class Flood:
    """A log of one shard whose records are made on reading, and are all there at once."""

    name = "changes"

    def __init__(self, size_bytes: int) -> None:
        self.records = size_bytes // (CHANGE_BYTES * RECORD_CHANGES)
        self.reads = 0

    async def shards(self) -> tuple[Shard, ...]:
        """Return the shard."""
        return (Shard(SHARD),)

    async def iterator(self, _shard: str, after: int | None) -> str:
        """Return the number of the next record."""
        return str(0 if after is None else after + 1)

    async def read(self, iterator: str) -> LogPage:
        """Return the next page."""
        self.reads += 1
        start = int(iterator)
        stop = min(start + PAGE_RECORDS, self.records)
        return LogPage(tuple(map(self._record, range(start, stop))), str(stop), 0, start)

    async def kept_ms(self) -> int:
        """Return a day."""
        return 24 * 3600 * 1000

    async def put(self, _records: list[OutRecord]) -> tuple[str | None, ...]:
        """Take nothing."""
        raise AssertionError

    @staticmethod
    def _record(number: int) -> LogRecord:
        changes = []
        for n in range(number * RECORD_CHANGES, (number + 1) * RECORD_CHANGES):
            image = json.dumps(
                {"pk": {"S": f"k{n % 50}"}, "n": {"N": str(n)}, "fill": {"S": chr(97 + n % 26) * CHANGE_BYTES}}
            )
            keys = json.dumps({"pk": {"S": f"k{n % 50}"}}, separators=(",", ":")).encode()
            changes.append(Change("t", "e", "s", 10**20 + n, ChangeKind.MODIFY, keys, None, image.encode(), n))
        return LogRecord(number, encode_record(changes, 0, encode_frame(changes)), "p", number)


class Slow:
    """A sink that takes a tenth of what the shard could give, and counts."""

    def __init__(self, clock: ManualClock, *, hung: bool) -> None:
        self._clock = clock
        self._hung = hung
        self.positions = 0

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, batch: Batch) -> None:
        """Take the batch, in its time; a repeat or a hole is an error."""
        await self._clock.sleep(1e9 if self._hung else WRITE_SECONDS)
        assert batch.first == self.positions + 1
        self.positions = batch.last

    async def close(self) -> None:
        """Do nothing."""


def resident_mib() -> float:
    """Return the most resident memory this process has had so far."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def bound(spare_bytes: int) -> None:
    """Let the process have no more address space than it has, and so much beside."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + spare_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


async def play(size_bytes: int) -> dict[str, float]:
    """Deliver all of it to one topology while another hangs."""
    clock, flood = ManualClock(), Flood(size_bytes)
    log: Any = flood
    around = Surroundings("host", log, None, FakeStateStore(), clock, SeededChance(1), 10.0, 1.0, RING_BYTES_MAX)
    wants = Appetite(1000, BATCH_BYTES_MAX, 0.0, frozenset({"t"}))
    sinks = {"good": Slow(clock, hung=False), "hung": Slow(clock, hung=True)}
    runners = {
        name: TopologyRunner(
            name, partial(sinks.__getitem__, name), wants, clock, SeededChance(2), deadline_seconds=1e8
        )
        for name in sinks
    }
    delivery = delivery_of(around, runners)
    running = asyncio.ensure_future(delivery.run(3.0))
    pumps: list[asyncio.Task[None]] = []

    async def pump(name: str) -> None:
        (each,) = delivery.deliveries.values()
        while True:
            batch = each.take(name)
            if batch is None:
                await clock.sleep(0.05)
                continue
            await runners[name].deliver(batch, each.followers[name])
            each.settle(name, batch)

    while sinks["good"].positions < flood.records * RECORD_CHANGES:
        await clock.advance(0.1)
        if delivery.deliveries and not pumps:
            pumps = [asyncio.ensure_future(pump(name)) for name in runners]
        for task in (running, *pumps):
            if task.done():
                task.result()
    for task in (running, *pumps):
        task.cancel()
    return {"changes": sinks["good"].positions, "pages": flood.reads, "seconds": clock.monotonic()}


def main(mebibytes: int, spare_mebibytes: int) -> None:
    """Run and print."""
    before = resident_mib()
    bound(spare_mebibytes * MIB)
    report = asyncio.run(play(mebibytes * MIB))
    print(json.dumps({**report, "grown_mib": round(resident_mib() - before, 1)}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
