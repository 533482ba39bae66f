"""Snapshots of recorded histories, for tests of what reads them."""

import random
from collections.abc import Sequence

from pipeline.history.base import Base, base_at, moments
from pipeline.history.compact import Compaction
from pipeline.history.keys import Scope
from pipeline.history.reading import gather
from pipeline.history.traces import Traces
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire.manifest import Manifest


async def compacted(objects: FakeObjectStore, at_ms: int, *, memory: int = 10**9, alone: bool = False) -> Manifest:
    """Store a snapshot, made from the last one before it, or from the segments alone; return its manifest."""
    base = None if alone else await base_at(objects, FakeObjectStore(), at_ms - 1000)
    made = await Compaction(objects, FakeObjectStore(), at_ms, base, memory_bytes_max=memory).run()
    assert made is not None
    return made


async def some_snapshots(objects: FakeObjectStore, seconds: Sequence[int], chance: random.Random) -> None:
    """Store up to four snapshots at random seconds, in a random order, in memory or laid aside."""
    for second in chance.sample(list(seconds), min(len(seconds), chance.randint(1, 4))):
        if second + 1000 not in await moments(objects):
            memory = chance.choice((20_000, 10**9))
            base = None if chance.random() < 0.3 else await base_at(objects, FakeObjectStore(), second)
            await Compaction(objects, FakeObjectStore(), second + 1000, base, memory_bytes_max=memory).run()


async def traces_from(
    objects: FakeObjectStore, scope: Scope, moments_ms: Sequence[int], *, memory: int = 10**9
) -> tuple[Traces, Base | None]:
    """Return the traces of an archive, read from the last snapshot that serves, and that snapshot."""
    base = await base_at(objects, FakeObjectStore(), moments_ms[0])
    beginning = base.traces if base else None
    traces = Traces(scope, moments_ms, FakeObjectStore(), base=beginning, memory_bytes_max=memory)
    await gather(objects, scope.table, traces, {}, base=base)
    return traces, base
