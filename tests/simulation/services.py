"""Services as they are on a bad day: tables with a memory, listings that are late, objects that rot on the way."""

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.capture.table import ABSENT_LISTINGS_MIN
from pipeline.coordination.leases import SHARD_END, lease_key
from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Misconfigured
from pipeline.model.shard import Shard
from pipeline.ports import OutRecord, StateRow
from pipeline.testing.fakes import FakeLog, FakeObjectStore, FakeStateStore, FakeTable
from pipeline.wire import compact
from pipeline.wire import open as open_wire
from pipeline.wire.checkpoint import from_fields
from pipeline.wiring.core import CAPTURE, checkpoint_key, group_of
from tests.simulation.loop import SimLoop
from tests.simulation.troubles import Trouble

ROWS = "snapshot-"
"""What the shard of a row begins with that was read from a table: it is in no order of changes."""
Identity = tuple[str, int]
"""Table and sequence of a change."""


class SourceTable(FakeTable):
    """A table that remembers every change of every key."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.history: dict[bytes, list[Change]] = {}
        super().__init__(*args, **kwargs)

    def _record(self, *args: Any, **kwargs: Any) -> None:
        super()._record(*args, **kwargs)
        change = max((s.tape._records[-1] for s in self._leaves() if s.tape._records), key=lambda c: c.sequence)
        self.history.setdefault(change.keys, []).append(change)

    def trim_captured(self, state: FakeStateStore) -> None:
        """Forget what is captured: records below the checkpoint, and closed shards that are marked as read."""
        group = group_of("changes", self.name, self.epoch)
        for shard in list(self._streams[self.epoch].values()):
            saved = state.rows.get(checkpoint_key(group, shard.id, CAPTURE))
            sequence = from_fields(saved.fields, shard.id).sequence if saved else None
            if sequence is not None:
                shard.tape.trim(sequence)
            if shard.tape.closed and _is_finished(state.rows.get(lease_key(group, shard.id))):
                del self._streams[self.epoch][shard.id]


class StreamLog(FakeLog):
    """A Kinesis stream that knows which changes its records carry."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored: set[Identity] = set()
        self.denies: Callable[[], bool] = lambda: False
        """Whether a call that puts records is refused as by a missing permission."""
        self.runs: dict[str, list[tuple[int, list[Identity]]]] = {}
        """The changes of every record, with its sequence, by shard."""

    async def put(self, records: Sequence[OutRecord]) -> tuple[str | None, ...]:
        """Put, unless that is denied."""
        if self.denies():
            raise Misconfigured("access denied")
        return await super().put(records)

    def _store(self, record: OutRecord) -> str | None:
        code = super()._store(record)
        if code is None:
            shard = next(
                s for s in self._shards.values() if not s.tape.closed and s.low <= record.explicit_hash_key < s.high
            )
            changes = identities(record)
            self.stored.update(changes)
            self.runs.setdefault(shard.id, []).append((self._sequence, changes))
        return code


def identities(record: OutRecord) -> list[Identity]:
    """Return the changes of a record, rows that were read left out; a claimed one holds one."""
    if not compact.is_compact(record.data):
        change, _ = open_wire.decode_change(record.data, open_wire.read_partition_key(record.partition_key))
        return [] if change.kind is ChangeKind.SNAPSHOT else [(change.table, change.sequence)]
    header, frame = compact.decode_header(record.data)
    if header.claim:
        return [] if header.shard.startswith(ROWS) else [(header.table, int(header.first))]
    changes = compact.decode_frame(header, frame)
    return [(change.table, change.sequence) for change in changes if change.kind is not ChangeKind.SNAPSHOT]


def trim_delivered(log: FakeLog, state: FakeStateStore, topologies: tuple[str, ...]) -> None:
    """Forget what every topology has settled."""
    for shard in list(log._shards):
        rows = [state.rows.get(checkpoint_key(log.name, shard, name)) for name in topologies]
        places = [from_fields(row.fields, shard).sequence if row else None for row in rows]
        finished = _is_finished(state.rows.get(lease_key(log.name, shard)))
        if finished or not log._shards[shard].tape.closed:
            known = [place for place in places if place is not None]
            log.trim(shard, min(known) if len(known) == len(places) else 0)


def _is_finished(row: StateRow | None) -> bool:
    return row is not None and row.fields.get("checkpoint") == SHARD_END


class Blurred:
    """A table stream whose listing comes in any order and lacks shards, none more often in a row than is allowed."""

    def __init__(self, stream: Any, loop: SimLoop, rate: float) -> None:
        self._stream = stream
        self._loop = loop
        self._rate = rate
        self._missed: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        """Return the stream's attribute."""
        return getattr(self._stream, name)

    async def shards(self, parent: str | None = None) -> tuple[Shard, ...]:
        """Return the listing, blurred when it is one of all shards."""
        listed = list(await self._stream.shards(parent))
        self._loop.random.shuffle(listed)
        if parent is not None:
            return tuple(listed)
        return tuple(shard for shard in listed if not self._misses(shard.id))

    def _misses(self, shard: str) -> bool:
        missed = self._missed.get(shard, 0)
        misses = self._loop.random.random() < self._rate and missed < ABSENT_LISTINGS_MIN - 1
        self._missed[shard] = missed + 1 if misses else 0
        self._loop.met[Trouble.UNLISTED] += misses
        return misses


class Claims(FakeObjectStore):
    """Objects of which a read may come with one bit wrong; `rot` is the rate."""

    def __init__(self, loop: SimLoop, rot: float) -> None:
        super().__init__()
        self._loop = loop
        self.rot = rot

    async def create(self, name: str, data: bytes) -> bool:
        """Store, and count."""
        self._loop.met[Trouble.CLAIMED] += 1
        return await super().create(name, data)

    async def read(self, name: str) -> bytes | None:
        """Return the bytes, or nearly."""
        data = await super().read(name)
        if not data or self._loop.random.random() >= self.rot:
            return data
        self._loop.met[Trouble.ROTTEN] += 1
        at = self._loop.random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
