"""One topology's place in one shard: what it has taken, what is settled, what is saved."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.delivery.appetite import SPAN_POSITIONS_MAX, Appetite
from pipeline.delivery.pending import Inflight, Pending, Redriven
from pipeline.delivery.reader import Page
from pipeline.delivery.ring import Ring
from pipeline.model.change import Batch, Change, Parked
from pipeline.model.progress import Checkpoint, ParkedKey, Seen, part_name
from pipeline.model.snapshot import Windows, is_row
from pipeline.model.state import Report
from pipeline.wire.record import Record

INFLIGHT_BATCHES_MAX = 2
"""One being written, one waiting: more would only be more to repeat."""


class Cursor:
    """Turns pages into batches, and settled batches into a checkpoint.

    Repeats are dropped here, by the highest sequence seen of every source shard and lane; what is left is numbered.
    Both depend on the shard's records and the checkpoint only, so that a redelivery has the same numbers.
    """

    def __init__(
        self, stream: str, shard: str, appetite: Appetite, report: Report, *parents: str, through_stored_ms: int = 0
    ) -> None:
        self.stream = stream
        self._shard, self._parents = shard, parents
        self.appetite = appetite
        self._pending = Pending()
        self._closed = False
        self._through_stored_ms = through_stored_ms
        self._inflight: deque[Inflight] = deque()
        self.begin(Checkpoint())
        self.report = report
        self.index: int | None = None
        """Number of the ring's page to take next; None while the cursor reads by itself."""
        self.doubtful = False
        """True when the shard must be read anew from `place`, because the ring may lack what lies before its page."""
        self.held = False
        """True while changes are put through from quarantine: no batch of the shard is taken."""
        self.redriven: Redriven | None = None
        self.standing = False
        """True while the oldest batch in flight is not being written, since no more keys may be parked."""

    def begin(self, checkpoint: Checkpoint) -> None:
        """Start from a stored checkpoint."""
        self.place = checkpoint.sequence
        self.through_ms = checkpoint.through_ms
        """Every record that arrived up to then is at or before `place`."""
        self._marks: Sequence[Change] = ()
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
    def shard(self) -> str:
        """Return the name the batches of the Kinesis shard go by."""
        return part_name(self._shard, self.settled.part)

    @property
    def settled_through_ms(self) -> int:
        """Return the time up to which all records that arrived are settled, by the stream's clock."""
        return self.through_ms if self.idle else self.settled.through_ms

    @property
    def idle(self) -> bool:
        """Return True when all that was read is settled."""
        return not (self._pending or self._inflight or self._marks or self.held)

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
            return max(0.0, (now_ms - self._pending.oldest_ms) / 1000)
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
        """Take the ring's pages as far as there is room.

        Leave the ring when it has moved on without us, or has a page of which another knows that it follows, not we.
        """
        while self.index is not None and self.hungry and self.index < ring.next:
            if self.index < ring.oldest:
                self.index = None
                return
            page = ring.page(self.index)
            if page.after == self.place and self.through_ms <= page.since_ms:
                self.index, self.doubtful = None, True
                return
            self.feed(page, now)
            self.index += 1

    def feed(self, page: Page, now: float) -> None:
        """Take a page; what lies at or before our place was taken already.

        A page we read ourselves may come in when we are on the ring again and have taken its last page: what is closed
        stays closed.
        """
        fresh = [record for record in page.records if self.place is None or record.sequence > self.place]
        self._pending.add(fresh, now)
        if fresh:
            self.place = fresh[-1].sequence
        if page.last == self.place:
            self.through_ms = page.through_ms(self.through_ms)
        self.doubtful = False
        self._note_through()
        self._closed = self._closed or page.ended
        self._end_if_done()

    def take(self, now: float) -> Batch | None:
        """Return the next batch when there is one and it is time for it."""
        if self.held:
            return self.redriven.take() if self.redriven is not None and not self._inflight else None
        if self._marks:
            return self._take_marks()
        while self._pending and len(self._inflight) < INFLIGHT_BATCHES_MAX:
            waited = now - self._pending.since >= self.appetite.linger_seconds
            if not (waited or self._closed or self._full()):
                return None
            batch = self._cut()
            self._pending.since = now
            if batch is not None:
                return batch
        return None

    def leap(self, marks: Sequence[Change], through_ms: int) -> None:
        """Go on behind a gap; `marks` tell of it. What arrived up to `through_ms` is given up where it is missing.

        Positions count anew: the sink may have been given some that were never settled, and what had them is gone.
        """
        assert self.idle
        assert marks
        part = self.settled.part + 1
        self.settled = replace(self.settled, position=0, delivered=0, through_ms=through_ms, part=part)
        self._position = self._delivered = 0
        self.through_ms, self._marks = through_ms, marks

    def _take_marks(self) -> Batch | None:
        marks, self._marks = self._marks, ()
        self._position = len(marks)
        if not self.appetite.gaps:
            self._advance(replace(self.settled, position=self._position))
            return None
        self._delivered = self._position
        after = replace(self.settled, position=self._position, delivered=self._position)
        self._inflight.append(Inflight(self._position, after, 0, marks[0].time_ms))
        return Batch(self.stream, self.shard, 1, self._position, tuple(marks), range(1, self._position + 1))

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
        """Let a key out of quarantine: its changes are at the destination, and nothing is being written."""
        assert self.held
        assert self.standing or not self._inflight
        del self.parked[digest]
        self.settled = replace(self.settled, parked=dict(self.parked))

    def hold(self) -> None:
        """Take no more batches of the shard."""
        self.held = True

    def go_on(self) -> None:
        """Take batches again."""
        self.held, self.redriven = False, None
        self._end_if_done()

    def _full(self) -> bool:
        waiting, wanted = self._pending, self.appetite
        return waiting.changes >= wanted.batch_changes_max or waiting.size_bytes >= wanted.batch_bytes_max

    def _cut(self) -> Batch | None:
        """Turn pending records into a batch, or into progress alone when nothing of them is wanted."""
        first = self._delivered + 1
        changes: list[Change] = []
        positions: list[int] = []
        taken = size_bytes = 0
        oldest_ms = self._pending.oldest_ms
        while self._pending and taken < self.appetite.batch_changes_max:
            if taken and size_bytes >= self.appetite.batch_bytes_max:
                break
            record = self._pending.pop()
            taken += len(record.changes)
            size_bytes += record.size_bytes
            self._accept(record, changes, positions)
            if self._position - self._delivered >= SPAN_POSITIONS_MAX:
                break
        handed = bool(changes) or self._position - self._delivered >= SPAN_POSITIONS_MAX
        if handed:
            self._delivered = self._position
        if not is_row(record.changes[-1]):  # the time of a read says nothing of what the stream still holds
            self._time_ms = max(self._time_ms, record.changes[-1].time_ms)
        seen, snapshots = self._seen.snapshot(record.arrival_ms), self._windows.state()
        after = replace(
            self.settled,
            sequence=record.sequence,
            position=self._position,
            delivered=self._delivered,
            seen=seen,
            time_ms=self._time_ms,
            snapshots=snapshots,
            through_ms=record.arrival_ms,
        )
        if not handed:
            self._advance(after)
            return None
        self._inflight.append(Inflight(self._position, after, len(changes), oldest_ms))
        parents = () if self.settled.part else self._parents  # what lies behind a gap continues nothing
        place = self.stream, self.shard, first, self._position
        return Batch(*place, tuple(changes), tuple(positions), parents=parents)

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
        fresh = self._windows.counted(record.source, record.lane, fresh, self.appetite.tables, self.appetite.topology)
        if not fresh:
            return
        start = self._position + 1
        self._position += len(fresh)
        if self.appetite.wants(fresh[0]):  # a record is of one table, and a gap has one of its own
            changes.extend(fresh)
            positions.extend(range(start, self._position + 1))

    def _advance(self, after: Checkpoint) -> None:
        """Progress without a batch: it counts when what was taken before is settled."""
        if self._inflight:
            self._inflight[-1].after = after
        else:
            self.settled = replace(after, parked=dict(self.parked))
            self._end_if_done()

    def _note_through(self) -> None:
        """Say in the checkpoint of an idle shard, now and then, up to when it is known that nothing came."""
        if self.idle and self.through_ms - self.settled.through_ms > self._through_stored_ms:
            self.settled = replace(self.settled, through_ms=self.through_ms)

    def _end_if_done(self) -> None:
        if self._closed and self.idle:
            self.settled = replace(self.settled, ended=True, through_ms=self.through_ms)
