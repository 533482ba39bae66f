"""A table in memory, its stream, and the stream's shards, which roll and split on demand."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import orjson

from pipeline.model.capacity import READ_UNIT_BYTES
from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Gap
from pipeline.model.shard import Shard
from pipeline.ports import Clock, RowPage, SourcePage
from pipeline.testing.faults import Faults
from pipeline.testing.tape import Iterators, Tape
from pipeline.wire.json import canonical_keys

ITEM_BYTES_MAX = 400 * 1024
ITERATOR_SECONDS = 15 * 60.0
PAGE_CHANGES_MAX = 1_000
READ_ROWS_MAX = 1_000
_HASHES = 1 << 64
_SEQUENCE_FIRST = 10**24 - 50
"""The stream's sequence numbers grow by a digit early on, as AWS's do: whoever compares them as text finds out."""

Item = Mapping[str, object]
_attributes = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Refused(Exception):
    """The table can never hold this item; the reason is DynamoDB's code."""


@dataclass
class _SourceShard:
    id: str
    low: int
    high: int
    parent: str | None = None
    unlisted: int = 0
    tape: Tape[Change] = field(default_factory=Tape)


class FakeTable:
    """A table with a stream of both images. Items are DynamoDB JSON, and bytes given are kept as they are.

    `children_unlisted` makes new shards missing from that many of the next listings, in which their parent still
    looks open.
    """

    def __init__(self, name: str, clock: Clock, *, keys: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.keys = dict(keys or {"pk": "S"})
        """Key attributes and their types, hash first."""
        self.items: dict[bytes, bytes] = {}
        """Item by canonical keys."""
        self.id = "table-1"
        """Changed by a test that makes the table anew."""
        self.epoch = ""
        """Label of the open stream; empty while it is switched off."""
        self.children_unlisted = 0
        self._clock = clock
        self._sequence = _SEQUENCE_FIRST
        self._streams: dict[str, dict[str, _SourceShard]] = {}
        self._shards = 0
        self.enable_stream()

    def put(self, item: Item | bytes) -> None:
        """Write an item. An item equal to the stored one leaves no record. Raises Refused."""
        image = item if isinstance(item, bytes) else orjson.dumps(item)
        keys = self.keys_of(image)
        before = self.items.get(keys)
        if before is not None and orjson.loads(before) == orjson.loads(image):
            return
        self.items[keys] = image
        self._record(ChangeKind.INSERT if before is None else ChangeKind.MODIFY, keys, before, image)

    def preload(self, item: Item | bytes) -> None:
        """Have an item that was written before there was a stream."""
        image = item if isinstance(item, bytes) else orjson.dumps(item)
        self.items[self.keys_of(image)] = image

    def reader(self) -> "FakeTableReader":
        """Return a reader of the table's items."""
        return FakeTableReader(self)

    def delete(self, keys: Item | bytes, *, by_ttl: bool = False) -> None:
        """Remove an item; a missing one leaves no record. Raises Refused."""
        found = self.keys_of(keys if isinstance(keys, bytes) else orjson.dumps(keys))
        before = self.items.pop(found, None)
        if before is not None:
            self._record(ChangeKind.REMOVE, found, before, None, by_ttl=by_ttl)

    def keys_of(self, item: bytes) -> bytes:
        """Return the canonical keys of an item or of its keys alone. Raises Refused as the table would."""
        attributes = _attributes.decode(item)
        if len(item) > ITEM_BYTES_MAX or not self.keys.keys() <= attributes.keys():
            raise Refused("ValidationError")
        keys = {name: orjson.loads(bytes(attributes[name])) for name in self.keys}
        for name, kind in self.keys.items():
            if not keys[name].get(kind):
                raise Refused("ValidationError")
        return canonical_keys(orjson.dumps(keys), next(iter(self.keys)))

    def enable_stream(self) -> str:
        """Open a new stream, of a later label, with one shard."""
        assert not self.epoch
        self.epoch = f"2026-01-01T00:00:{len(self._streams):02d}.000"
        self._streams[self.epoch] = {}
        self._open(0, _HASHES, None)
        return self.epoch

    def disable_stream(self) -> None:
        """Close the stream: what it has stays readable, what comes is in no stream."""
        for shard in self._leaves():
            shard.tape.closed = True
        self.epoch = ""

    def forget_stream(self, epoch: str) -> None:
        """Remove a stream with all it has, as AWS does after a day."""
        del self._streams[epoch]

    def roll(self, shard: str = "") -> tuple[str, ...]:
        """Close an open shard, the first unless named, and open its one child."""
        return self._succeed(shard, 1)

    def split(self, shard: str = "") -> tuple[str, ...]:
        """Close an open shard, the first unless named, and open its two children."""
        return self._succeed(shard, 2)

    def trim(self, upto: int) -> None:
        """Forget the open stream's records up to a sequence; closed shards that are left empty are forgotten too."""
        shards = self._streams[self.epoch]
        for shard in list(shards.values()):
            shard.tape.trim(upto)
            if shard.tape.closed and shard.tape.first == shard.tape.end:
                del shards[shard.id]

    def stream(self) -> "FakeTableStream":
        """Return a reader of the open stream."""
        assert self.epoch
        return FakeTableStream(self, self.epoch, self._clock)

    def shards_of(self, epoch: str) -> dict[str, _SourceShard]:
        """Return a stream's shards by id. Raises Gap when the stream is gone."""
        if epoch not in self._streams:
            raise Gap(f"the stream of table {self.name} is gone")
        return self._streams[epoch]

    def _leaves(self) -> list[_SourceShard]:
        return [shard for shard in self._streams[self.epoch].values() if not shard.tape.closed]

    def _open(self, low: int, high: int, parent: str | None) -> str:
        name = f"shardId-{self._clock.now_ms():020d}-{self._shards:08d}"
        self._shards += 1
        unlisted = self.children_unlisted if parent else 0
        self._streams[self.epoch][name] = _SourceShard(name, low, high, parent, unlisted)
        return name

    def _succeed(self, name: str, children: int) -> tuple[str, ...]:
        shard = self._streams[self.epoch][name] if name else self._leaves()[0]
        assert not shard.tape.closed
        shard.tape.closed = True
        width = (shard.high - shard.low) // children
        borders = [shard.low + width * i for i in range(children)] + [shard.high]
        return tuple(self._open(borders[i], borders[i + 1], shard.id) for i in range(children))

    def _record(
        self, kind: ChangeKind, keys: bytes, before: bytes | None, after: bytes | None, *, by_ttl: bool = False
    ) -> None:
        if not self.epoch:
            return
        self._sequence += 7
        place = int.from_bytes(hashlib.blake2b(keys, digest_size=8).digest(), "big")
        shard = next(s for s in self._leaves() if s.low <= place < s.high)
        time_ms = self._clock.now_ms() // 1000 * 1000
        event_id = f"{self._sequence:032x}"
        shard.tape.append(
            Change(
                self.name, self.epoch, shard.id, self._sequence, kind, keys, before, after, time_ms, by_ttl, event_id
            )
        )


class FakeTableStream:
    """A TableStream on a FakeTable. Calls known to `faults`: later, shards, iterator, read."""

    def __init__(self, table: FakeTable, epoch: str, clock: Clock) -> None:
        self.faults = Faults()
        self.page_changes_max = PAGE_CHANGES_MAX
        self.iterators = Iterators(clock, ITERATOR_SECONDS)
        self._table = table
        self._epoch = epoch

    @property
    def table(self) -> str:
        """Return the table's name."""
        return self._table.name

    @property
    def epoch(self) -> str:
        """Return the stream's label."""
        return self._epoch

    @property
    def table_id(self) -> str:
        """Return the table's id."""
        return self._table.id

    async def later(self) -> "FakeTableStream | None":
        """Return the open stream if it is another one."""
        async with self.faults.around("later"):
            return self._table.stream() if self._table.epoch > self._epoch else None

    async def shards(self, parent: str | None = None) -> tuple[Shard, ...]:
        """Return what the listing shows by now."""
        async with self.faults.around("shards"):
            shards = self._table.shards_of(self._epoch)
            hidden = {shard.parent for shard in shards.values() if shard.unlisted}
            listed = [shard for shard in shards.values() if not shard.unlisted]
            for shard in shards.values():
                shard.unlisted = max(0, shard.unlisted - 1)
            return tuple(
                Shard(s.id, (s.parent,) if s.parent else (), s.tape.closed and s.id not in hidden)
                for s in listed
                if parent is None or s.parent == parent
            )

    async def iterator(self, shard: str, after: int | None) -> str:
        """Return an iterator after a sequence or at the oldest record."""
        async with self.faults.around("iterator"):
            return self.iterators.write(shard, self._tape(shard).after(after))

    async def read(self, shard: str, iterator: str) -> SourcePage:
        """Read one page; the last one of a closed shard carries records and no next iterator."""
        async with self.faults.around("read"):
            name, offset = self.iterators.read(iterator)
            assert name == shard
            tape = self._tape(name)
            changes = tape.page(offset, self.page_changes_max)
            offset += len(changes)
            drained = tape.closed and offset == tape.end
            return SourcePage(tuple(changes), None if drained else self.iterators.write(name, offset))

    def _tape(self, shard: str) -> Tape[Change]:
        shards = self._table.shards_of(self._epoch)
        if shard not in shards:
            raise Gap(f"shard {shard} of table {self.table} is gone")
        return shards[shard].tape


class FakeTableReader:
    """A TableReader. Calls known to `faults`: page, about. A segment is a residue of the keys' digests."""

    def __init__(self, table: FakeTable) -> None:
        self.faults = Faults()
        self.table = table.name
        self.rows_max = READ_ROWS_MAX
        """Rows of a page, however many are asked for."""
        self._items = table.items

    async def page(self, segment: int, segments: int, start: bytes | None, rows_max: int) -> RowPage:
        """Read one page of a segment."""
        async with self.faults.around("page"):
            keys = sorted(k for k in self._items if _segment_of(k, segments) == segment and (not start or k > start))
            some = keys[: min(rows_max, self.rows_max)]
            return self._page(some, some[-1] if len(some) < len(keys) else None)

    async def about(self) -> int:
        """Return how many items there are."""
        async with self.faults.around("about"):
            return len(self._items)

    def _page(self, keys: Sequence[bytes], next_start: bytes | None) -> RowPage:
        rows = tuple((key, self._items[key]) for key in keys)
        return RowPage(rows, next_start, sum(len(image) for _, image in rows) / READ_UNIT_BYTES)


def _segment_of(keys: bytes, segments: int) -> int:
    return hashlib.sha256(keys).digest()[0] % segments
