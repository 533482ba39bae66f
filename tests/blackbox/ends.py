"""What is found at the ends: tables by scan, archive and audit by their objects, checkpoints by their rows."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.history.archive import segments
from pipeline.model.change import Change
from pipeline.model.progress import Checkpoint
from pipeline.testing.fakes import FakeObjectStore
from pipeline.verification.audit import Report, verify_chain
from pipeline.wire import chain
from pipeline.wire.checkpoint import from_fields
from pipeline.wire.json import LINE_DECODER, change_from_line
from pipeline.wire.packed import unpack
from tests.blackbox.history import Item, Sight
from tests.blackbox.stack import Stack


def scan(client: Any, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table, read consistently."""
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [row for page in pages for row in page["Items"]]


def items(client: Any, table: str) -> dict[Item, dict[str, Any]]:
    """Return a table's items by key, sets sorted."""
    found = {}
    for row in scan(client, table):
        row["tags"]["SS"].sort()
        found[Item(table, row["pk"]["S"])] = row
    return found


def numbers(found: Mapping[Item, Mapping[str, Any]]) -> dict[Item, int]:
    """Return the number each item has."""
    return {item: int(row["n"]["N"]) for item, row in found.items()}


def objects(stack: Stack, bucket: str, prefix: str) -> FakeObjectStore:
    """Return a copy of a bucket's objects under a prefix: what is read is what a reader without the pipeline has."""
    s3, store = stack.client("s3"), FakeObjectStore()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    names = [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    async def copy() -> None:
        for name in names:
            await store.create(name.removeprefix(prefix), s3.get_object(Bucket=bucket, Key=name)["Body"].read())

    asyncio.run(copy())
    return store


def archived(store: FakeObjectStore) -> list[Sight]:
    """Return every change of an archive in its own order. Raises Corrupt when a segment is missing or damaged."""

    async def read() -> list[Sight]:
        return [sight(change) async for segment in segments(store) for change in segment.batch.changes]

    return asyncio.run(read())


def listed(folder: Path) -> list[Sight]:
    """Return every change that the plugins of these tests have written, shard by shard, in the order of their files."""
    sights = []
    for file in sorted(folder.glob("shardId-*")):
        for text in file.read_text().rpartition("\n")[0].splitlines():  # the last line may be half written
            table, epoch, shard, line = text.split(" ", 3)
            change = change_from_line(LINE_DECODER.decode(line), table, epoch, shard)
            sights.append(sight(change))
    return sights


def sight(change: Change) -> Sight:
    """Return a change as a sight."""
    old = int(json.loads(change.before)["n"]["N"]) if change.before else None
    new = int(json.loads(change.after)["n"]["N"]) if change.after else None
    text = json.loads(change.after)["text"]["S"] if change.after else ""
    item = Item(change.table, json.loads(change.keys)["pk"]["S"])
    return _numbered(item, old, new, (change.table, change.epoch, change.shard, change.sequence), text)


def _numbered(item: Item, old: int | None, new: int | None, identity: tuple[str, str, str, int], text: str) -> Sight:
    """Return a sight with its number, and see that its images are neighbours: a hole shows inside a change, too."""
    if new is None:
        assert old is not None
        return Sight(item, old + 1, True, identity, text)
    assert old is None or old == new - 1, f"{item} went from {old} to {new} in one change"
    return Sight(item, new, False, identity, text)


def audited(store: FakeObjectStore) -> list[Sight]:
    """Return every entry of an audit log in its own order."""

    async def read() -> list[Sight]:
        found = []
        async for name in store.names("chain/"):
            _, lines = unpack(chain.KIND, name, await store.read(name) or b"")
            found += [_entry(json.loads(line)) for line in lines[1:-1]]
        return found

    return asyncio.run(read())


def _entry(entry: dict[str, Any]) -> Sight:
    old, new = (value and int(value["N"]) for value in entry["diff"]["n"])
    text = (entry["diff"]["text"][1] or {}).get("S", "")
    item = Item(entry["table"], entry["keys"]["pk"]["S"])
    return _numbered(item, old, new, (entry["table"], entry["epoch"], entry["shard"], int(entry["sequence"])), text)


def verified(store: FakeObjectStore) -> Report:
    """Return the report on all chains."""
    return asyncio.run(verify_chain(store))


def checkpoints(stack: Stack, client: Any) -> dict[str, Checkpoint]:
    """Return all checkpoint rows by key, `<group>:<shard>@<topology>` or `…@capture`."""
    rows = scan(client, stack.state)
    return {
        row["leaseKey"]["S"]: from_fields({name: _plain(value) for name, value in row.items()}, row["leaseKey"]["S"])
        for row in rows
        if "@" in row["leaseKey"]["S"]
    }


def settled(stack: Stack, client: Any, topology: str) -> int:
    """Return how many changes a topology has settled and saved, over all shards."""
    return sum(each.position for key, each in checkpoints(stack, client).items() if key.endswith(f"@{topology}"))


def _plain(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    return int(value) if kind == "N" else value
