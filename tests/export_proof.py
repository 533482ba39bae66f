"""A large archive exported and queried on this machine's disk: `make export-proof` (ITEMS=200000).

Makes an archive, exports it in a process of its own, reads every line by the reader that shares no code with the
writer, and asks it in SQL. Prints items a second and the memory each process took.
"""

import asyncio
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson

from pipeline.aws.clock import SystemChance, SystemClock
from pipeline.aws.folder import FolderObjectStore
from pipeline.history.export import LINES_BYTES_MAX, Export
from pipeline.history.keys import Scope
from pipeline.history.reading import gather
from pipeline.history.traces import Traces
from pipeline.model.change import Batch, Change, ChangeKind
from pipeline.tabular.columns import Columns
from pipeline.tabular.sql import Database
from pipeline.wire import segment
from pipeline.wire.export import About, DataFiles, export_id
from pipeline.wire.rangelog import RangeLog
from tests.export_reader import read

BEGAN_MS = 1_795_500_000_000
BATCH = 1_000
CHANGES_AN_ITEM = 2
ABOUT = About("arn:aws:dynamodb:us-east-1::table/orders", "", "", "", export_id(BEGAN_MS, "orders"), BEGAN_MS, 0)


def image(number: int, version: int) -> bytes:
    """Return an item of about 400 bytes."""
    values = {"pk": {"S": f"item-{number:09d}"}, "v": {"N": str(version)}, "text": {"S": f"{number:x}" * 60}}
    return orjson.dumps({**values, "list": {"L": [{"N": str(number)}, {"BOOL": True}]}})


async def record(objects: FolderObjectStore, items: int) -> None:
    """Write an archive in which every item has changed twice, the second times after all first times."""
    log = RangeLog(objects, segment.SegmentForm())
    for first in range(0, items * CHANGES_AN_ITEM, BATCH):
        changes = tuple(
            Change(
                "orders",
                "2026",
                "shard-1",
                10**24 + n,
                ChangeKind.MODIFY,
                orjson.dumps({"pk": {"S": f"item-{n % items:09d}"}}),
                image(n % items, n // items - 1),
                image(n % items, n // items),
                BEGAN_MS,
            )
            for n in range(first, first + BATCH)
        )
        positions = range(first + 1, first + BATCH + 1)
        await log.append(Batch("changes", "shardId-0", first + 1, first + BATCH, changes, positions))


async def export(source: FolderObjectStore, out: FolderObjectStore, aside: FolderObjectStore) -> None:
    """Export the archive's last second."""
    traces = Traces(Scope("orders"), (BEGAN_MS + 1000,), aside)
    await gather(source, "orders", traces, {})
    writer = Export(out, ABOUT, DataFiles(LINES_BYTES_MAX), SystemClock(), SystemChance())
    await writer.claim()
    await writer.write(found async for trace in traces.each() if (found := trace.state(0)) is not None)


def query(data: Path, folder: Path) -> None:
    """Load the items of an export's files and ask for a sum over all of them."""
    columns, file = Columns({"pk": "S"}), folder / "rows.jsonl"
    with file.open("wb") as rows:
        for given in sorted(data.iterdir()):
            with gzip.open(given) as lines:
                for line in lines:
                    item = orjson.loads(line)["Item"]
                    rows.write(orjson.dumps({"item": item, **columns.values(item)}) + b"\n")
    chosen = {name: (name, kind) for name, kind in columns.types().items()}
    database = Database(folder)
    database.load("orders", file, [*chosen, "item"], {**chosen, "item": ("item", "JSON")})
    print(json.dumps(database.ask("SELECT count(*), sum(v), max(length(item)) FROM orders", 1).rows))


def step(name: str, folder: Path, items: int) -> None:
    """Run one step in this process; tell its time and memory."""
    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        stores = [FolderObjectStore(folder / each, threads) for each in ("archive", f"out/{ABOUT.folder}", "aside")]
        if name == "record":
            asyncio.run(record(stores[0], items))
        elif name == "export":
            asyncio.run(export(*stores))
        else:
            (folder / "query").mkdir()
            query(folder / f"out/{ABOUT.folder}data", folder / "query")
    cpu, seconds = time.process_time(), time.monotonic() - began
    rate = f"{items / cpu:,.0f} items a second of CPU"
    print(f"{name}: {cpu:.1f} s of CPU in {seconds:.1f} s, {rate}, {peak_mib()} MiB at most", flush=True)


def peak_mib() -> int:
    """Return the most memory this program has had, not counting who started it."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) // 1024


def prove(items: int) -> None:
    """Run all steps, each in a process of its own; fail unless what was read is what was written."""
    with tempfile.TemporaryDirectory(prefix="fanout-proof-") as name:
        folder = Path(name)
        run = [sys.executable, "-m", "tests.export_proof"]
        for each in ("record", "export", "query"):
            subprocess.run([*run, each, name, str(items)], check=True)
        out = folder / "out"
        objects = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        summary, found = read(objects, ABOUT.folder)
        assert {orjson.dumps(item) for item in found} == {image(number, 1) for number in range(items)}
        files = sum("/data/" in key for key in objects)
        size = sum(len(data) for key, data in objects.items() if "/data/" in key)
        print(
            f"read by another hand: {summary['itemCount']:,} items, {files} files, {size / 1e6:.1f} MB, all as written"
        )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        step(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        prove(int(sys.argv[1]))
