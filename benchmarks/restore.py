"""How fast the archive is restored and compacted: `python -m benchmarks.restore [changes]`.

The archive is a local folder, so what is measured is this program and not a network: the restore of a whole table as
lines of a file, as `fanout restore --file` does, with and without a snapshot, and the making of snapshots.
"""

import asyncio
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import orjson

from pipeline.aws.folder import FolderObjectStore
from pipeline.history.base import base_at
from pipeline.history.compact import Compaction
from pipeline.history.keys import Scope
from pipeline.history.reading import gather
from pipeline.history.traces import MEMORY_BYTES_MAX, Traces
from pipeline.model.change import Batch, Change, ChangeKind
from pipeline.ports import ObjectStore
from pipeline.wire import segment
from pipeline.wire.rangelog import RangeLog

CHANGES = 400_000
ITEMS = 100_000
SEGMENT_CHANGES = 8_000
TEXT_BYTES = 500
IMAGE_BYTES = 587
"""About what an image has; a change has two, but an insert."""
SMALL_MEMORY_BYTES = 16 * 1024 * 1024


def changes(count: int) -> Iterator[Change]:
    """Yield so many changes, each item changed about four times; images of about 600 bytes."""
    now: dict[int, bytes] = {}
    for number in range(count):
        item = number * 7_919 % ITEMS
        keys = b'{"pk":{"S":"customer-%06d"},"sk":{"N":"%d"}}' % (item, item % 97)
        text = f"{number:x}." * TEXT_BYTES
        body = {**orjson.loads(keys), "v": {"N": str(number)}, "text": {"S": text[:TEXT_BYTES]}}
        before, now[item] = now.get(item), orjson.dumps(body)
        kind = ChangeKind.MODIFY if before else ChangeKind.INSERT
        yield Change("orders", "2026", "shard", 10**24 + number, kind, keys, before, now[item], number * 1000)


async def write(objects: ObjectStore, count: int) -> None:
    """Store the changes as an archive."""
    log, batch, first = RangeLog(objects, segment.SegmentForm()), list[Change](), 1
    for change in changes(count):
        batch.append(change)
        if len(batch) == SEGMENT_CHANGES:
            last = first + len(batch) - 1
            await log.append(Batch("s", "shard-0", first, last, tuple(batch), range(first, last + 1)))
            batch, first = [], last + 1


@contextmanager
def measured(what: str, items: int, size_bytes: int) -> Iterator[None]:
    """Print what a piece of work took."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    rates = f"{items / wall:,.0f} | {size_bytes / wall / 1e6:,.0f}"
    sys.stdout.write(f"| {what} | {rates} | {cpu / items * 1e6:.1f} | {cpu:.1f} | {peak} |\n")
    sys.stdout.flush()


async def lines(traces: Traces, path: Path) -> None:
    """Write every item as it was, as `fanout restore --file` does."""
    with path.open("wb") as file:
        async for trace in traces.each():
            image = trace.state(0)
            if image is not None:
                file.write(b'{"Item":%b}\n' % image)


async def restore(store: ObjectStore, folder: Path, threads: Executor, what: str, count: int, memory: int) -> None:
    """Restore all items as they were at the end, from the last snapshot there is."""
    aside = FolderObjectStore(folder / what.replace(" ", "-"), threads)
    items = min(ITEMS, count)
    with measured(f"restored, {what}", items, items * IMAGE_BYTES):
        base = await base_at(store, aside, count * 1000)
        beginning = base.traces if base else None
        traces = Traces(Scope("orders"), (count * 1000,), aside, base=beginning, memory_bytes_max=memory)
        await gather(store, "orders", traces, {}, base=base)
        await lines(traces, folder / "items.jsonl")


async def compact(store: ObjectStore, folder: Path, threads: Executor, count: int, at_ms: int) -> None:
    """Make a snapshot of all but the last tenth of the changes, or of the rest from that one."""
    aside = FolderObjectStore(folder / f"aside-{at_ms}", threads)
    base = await base_at(store, aside, at_ms - 1000)
    some = count - count * 9 // 10 if base else count * 9 // 10
    what = "changes compacted, a tenth onto a snapshot" if base else "changes compacted, from nothing"
    with measured(what, some, some * 2 * IMAGE_BYTES):
        await Compaction(store, aside, at_ms, base, memory_bytes_max=SMALL_MEMORY_BYTES).run()


def child(folder: str, count: int, step: str) -> None:
    """Do one step in a process of its own, so that each has its own peak of memory."""
    place = Path(folder)
    with ThreadPoolExecutor(4) as threads:
        store = FolderObjectStore(place / "archive", threads)
        steps = {
            "write": lambda: write(store, count),
            "small": lambda: restore(store, place, threads, "no snapshot, 16 MiB", count, SMALL_MEMORY_BYTES),
            "large": lambda: restore(store, place, threads, "no snapshot, in memory", count, MEMORY_BYTES_MAX),
            "compact": lambda: compact(store, place, threads, count, count * 900),
            "snapshot": lambda: restore(store, place, threads, "snapshot at 90 %", count, SMALL_MEMORY_BYTES),
            "again": lambda: compact(store, place, threads, count, count * 1000),
            "fresh": lambda: restore(store, place, threads, "snapshot at the end", count, SMALL_MEMORY_BYTES),
        }
        asyncio.run(steps[step]())


def run(count: int) -> None:
    """Measure restores without a snapshot, compaction, and restores with one."""
    count -= count % SEGMENT_CHANGES
    sys.stdout.write(
        f"{count:,} changes of {min(ITEMS, count):,} items, {count * 2 * IMAGE_BYTES / 1e6:,.0f} MB of images,"
        f" Python {platform.python_version()}\n\n"
        "| | per second | MB/s of images | CPU µs each | CPU s | peak memory, MiB |\n|---|---|---|---|---|---|\n"
    )
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        for step in ("write", "small", "large", "compact", "snapshot", "again", "fresh"):
            process = get_context("spawn").Process(target=child, args=(folder, count, step))
            process.start()
            process.join()


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else CHANGES)
