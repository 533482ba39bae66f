"""Random restores over recorded histories, each compared with the table as it was: `make restore-proof`.

Prints one line for each history; RESTORES.md keeps what was run.
"""

import asyncio
import random
import sys
import time

from pipeline.history.keys import Scope
from pipeline.history.plan import Aim, Whole, since
from pipeline.history.reading import gather
from pipeline.history.restore import Target, carry_out
from pipeline.history.traces import Traces
from pipeline.testing.clock import SkippingClock
from pipeline.testing.fakes import FakeItemStore, FakeObjectStore, FakeTable, SeededChance
from tests.recorded import Recorded

HISTORIES = (
    ("small, hot keys", 11, {"changes": 2_000, "keys": 40, "kinesis_shards": 2}),
    ("wide", 12, {"changes": 4_000, "keys": 1_500, "kinesis_shards": 4}),
    ("one shard, long", 13, {"changes": 8_000, "keys": 300, "kinesis_shards": 1}),
)
KEYS = {"pk": "S", "sk": "N"}
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


async def restored(history: Recorded, chance: random.Random) -> str:
    """Restore once, at a random second and scope, into a new or the live table; return what was wrong, if anything."""
    scope, second, live = scope_of(chance, history), chance.choice(history.seconds), chance.random() < 0.5
    aim: Aim = since(second + 1000, overwrite=False) if live else Whole(second + 1000)
    memory = chance.choice((MEMORY_BYTES_MAX, 10**9))
    traces = Traces(scope, aim.moments, FakeObjectStore(), memory_bytes_max=memory)
    await gather(history.objects, "orders", traces, {})
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
    return "" if table.items == expected else f"second {second}, {scope}, live {live}"


async def prove(restores: int) -> int:
    """Run so many restores over each history; return how many were wrong."""
    wrong = 0
    for name, seed, shape in HISTORIES:
        history, chance, began = Recorded(seed, **shape), random.Random(seed), time.process_time()
        await history.archive()
        found = [each for each in [await restored(history, chance) for _ in range(restores)] if each]
        wrong += len(found)
        seconds = time.process_time() - began
        sys.stdout.write(
            f"{name}: {len(history.changes):,} changes, {len(history.seconds):,} seconds,"
            f" {len(history.objects.objects):,} segments; {restores} restores, {len(found)} wrong,"
            f" {seconds:.0f} CPU s\n"
        )
        sys.stdout.writelines(f"  wrong: {each}\n" for each in found[:10])
    return wrong


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 334
    sys.exit(1 if asyncio.run(prove(count)) else 0)
