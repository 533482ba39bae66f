"""Random restores over recorded histories, snapshots in random places: `make restore-proof`.

Each is compared with the table as it was. Prints one line for each history; RESTORES.md keeps what was run.
"""

import asyncio
import random
import sys
import time

from pipeline.history.keys import Scope
from pipeline.history.plan import Aim, Whole, since
from pipeline.history.restore import Target, carry_out
from pipeline.testing.clock import SkippingClock
from pipeline.testing.fakes import FakeItemStore, FakeObjectStore, FakeTable, SeededChance
from pipeline.wire import manifest
from tests.compacted import compacted, traces_from
from tests.recorded import Recorded

HISTORIES = (
    ("small, hot keys", 11, {"changes": 2_000, "keys": 40, "kinesis_shards": 2}),
    ("wide", 12, {"changes": 4_000, "keys": 1_500, "kinesis_shards": 4}),
    ("one shard, long", 13, {"changes": 8_000, "keys": 300, "kinesis_shards": 1}),
)
KEYS = {"pk": "S", "sk": "N"}
SNAPSHOTS = 8
MEMORY_BYTES_MAX = 60_000
"""Small enough that every second run over a whole table has to lay traces aside."""


def scope_of(chance: random.Random, history: Recorded) -> Scope:
    """Return the whole table, the items of a prefix, or some listed keys."""
    kind = chance.randrange(3)
    if kind == 0:
        return Scope("orders")
    if kind == 1:
        return Scope("orders", prefixes={"pk": f"tenant-{chance.randrange(2)}#{chance.choice(['', '1', '22'])}"})
    return Scope("orders", keys=frozenset(chance.choice(history.changes).keys for _ in range(chance.randint(1, 20))))


async def with_snapshots(history: Recorded, chance: random.Random) -> list[str]:
    """Add snapshots of random seconds to a history's archive, some made from others; return their manifests."""
    for second in chance.sample(history.seconds, SNAPSHOTS):
        await compacted(history.objects, second + 1000, memory=MEMORY_BYTES_MAX, alone=chance.random() < 0.3)
    return [name async for name in history.objects.names(manifest.FOLDER)]


async def restored(history: Recorded, archive: FakeObjectStore, chance: random.Random) -> tuple[str, bool]:
    """Restore once, at a random second and scope, into a new or the live table.

    Return what was wrong, if anything, and whether a snapshot was read.
    """
    scope, second, live = scope_of(chance, history), chance.choice(history.seconds), chance.random() < 0.5
    aim: Aim = since(second + 1000, overwrite=False) if live else Whole(second + 1000)
    memory = chance.choice((MEMORY_BYTES_MAX, 10**9))
    traces, base = await traces_from(archive, scope, aim.moments, memory=memory)
    final = history.states[history.seconds[-1]]
    table = FakeTable("orders", SkippingClock(), keys=KEYS)
    table.disable_stream()
    table.items.update(final if live else {})
    target = Target(
        FakeItemStore(table), "orders", SkippingClock(), SeededChance(1), units_per_second=1e9, fresh=not live
    )
    await carry_out(traces, aim, target)
    expected = {key: image for key, image in history.states[second].items() if scope.has(key)}
    if live:
        expected |= {key: image for key, image in final.items() if not scope.has(key)}
    else:
        expected = {key: image for key, image in expected.items() if key not in history.untouched}
    wrong = "" if table.items == expected else f"second {second}, {scope}, live {live}, from {base and base.name}"
    return wrong, base is not None


def view(history: Recorded, manifests: list[str], chance: random.Random) -> FakeObjectStore:
    """Return the archive with some of its snapshots, or none."""
    shown = set(chance.sample(manifests, chance.randint(0, len(manifests))))
    objects = FakeObjectStore()
    objects.objects = {n: data for n, data in history.objects.objects.items() if n in shown or n not in manifests}
    return objects


async def prove(restores: int) -> int:
    """Run so many restores over each history; return how many were wrong."""
    wrong = 0
    for name, seed, shape in HISTORIES:
        history, chance, began = Recorded(seed, **shape), random.Random(seed), time.process_time()
        await history.archive()
        manifests = await with_snapshots(history, chance)
        outcomes = [await restored(history, view(history, manifests, chance), chance) for _ in range(restores)]
        found = [each for each, _ in outcomes if each]
        wrong += len(found)
        seconds = time.process_time() - began
        sys.stdout.write(
            f"{name}: {len(history.changes):,} changes, {len(history.seconds):,} seconds,"
            f" {sum(name.startswith('segments/') for name in history.objects.objects):,} segments,"
            f" {len(manifests)} snapshots; {restores} restores, {sum(read for _, read in outcomes)} of them from a"
            f" snapshot, {len(found)} wrong, {seconds:.0f} CPU s\n"
        )
        sys.stdout.writelines(f"  wrong: {each}\n" for each in found[:10])
    return wrong


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 334
    sys.exit(1 if asyncio.run(prove(count)) else 0)
