"""How fast the archive is read into a plan, and written: `python -m benchmarks.restore [changes]`.

The archive is a local folder, so what is measured is this program and not a network: the plan of a whole table, and the
writing of it as lines of a file, as `fanout restore --file` does.
"""

import asyncio
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import orjson

from pipeline.aws.folder import FolderObjectStore
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
    sys.stdout.write(
        f"| {what} | {items / wall:,.0f} | {size_bytes / wall / 1e6:,.0f} | {cpu / items * 1e6:.1f} | {peak} |\n"
    )


async def lines(traces: Traces, path: Path) -> None:
    """Write every item as it was, as `fanout restore --file` does."""
    with path.open("wb") as file:
        async for trace in traces.each():
            image = trace.state(0)
            if image is not None:
                file.write(b'{"Item":%b}\n' % image)


def prepare(folder: str, count: int) -> None:
    """Write the archive; in a process of its own, so that its memory is not counted."""
    with ThreadPoolExecutor(4) as threads:
        asyncio.run(write(FolderObjectStore(Path(folder) / "archive", threads), count))


async def run(count: int) -> None:
    """Measure a plan in memory, a plan laid aside on disk, and the writing of each."""
    count -= count % SEGMENT_CHANGES
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as threads:
        child = get_context("spawn").Process(target=prepare, args=(folder, count))
        child.start()
        child.join()
        store = FolderObjectStore(Path(folder) / "archive", threads)
        raw = count * 2 * IMAGE_BYTES
        sys.stdout.write(
            f"{count:,} changes of {min(ITEMS, count):,} items, {raw / 1e6:,.0f} MB of images,"
            f" Python {platform.python_version()}\n\n"
            "| | per second | MB/s of images | CPU µs each | peak memory so far, MiB |\n|---|---|---|---|---|\n"
        )
        for name, memory in (("laid aside on disk", SMALL_MEMORY_BYTES), ("in memory", MEMORY_BYTES_MAX)):
            aside = FolderObjectStore(Path(folder) / name, threads)
            traces = Traces(Scope("orders"), (count * 500,), aside, memory_bytes_max=memory)
            with measured(f"changes read, {name}", count, raw):
                await gather(store, "orders", traces, {})
            with measured(f"items written to a file, {name}", min(ITEMS, count), min(ITEMS, count) * IMAGE_BYTES):
                await lines(traces, Path(folder) / "items.jsonl")


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else CHANGES))
