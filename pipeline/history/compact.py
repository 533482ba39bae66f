"""Compaction: the last snapshot and the segments since, added up to a new snapshot in bounded memory.

What is in a snapshot is decided by its moment and by the segments, and by nothing else: of each shard, all segments up
to the first that has something created at or after the moment. So whoever makes it, and from whichever earlier
snapshot, makes the same parts. Killed at any point and begun again, it finds the parts that are there.
"""

from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec

from pipeline.history.archive import segments
from pipeline.history.base import Base
from pipeline.history.keys import KeySchema, Scope
from pipeline.history.trace import NOW, Trace
from pipeline.history.traces import MEMORY_BYTES_MAX, Traces
from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Corrupt
from pipeline.model.progress import SEEN_KEPT_MS
from pipeline.ports import ObjectStore
from pipeline.wire import manifest, part, segment
from pipeline.wire.manifest import End, Manifest, Part, Table
from pipeline.wire.packed import Link, damaged, sha256
from pipeline.wire.segment import Segment

PART_BYTES = 8 * 1024 * 1024
"""About how much a part has before it is compressed: what a reader of snapshots holds in memory at a time."""
REMOVED_KEPT_MS = 4 * SEEN_KEPT_MS
"""How long an item that was removed is remembered: a repeat of an older change of it cannot come that late."""
_ITEM_BYTES = 200


@dataclass(slots=True)
class Found:
    """What compaction has met of one table."""

    traces: Traces
    first_ms: int = 0
    schema: tuple[tuple[str, str], ...] = ()
    gaps: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    """Images of the marks of gaps, by key and step."""

    def note(self, changes: Iterable[Change]) -> None:
        """Take in when the table's changes begin, how its keys look, and what is missing."""
        for change in changes:
            if change.kind is ChangeKind.GAP:
                self.gaps[change.keys, change.sequence] = change.after or b""
                continue
            if not 0 < self.first_ms <= change.time_ms:
                self.first_ms = change.time_ms
            if not self.schema:
                schema = KeySchema.of(change.keys)
                self.schema = tuple(zip(schema.names, schema.types, strict=True))


@dataclass(slots=True)
class Progress:
    """How far it is."""

    segments: int = 0
    changes: int = 0
    parts: int = 0
    items: int = 0


class Compaction:
    """The making of one snapshot."""

    def __init__(
        self,
        objects: ObjectStore,
        aside: ObjectStore,
        at_ms: int,
        base: Base | None,
        *,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        assert base is None or base.manifest.at_ms < at_ms
        self._objects = objects
        self._aside = aside
        self._at_ms = at_ms
        self._base = base
        self._memory_bytes_max = memory_bytes_max
        self._progress = progress
        self._links = dict(base.starts) if base else {}
        self._found: dict[str, Found] = {}
        self._so_far = Progress()

    async def run(self, *, store: bool = True) -> Manifest | None:
        """Read, add up, store every part and then the manifest; return it, None when nothing lies before the moment.

        Without `store` nothing is written: the manifest then tells what would be. Raises Corrupt when an object of the
        archive is not what was written, or when the snapshot of the moment is there already and another.
        """
        await self._read()
        if not self._links:
            return None
        tables = [await self._table(name, store=store) for name in sorted(self._names())]
        made = Manifest(
            manifest.FORMAT,
            manifest.VERSION,
            self._at_ms,
            self._base.name if self._base else "",
            self._base.seal if self._base else "",
            tuple(End(shard, link.last, link.name, link.seal) for shard, link in sorted(self._links.items())),
            tuple(tables),
        )
        if not store or await self._objects.create(manifest.name_of(self._at_ms), manifest.encode(made)):
            return made
        return await self._adopt(made)

    async def _adopt(self, made: Manifest) -> Manifest:
        """Return the manifest somebody else has stored for the moment. Raises Corrupt when it says something else."""
        name = manifest.name_of(self._at_ms)
        stored = manifest.decode(name, await self._objects.read(name) or b"").manifest
        if (stored.ends, stored.tables) != (made.ends, made.tables):
            raise Corrupt(
                f"object {name} is another snapshot of that moment than the segments add up to",
                hint="`fanout archive check` tells whether it is sound; was the moment past the archive's watermark?",
            )
        return stored

    async def _read(self) -> None:
        over: set[str] = set()
        async for each in segments(self._objects, self._links.copy()):
            shard = f"{each.header.stream}/{each.header.shard}"
            if shard in over or any(change.time_ms >= self._at_ms for change in each.batch.changes):
                over.add(shard)
                continue
            self._links[shard] = Link(each.header.last, _name(each), each.seal)
            await self._add(each)
            self._so_far.segments += 1
            self._so_far.changes += each.header.count
            self._progress(self._so_far)

    async def _add(self, each: Segment) -> None:
        by_table: dict[str, list[Change]] = {}
        for change in each.batch.changes:
            by_table.setdefault(change.table, []).append(change)
        for name in by_table.keys() | {parked.table for parked in each.batch.parked}:
            found = self._of(name)
            found.note(by_table.get(name, ()))
            await found.traces.add(each.batch)
        if sum(found.traces.weight for found in self._found.values()) > self._memory_bytes_max:
            for found in self._found.values():
                await found.traces.lay_aside()

    def _of(self, table: str) -> Found:
        if table not in self._found:
            base = self._base.traces if self._base else None
            traces = Traces(
                Scope(table),
                (),
                self._aside,
                base=base,
                memory_bytes_max=self._memory_bytes_max,
                folder=f"traces-{len(self._found)}/",
            )
            known = self._base.manifest.table(table) if self._base else None
            self._found[table] = Found(traces)
            if known is not None:
                self._found[table].first_ms, self._found[table].schema = known.first_ms, known.keys
        return self._found[table]

    def _names(self) -> set[str]:
        return self._found.keys() | ({each.table for each in self._base.manifest.tables} if self._base else set())

    async def _table(self, name: str, *, store: bool) -> Table:
        found, writer = self._of(name), _Writer(name, self._at_ms, self._objects if store else None)
        async with aclosing(found.traces.each()) as traces:
            async for trace in traces:
                item = _item(trace)
                if not _forgotten(item, self._at_ms):
                    await writer.add(item)
                    self._so_far.items += 1
        await writer.flush()
        self._so_far.parts += len(writer.parts)
        self._progress(self._so_far)
        known = self._base.manifest.table(name) if self._base else None
        marks = {*(bytes(raw) for raw in (known.gaps if known else ())), *found.gaps.values()}
        return Table(
            name,
            found.schema,
            found.first_ms,
            writer.items,
            writer.removed,
            writer.incomplete,
            tuple(writer.parts),
            tuple(msgspec.Raw(mark) for mark in sorted(marks)),
        )


class _Writer:
    """Cuts items into parts; where it cuts is decided by the items alone."""

    def __init__(self, table: str, at_ms: int, objects: ObjectStore | None) -> None:
        self._table = table
        self._at_ms = at_ms
        self._objects = objects
        self._waiting: list[part.Item] = []
        self._bytes = 0
        self.parts: list[Part] = []
        self.items = self.removed = self.incomplete = 0

    async def add(self, item: part.Item) -> None:
        """Take the next item, in the order of parts."""
        self._waiting.append(item)
        self._bytes += _ITEM_BYTES + len(item.keys)
        self._bytes += sum(len(each.image or b"") for each in (item.point, item.row) if each is not None)
        self.items += 1
        self.removed += item.row is None and item.point is not None and item.point.image is None
        self.incomplete += item.incomplete
        if self._bytes >= PART_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Store what waits, if something does."""
        if not self._waiting:
            return
        data = part.encode(self._table, self._at_ms, self._waiting)
        seal = sha256(data)
        name = manifest.part_name(self._at_ms, self._table, len(self.parts), seal)
        await self._store(name, data)
        ranges = part.range_of(self._waiting[0].keys), part.range_of(self._waiting[-1].keys)
        self.parts.append(Part(name, seal, len(data), len(self._waiting), *ranges))
        self._waiting, self._bytes = [], 0

    async def _store(self, name: str, data: bytes) -> None:
        if self._objects is None or await self._objects.create(name, data):
            return
        if await self._objects.read(name) != data:  # left over from a run that was killed, and not what was written
            raise damaged(name, "it does not fit the hash in its name")


def _item(trace: Trace) -> part.Item:
    waits, through = tuple(sorted((trace.waits or {}).items())), tuple(sorted(trace.through or ()))
    return part.Item(trace.keys, trace.points[NOW], trace.row(NOW), waits, through)


def _forgotten(item: part.Item, at_ms: int) -> bool:
    """Return True for an item that was removed so long ago that nothing can bring it back."""
    point = item.point
    removed = item.row is None and point is not None and point.image is None
    return removed and not item.incomplete and point is not None and point.time_ms < at_ms - REMOVED_KEPT_MS


def _name(each: Segment) -> str:
    return segment.KIND.name(each.header.stream, each.header.shard, each.header.first)
