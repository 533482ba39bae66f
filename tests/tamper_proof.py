"""Random tamperings with recorded audit logs: each must be found, and found in its place. `make tamper-proof`.

Prints one line for each kind; TAMPERINGS.md keeps what was run.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from pipeline.delivery.roots import Rhythm
from pipeline.model.change import Batch
from pipeline.testing.changes import batch, history
from pipeline.testing.fakes import FakeObjectStore
from pipeline.verification.audit import Problem
from pipeline.verification.roots import Remembered
from tests.signed_log import SignedLog
from tests.tampering import TAMPERINGS, Expected, Spoilt, lines_of
from tests.tampering_objects import OBJECT_TAMPERINGS
from tests.tampering_roots import ROOT_TAMPERINGS

LOGS = 8
PROCESSES = os.cpu_count() or 1
KINDS = {**TAMPERINGS, **OBJECT_TAMPERINGS, **ROOT_TAMPERINGS}
SHARDS = {0: (), 1: (), 2: (0,), 3: (0,), 4: (1, 2)}
"""A split, and a merge of shards that came from elsewhere: parents by shard."""


@dataclass
class Recording:
    """A finished log, as dictionaries, with what is needed to verify it."""

    made: SignedLog
    remembered: Remembered
    sizes: dict[str, int]
    sparse: bool

    def spoil(self, kind: str, chance: random.Random) -> tuple[SignedLog, Expected]:
        """Return a copy of the log with which somebody has tampered, and where."""
        assert self.made.witness is not None
        spoilt = Spoilt(dict(self.made.log.objects), dict(self.made.witness.objects), self.sizes, chance)
        expected = KINDS[kind](spoilt)
        return SignedLog(stored(spoilt.log), stored(spoilt.witness), signer=self.made.signer), expected


def stored(objects: dict[str, bytes]) -> FakeObjectStore:
    """Return a store that holds objects."""
    store = FakeObjectStore()
    store.objects = objects
    return store


def shard_id(number: int) -> str:
    """Return the name of a shard."""
    return f"shardId-{number:012d}"


def delivered(shard: int, chance: random.Random, *, sparse: bool) -> list[Batch]:
    """Return what a shard was given, cut at random; with `sparse` a third of the positions is not wanted."""
    steps = [f"{chance.choice(['', '', '', '-'])}{chance.choice('abcdefgh')}" for _ in range(chance.randint(10, 30))]
    changes, first, batches = history(steps, start=1 + 1000 * shard), 1, []
    while first <= len(changes):
        last = min(len(changes), first + chance.randint(0, 9))
        without = [p for p in range(first, last) if sparse and chance.random() < 0.33]
        made = batch(changes, first, last, shard=shard_id(shard), without=without)
        batches.append(replace(made, parents=tuple(map(shard_id, SHARDS[shard]))))
        first = last + 1
    return batches


async def record(seed: int) -> Recording:
    """Return a log of five shards, two of them split or merged away on the way, with roots over all of it."""
    chance, sparse = random.Random(seed), seed % 4 == 3
    made = SignedLog()
    writer = made.writer(rhythm=Rhythm(entries=chance.randint(15, 60), minutes=5))
    for generation in ((0, 1), (2, 3), (4,)):
        waiting = [delivered(shard, chance, sparse=sparse) for shard in generation]
        while any(waiting):
            await made.append(chance.choice([each for each in waiting if each]).pop(0))
            if chance.random() < 0.3:
                await writer.look()
    for _ in range(2):  # a full root, and one with what is left
        await made.clock.advance(301)
        await writer.look()
    row = made.store.rows["roots:changes@audit"]
    remembered = Remembered(int(str(row.fields["number"])), str(row.fields["digest"]))
    report, trust = await made.verify(remembered=remembered)
    assert report.sound, report.problems
    assert (report.vouched, len(report.children)) == (report.entries, 3)
    assert trust.count == remembered.number
    chains = {name: data for name, data in made.log.objects.items() if name.startswith("chain/")}
    sizes = {name: len(lines_of(data)) - 2 for name, data in chains.items()}
    return Recording(made, remembered, sizes, sparse)


def is_located(problems: Sequence[Problem], expected: Expected, *, sparse: bool) -> bool:
    """Return True when a problem names the place: the object, and the entry with its position where there is one."""
    for each in problems:
        if (each.object, each.entry) != expected[:2]:
            continue
        if not expected.entry or each.first == each.last == expected.position:
            return True
        if sparse and each.first <= expected.position <= each.last:
            return True
    return False


async def prove(cases: Sequence[int], seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Return how many tamperings of each kind there were, and the cases that were not found or not located."""
    logs = [await record(seed + number) for number in range(LOGS)]
    kinds, tried, missed = list(KINDS), Counter[str](), []
    for case in cases:
        kind, chance = kinds[case % len(kinds)], random.Random(f"{seed}/{case}")
        recording = chance.choice(logs)
        spoilt, expected = recording.spoil(kind, chance)
        report, _ = await spoilt.verify(remembered=recording.remembered)
        tried[kind] += 1
        if not is_located(report.problems, expected, sparse=recording.sparse):
            missed.append(f"case {case}, {kind}: expected {expected}, found {report.problems[:3]}")
    return tried, missed


def part(cases: range) -> tuple[Counter[str], list[str]]:
    """Try some of the cases, in a process of its own."""
    return asyncio.run(prove(cases))


def main(count: int) -> int:
    """Run and print; return the exit code."""
    started, tried, missed = time.perf_counter(), Counter[str](), list[str]()
    parts = [range(first, count, PROCESSES) for first in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES) as processes:
        for some, others in processes.map(part, parts):
            tried += some
            missed += others
    for kind in KINDS:
        print(f"| {kind} | {tried[kind]:,} |")
    print(f"{count - len(missed):,} of {count:,} found and located, in {time.perf_counter() - started:.0f} s")
    print(*missed[:20], sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
