"""`python -m benchmarks.isolation_real`: the lag of a good topology beside a bad one in the same real process.

One stack on emulators, written to without a pause. Phases alternate: the second topology is fine, then bad in one way,
then fine, then bad in the next way, and all that several times, so that what the machine does besides falls on both.
After a bad phase nothing is measured until the second topology has caught up.
"""

import argparse
import os
import random
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.blackbox.history import quantiles
from tests.blackbox.stack import Service, Stack, eventually
from tests.blackbox.workload import CALL_WRITES, Workload
from tests.nemesis.servers import Servers

KINDS = ("hangs", "slow", "raises", "lies", "blocks", "leaks")
FINE = "fine"
RESAMPLES = 2_000
RECOVER_SECONDS = 120.0
FRESH_SECONDS = 2.5
"""The second topology has caught up when what it writes is no older."""
THREADS = 2

GOOD = '''\
"""Notes when each change was durable."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.plugin import Batch, Context, Topology


@dataclass(frozen=True)
class Settings:
    path: str


class Noted:
    def __init__(self, settings: Settings, context: Context) -> None:
        self._file = Path(settings.path)

    async def open(self) -> None:
        pass

    async def write(self, batch: Batch) -> None:
        with self._file.open("a") as file:
            now = time.monotonic()
            for _, change in batch:
                number = json.loads(change.after)["n"]["N"] if change.after else ""
                file.write(f"{now} {json.loads(change.keys)['pk']['S']} {number}\\n")

    async def close(self) -> None:
        pass


topology = Topology("good", Settings, Noted)
'''

BAD = '''\
"""Does as a file says."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.plugin import Batch, Context, Topology


@dataclass(frozen=True)
class Settings:
    path: str


class Bad:
    def __init__(self, settings: Settings, context: Context) -> None:
        self._folder = Path(settings.path)
        self._kept: list[object] = []

    async def open(self) -> None:
        pass

    def _kind(self) -> str:
        return (self._folder / "kind").read_text()

    async def write(self, batch: Batch) -> None:
        kind = self._kind()
        while self._kind() == "hangs":
            await asyncio.sleep(0.2)
        if kind == "slow":
            await asyncio.sleep(1.0)
        elif kind == "raises":
            raise ValueError("as told")
        elif kind == "blocks":
            time.sleep(1.0)
        elif kind == "leaks":
            self._kept += [bytearray(1_000_000), asyncio.ensure_future(asyncio.sleep(3600))]
        if kind != "lies":
            with (self._folder / "seen").open("a") as file:
                file.write(f"{batch.changes[-1].time_ms}\\n" * len(batch.changes))
        if kind == "fine":
            new = self._folder / "new"
            new.write_text(str(time.monotonic()))
            new.replace(self._folder / "at")

    async def close(self) -> None:
        pass


topology = Topology("bad", Settings, Bad)
'''


class Phase(NamedTuple):
    """A stretch of time in which the second topology was of one kind, on the monotonic clock."""

    kind: str
    begin: float
    end: float
    beside: str
    """The kind it is compared for: a fine phase goes with the bad one after it."""


class Bench:
    """One stack, its two topologies, and the phases so far."""

    def __init__(self, stack: Stack, rate: float) -> None:
        folder = stack.folder / "bad-files"
        plugins = stack.folder / "topologies"
        for each in (folder, plugins):
            each.mkdir()
        (plugins / "good.py").write_text(GOOD)
        (plugins / "bad.py").write_text(BAD)
        self.noted = stack.folder / "noted"
        self._kind = folder / "kind"
        self._at = folder / "at"
        self._tell(FINE)
        topologies: dict[str, dict[str, object]] = {
            "good": {"path": str(self.noted)},
            "bad": {"path": str(folder), "deadline_seconds": 5},
        }
        config = stack.write(stack.sections(topologies, lease_seconds=10))
        stack.create(config, 1)
        self.services: list[Service] = [stack.service(each, config, each).start() for each in ("capture", "worker")]
        for service in self.services:
            service.wait_working(120.0)
        calls = THREADS * CALL_WRITES
        self.workload = Workload(stack, changes=20_000 * calls, keys=400, per_second=rate, threads=THREADS)
        self.phases: list[Phase] = []

    def _tell(self, kind: str) -> None:
        new = self._kind.with_suffix(".new")
        new.write_text(kind)
        new.replace(self._kind)

    def phase(self, kind: str, seconds: float, beside: str) -> None:
        """Be of a kind for some seconds; a fine phase begins when the second topology has caught up."""
        self._tell(kind)
        if kind == FINE:
            told = time.monotonic()
            eventually("the second topology has caught up", RECOVER_SECONDS, lambda: self._fresh(told), 0.5)
            time.sleep(FRESH_SECONDS)
        begin = time.monotonic()
        time.sleep(seconds)
        self.phases.append(Phase(kind, begin, time.monotonic(), beside))

    def _fresh(self, told: float) -> bool:
        """Return True when it has written something as a fine one, of late."""
        at = float(self._at.read_text()) if self._at.exists() else 0.0
        return at > told and time.monotonic() - at < FRESH_SECONDS

    def lags(self) -> list[tuple[float, float]]:
        """Return (when acknowledged, lag) of every put that the good topology has noted."""
        returned = {(e.write.item.key, e.write.n): e.returned for e in self.workload.entries if not e.write.removes}
        found = []
        for line in self.noted.read_text().splitlines():
            at, key, number = line.split(" ")
            acknowledged = returned.get((key, int(number))) if number else None
            if acknowledged is not None:
                found.append((acknowledged, max(0.0, float(at) - acknowledged)))
        return sorted(found)


def by_second(lags: Sequence[tuple[float, float]], phases: Iterable[Phase]) -> list[list[float]]:
    """Return the lags of these phases in lists, one for each second: what comes together is no independent sample."""
    times = [at for at, _ in lags]
    seconds: dict[int, list[float]] = defaultdict(list)
    for phase in phases:
        for at, lag in lags[bisect_right(times, phase.begin) : bisect_right(times, phase.end)]:
            seconds[int(at)].append(lag)
    return list(seconds.values())


def p99(seconds: Iterable[Sequence[float]]) -> float:
    """Return the p99 of all lags."""
    return quantiles([lag for second in seconds for lag in second], (0.99,))[0]


def interval(base: list[list[float]], bad: list[list[float]], chance: random.Random) -> tuple[float, float]:
    """Return the 95 % interval of the change of the p99, by resampling whole seconds."""
    changes = sorted(
        p99(chance.choices(bad, k=len(bad))) / p99(chance.choices(base, k=len(base))) - 1 for _ in range(RESAMPLES)
    )
    return changes[int(0.025 * RESAMPLES)], changes[int(0.975 * RESAMPLES)]


def report(bench: Bench) -> list[str]:
    """Return the rows of the table."""
    lags, chance = bench.lags(), random.Random(1)
    rows = ["| beside one that | p50 / p99 s, fine | p50 / p99 s, bad | change of p99 | 95 % interval | changes |"]
    rows.append("|---|---|---|---|---|---|")
    for kind in KINDS:
        base = by_second(lags, (p for p in bench.phases if p.beside == kind and p.kind == FINE))
        bad = by_second(lags, (p for p in bench.phases if p.beside == kind and p.kind == kind))
        low, high = interval(base, bad, chance)
        cells = [
            " / ".join(f"{q:.3f}" for q in quantiles([lag for second in each for lag in second], (0.5, 0.99)))
            for each in (base, bad)
        ]
        counts = f"{sum(map(len, base))}, {sum(map(len, bad))}"
        change = p99(bad) / p99(base) - 1
        rows.append(f"| {kind} | {cells[0]} | {cells[1]} | {change:+.1%} | {low:+.1%} to {high:+.1%} | {counts} |")
    return rows


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation_real", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of a phase")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rate", type=float, default=60.0, help="changes a second")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="isolation-"))
    with Servers(folder, quick=True) as servers, Stack(folder, servers.settings, "iso") as stack:
        bench = Bench(stack, options.rate)
        bench.workload.start()
        try:
            for _ in range(options.rounds):
                for kind in KINDS:
                    bench.phase(FINE, options.seconds, kind)
                    bench.phase(kind, options.seconds, kind)
            bench.phase(FINE, 0.0, "")
        finally:
            bench.workload.stop()
        assert all(service.running for service in bench.services)
        for row in report(bench):
            print(row, flush=True)  # noqa: T201  # a program that reports
    load = os.getloadavg()
    print(f"load {load[0]:.1f} / {load[1]:.1f} / {load[2]:.1f} over 1, 5, 15 min; logs in {folder}")  # noqa: T201  # a program that reports


if __name__ == "__main__":
    main()
