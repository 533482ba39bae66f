"""One topology's place in one shard: what it has taken, what is settled, what is saved."""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from pipeline.delivery.reader import Page
from pipeline.delivery.ring import Ring
from pipeline.model.change import SPAN_MAX, Batch, Change, ChangeKind, Parked
from pipeline.model.progress import Checkpoint, ParkedKey, Seen
from pipeline.model.snapshot import Windows, is_row
from pipeline.model.state import Report
from pipeline.wire.record import RECORD_CHANGES_MAX, Record

INFLIGHT_BATCHES_MAX = 2
"""One being written, one waiting: more would only be more to repeat."""
SPAN_POSITIONS_MAX = SPAN_MAX - RECORD_CHANGES_MAX
"""A range of positions is handed over at this length even if nothing in it is wanted: a sink may rely on a bound."""


@dataclass(frozen=True, slots=True)
class Appetite:
    """How a topology likes its batches, and which tables it wants."""

    batch_changes_max: int
    batch_bytes_max: int
    linger_seconds: float
    tables: Collection[str]
    gaps: bool = False
    """Whether changes of kind GAP are wanted."""
    topology: str = ""
    """Whose appetite this is: rows read from a table may be meant for some topologies only."""

    def __post_init__(self) -> None:
        assert 1 <= self.batch_changes_max <= SPAN_POSITIONS_MAX


@dataclass(slots=True)
class _Inflight:
    last: int
    after: Checkpoint
    count: int
    oldest_ms: int
    """Creation time of the first change it covers."""


@dataclass(slots=True)
class Redriven:
    """A batch from quarantine on its way: nothing else of the shard is written meanwhile."""

    batch: Batch
    taken: bool = False
    settled: bool = False
    refused: str = ""
    """Why the sink refused it again."""


class Cursor:
    """Turns pages into batches, and settled batches into a checkpoint.

    Repeats are dropped here, by the highest sequence seen of every source shard and lane; what is left is numbered.
    Both depend on the shard's records and the checkpoint only, so that a redelivery has the same numbers.
    """

    def __init__(self, stream: str, shard: str, appetite: Appetite, report: Report, *parents: str) -> None:
        self._stream = stream
        self._shard, self._parents = shard, parents
        self._appetite = appetite
        self._pending: deque[Record] = deque()
        self._pending_bytes = 0
        self._pending_changes = 0
        self._pending_since = 0.0
        self._closed = False
        self._inflight: deque[_Inflight] = deque()
        self._load(Checkpoint())
        self.report = report
        self.index: int | None = None
        """Number of the ring's page to take next; None while the cursor reads by itself."""
        self.held = False
        """True while changes are put through from quarantine: no batch of the shard is taken."""
        self.redriven: Redriven | None = None

    def begin(self, checkpoint: Checkpoint) -> None:
        """Start from a stored checkpoint."""
        self._load(checkpoint)

    def _load(self, checkpoint: Checkpoint) -> None:
        self.place = checkpoint.sequence
        self._seen = Seen(checkpoint.seen)
        self._windows = Windows(checkpoint.snapshots)
        self._position = checkpoint.position
        self._delivered = checkpoint.delivered
        self._closed = checkpoint.ended
        self._time_ms = checkpoint.time_ms
        self.parked: dict[str, ParkedKey] = dict(checkpoint.parked)
        """Keys in quarantine: those of the last checkpoint, and those of the batch that is being written."""
        self.settled = checkpoint

    @property
    def stream(self) -> str:
        """Return the name of the Kinesis stream."""
        return self._stream

    @property
    def shard(self) -> str:
        """Return the Kinesis shard."""
        return self._shard

    @property
    def appetite(self) -> Appetite:
        """Return how the topology likes its batches."""
        return self._appetite

    @property
    def hungry(self) -> bool:
        """Return True when another page may be fed."""
        return not self._closed and not self._full()

    @property
    def busy(self) -> bool:
        """Return True while a batch is taken and not settled."""
        return bool(self._inflight) or (self.redriven is not None and not self.redriven.settled)

    def lag_seconds(self, now_ms: int) -> float:
        """Return the age of the oldest change that is read and not settled; 0 when there is none."""
        if self._inflight:
            return max(0.0, (now_ms - self._inflight[0].oldest_ms) / 1000)
        if self._pending:
            return max(0.0, (now_ms - self._pending[0].changes[0].time_ms) / 1000)
        return 0.0

    @property
    def closed(self) -> bool:
        """Return True when the shard's last page was taken."""
        return self._closed

    @property
    def ended(self) -> bool:
        """Return True when the shard is closed and everything of it is settled."""
        return self.settled.ended

    def follow(self, ring: Ring, now: float) -> None:
        """Take the ring's pages as far as there is room; leave the ring when it has moved on without us."""
        while self.index is not None and self.hungry and self.index < ring.next:
            if self.index < ring.oldest:
                self.index = None
                return
            self.feed(ring.page(self.index), now)
            self.index += 1

    def feed(self, page: Page, now: float) -> None:
        """Take a page; what lies at or before our place was taken already.

        A page we read ourselves may come in when we are on the ring again and have taken its last page: what is closed
        stays closed.
        """
        fresh = [record for record in page.records if self.place is None or record.sequence > self.place]
        if fresh and not self._pending:
            self._pending_since = now
        self._pending.extend(fresh)
        self._pending_bytes += sum(record.size_bytes for record in fresh)
        self._pending_changes += sum(len(record.changes) for record in fresh)
        if fresh:
            self.place = fresh[-1].sequence
        self._closed = self._closed or page.ended
        self._end_if_done()

    def take(self, now: float) -> Batch | None:
        """Return the next batch when there is one and it is time for it."""
        if self.held:
            return self._take_redriven()
        while self._pending and len(self._inflight) < INFLIGHT_BATCHES_MAX:
            waited = now - self._pending_since >= self._appetite.linger_seconds
            if not (waited or self._closed or self._full()):
                return None
            batch = self._cut()
            self._pending_since = now
            if batch is not None:
                return batch
        return None

    def settle(self, batch: Batch) -> None:
        """Note that a batch is durable, or parked. Batches settle in the order they were taken."""
        if batch.asked_by:
            if self.redriven is not None:
                self.redriven.settled = True
            return
        head = self._inflight.popleft()
        assert head.last == batch.last, "batches settle in order"
        self.settled = replace(head.after, parked=dict(self.parked))
        self.report.changes += head.count
        self.report.last_change_ms = head.after.time_ms
        self._end_if_done()

    def park(self, digest: str, key: ParkedKey) -> None:
        """Put a key into quarantine, with none of its changes yet: the checkpoint stays where it is, and names it."""
        self.parked[digest] = key
        self.settled = replace(self.settled, parked={**self.settled.parked, digest: key})

    def count_parked(self, parked: Iterable[Parked]) -> None:
        """Count the changes that a batch left in quarantine; it is settled next."""
        for each in parked:
            key = self.parked[each.digest]
            self.parked[each.digest] = replace(key, count=key.count + 1, last=(each.epoch, each.sequence))

    def release(self, digest: str) -> None:
        """Let a key out of quarantine: its changes are at the destination, and nothing is on its way."""
        assert self.held
        assert not self._inflight
        del self.parked[digest]
        self.settled = replace(self.settled, parked=dict(self.parked))

    def hold(self) -> None:
        """Take no more batches of the shard."""
        self.held = True

    def go_on(self) -> None:
        """Take batches again."""
        self.held, self.redriven = False, None
        self._end_if_done()

    def _take_redriven(self) -> Batch | None:
        if self.redriven is None or self.redriven.taken:
            return None
        self.redriven.taken = True
        return self.redriven.batch

    def _full(self) -> bool:
        return (
            self._pending_changes >= self._appetite.batch_changes_max
            or self._pending_bytes >= self._appetite.batch_bytes_max
        )

    def _cut(self) -> Batch | None:
        """Turn pending records into a batch, or into progress alone when nothing of them is wanted."""
        first = self._delivered + 1
        changes: list[Change] = []
        positions: list[int] = []
        taken = size_bytes = 0
        oldest_ms = self._pending[0].changes[0].time_ms
        while self._pending and taken < self._appetite.batch_changes_max:
            if taken and size_bytes >= self._appetite.batch_bytes_max:
                break
            record = self._pending.popleft()
            taken += len(record.changes)
            size_bytes += record.size_bytes
            self._accept(record, changes, positions)
            if self._position - self._delivered >= SPAN_POSITIONS_MAX:
                break
        self._pending_changes -= taken
        self._pending_bytes -= size_bytes
        handed = bool(changes) or self._position - self._delivered >= SPAN_POSITIONS_MAX
        if handed:
            self._delivered = self._position
        if not is_row(record.changes[-1]):  # the time of a read says nothing of what the stream still holds
            self._time_ms = max(self._time_ms, record.changes[-1].time_ms)
        seen, snapshots = self._seen.snapshot(record.arrival_ms), self._windows.state()
        after = Checkpoint(
            record.sequence, self._position, self._delivered, seen, time_ms=self._time_ms, snapshots=snapshots
        )
        if not handed:
            self._advance(after)
            return None
        self._inflight.append(_Inflight(self._position, after, len(changes), oldest_ms))
        place = self._stream, self._shard, first, self._position
        return Batch(*place, tuple(changes), tuple(positions), parents=self._parents)

    def _accept(self, record: Record, changes: list[Change], positions: list[int]) -> None:
        """Number a record's new changes and keep those of our tables."""
        known = self._seen.fresh_above(record.source, record.lane)
        fresh = record.changes
        if fresh[0].sequence <= known:
            fresh = tuple(change for change in fresh if change.sequence > known)
            self.report.duplicates += len(record.changes) - len(fresh)
        if not fresh:
            return
        self._seen.note(record.source, record.lane, fresh[-1].sequence, record.arrival_ms)
        fresh = self._windows.counted(record.source, record.lane, fresh, self._appetite.tables, self._appetite.topology)
        if not fresh:
            return
        start = self._position + 1
        self._position += len(fresh)
        if self._wants(fresh[0]):  # a record is of one table, and a gap has one of its own
            changes.extend(fresh)
            positions.extend(range(start, self._position + 1))

    def _wants(self, change: Change) -> bool:
        return change.table in self._appetite.tables and (change.kind is not ChangeKind.GAP or self._appetite.gaps)

    def _advance(self, after: Checkpoint) -> None:
        """Progress without a batch: it counts when what was taken before is settled."""
        if self._inflight:
            self._inflight[-1].after = after
        else:
            self.settled = replace(after, parked=dict(self.parked))
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self._closed and not self._pending and not self._inflight and not self.held:
            self.settled = replace(self.settled, ended=True)
