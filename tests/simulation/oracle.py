"""What must hold, looked at when it could break: at every effect, and when all has come to rest."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pipeline.history.fold import fold
from pipeline.model.change import Batch, Change, ChangeKind
from pipeline.model.progress import Checkpoint
from pipeline.ports import ItemWrite, StateRow
from pipeline.testing.fakes import FakeItemStore, FakeObjectStore, FakeStateStore, FakeTable
from pipeline.verification.audit import verify_chain
from pipeline.wire.checkpoint import from_fields
from pipeline.wire.packed import Header, Link
from pipeline.wire.segment import Segment
from pipeline.wiring.core import CAPTURE
from tests.simulation.logs import Violation, archive_entries, audit_entries, log_at_rest
from tests.simulation.poison import ParkedObjects, Poison
from tests.simulation.services import Identity, SourceTable, StreamLog
from tests.simulation.troubles import Trouble
from topologies.replica import Mode

POSITIONS = "fanout-positions"


class Objects(FakeObjectStore):
    """Objects that know how far each log of ranges reaches."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        self._form = form
        self._links: dict[str, Link] = {}
        self.stored: set[Identity] = set()
        """The changes of segments."""

    def reached(self, shard: str) -> int:
        """Return the last position stored of a shard."""
        return self._links[shard].last if shard in self._links else 0

    async def create(self, name: str, data: bytes) -> bool:
        """Store, and look at the range: it must follow the last one of its shard, and name it."""
        created = await super().create(name, data)
        if created:
            found = self._form.decode(name, data)
            header: Header = found.header
            last = self._links.get(header.shard) or self._form.KIND.genesis(header.stream, header.shard)
            if not header.follows(last):
                raise Violation(f"I5 {name} starts at {header.first} and does not follow {last.name} to {last.last}")
            self._links[header.shard] = header.link(name, found.seal)
            if isinstance(found, Segment):
                self.stored.update((change.table, change.sequence) for change in found.batch.changes)
        return created


class Replica(FakeItemStore):
    """A replica whose items never go back, whoever writes; in mode economy, one that has taken what it was given."""

    def __init__(self, mode: Mode, sources: Mapping[str, SourceTable], *tables: FakeTable) -> None:
        super().__init__(*tables)
        self.mode = mode
        self.unprocessed: Callable[[], int] = lambda: 0
        """How many writes of the next batch are left undone."""
        self._stored_before_refused: set[tuple[str, bytes]] = set()
        """Items with a change that was stored, without an answer, and then refused: put through, it is stored again."""
        self.copied = False
        """True where rows of the sources are copied: an item may then go back for a moment, to catch up again."""
        self._sources = sources
        self._applied: dict[tuple[str, bytes], int] = {}
        self._landed: set[ItemWrite] = set()
        self._given: dict[str, list[tuple[int, Change]]] = {}
        self._given_to: dict[str, int] = {}

    async def write_batch(self, writes: Sequence[ItemWrite]) -> tuple[ItemWrite, ...]:
        """Write as many as the table takes."""
        self.leave_unprocessed = self.unprocessed()
        return await super().write_batch(writes)

    def give(self, batch: Batch) -> None:
        """Note what the sink is asked to write."""
        for _, change in batch if batch.asked_by else ():
            if self._applied.get((change.table, change.keys), -1) >= change.sequence:
                self._stored_before_refused.add((change.table, change.keys))
        known = self._given_to.get(batch.shard, 0)
        if batch.first > known + 1:
            raise Violation(f"I6 a batch of {batch.shard} starts at {batch.first}, the last one ended at {known}")
        away = {each.position for each in batch.parked}
        before = [each for each in self._given.get(batch.shard, ()) if each[0] not in away]
        fresh = [each for each in batch if each[0] > known and each[1].kind is not ChangeKind.SNAPSHOT]
        self._given[batch.shard] = before + fresh
        self._given_to[batch.shard] = max(known, batch.last)

    def reached(self, shard: str) -> int:
        """Return the position up to which the replica has all of a shard."""
        if self.mode == "exact":
            return self.positions.get((POSITIONS, f"replica/changes/{shard}"), 0)
        given = self._given.setdefault(shard, [])
        while given and self.has(given[0][1]):
            given.pop(0)
        return given[0][0] - 1 if given else self._given_to.get(shard, 0)

    def has(self, change: Change) -> bool:
        """Return True when a change, or a later one of its item, was written."""
        if self.mode == "economy":
            later = self._sources[change.table].history[change.keys]
            images = [each.after for each in later if each.sequence >= change.sequence]
            return any(ItemWrite(change.table, change.keys, image) in self._landed for image in images)
        return self._applied.get((change.table, change.keys), -1) >= change.sequence

    def items_of(self, table: str) -> dict[bytes, bytes]:
        """Return a table's items as its source has them."""
        out = {}
        for keys, item in self.tables[table].items.items():
            bare = item.partition(b',"fanout_version"')
            if b'"fanout_deleted"' not in bare[2]:
                out[keys] = bare[0] + b"}" if bare[1] else item
        return out

    def _apply(self, writes: Sequence[ItemWrite]) -> None:
        for write in writes:
            if write.table not in self._sources:
                continue  # the table of position rows
            if self.mode == "economy":
                self._landed.add(write)
                continue
            place = (write.table, write.keys)
            self._applied[place] = self._find(write, self._applied.get(place, -1))
        super()._apply(writes)

    def _find(self, write: ItemWrite, last: int) -> int:
        """Find which change this write is: the next one of its key with this image; none means it is an older one."""
        image, versioned, rest = (write.item or b"").partition(b',"fanout_version":{"S":"')
        if versioned:
            version = int(rest.partition(b'"')[0].partition(b"/")[2] or -1)
            if version < last:
                raise Violation(f"I2 an item of {write.table} goes back")
            return version
        history = self._sources[write.table].history.get(write.keys, [])
        later = [each.sequence for each in history if (each.after or b"") == image and each.sequence >= last]
        if not later and (self.copied or (write.table, write.keys) in self._stored_before_refused):
            return last
        if not later:
            raise Violation(f"I2 an item of {write.table} goes back")
        return (
            later[-1] if self.mode == "guarded" else later[0]
        )  # only a mutant deletes there: believe it all it can be


class State(FakeStateStore):
    """A state table in which no checkpoint is ahead of its effect, and none goes back."""

    def __init__(
        self, tables: Mapping[str, SourceTable], log: StreamLog, archive: Objects, audit: Objects, replica: Replica
    ) -> None:
        super().__init__()
        self._tables = tables
        self._log = log
        self._archive = archive
        self._checkpoints: dict[str, Checkpoint] = {}
        """What the rows say that are stored."""
        self._reached = {"archive": archive.reached, "audit": audit.reached, "replica": replica.reached}
        self.archived: Collection[str] = ()
        """The tables the archive wants."""
        self.met: Counter[Trouble] = Counter()
        self.poison: Poison
        self.parked: ParkedObjects

    async def write(self, row: StateRow, expected: int | None) -> bool:
        """Store, and look at what the checkpoint claims."""
        before = self.rows.get(row.key)
        stored = await super().write(row, expected)
        self._count(before, row, stored=stored)
        if stored and "@" in row.key:
            lease, name = row.key.split("@")
            group, shard = lease.rsplit(":", 1)
            now = from_fields(row.fields, row.key)
            then = self._checkpoints.get(row.key, Checkpoint())
            self._checkpoints[row.key] = now
            if now.position < then.position or (then.ended and not now.ended):
                raise Violation(f"I10 {row.key} goes back from {then.position} to {now.position}")
            if name in self._reached:
                self._look_at_sink(name, shard, now)
            if name == "archive":
                self._look_at_archive(shard, then, now)
            if name == self.poison.name:
                self._look_at_refused(shard, then, now)
            if name == CAPTURE:
                self._look_at_stream(self._tables[group.split("/")[1]], shard, then, now)
        return stored

    def _count(self, before: StateRow | None, row: StateRow, *, stored: bool) -> None:
        """Count what happens to a lease that is another's."""
        owner = before.fields.get("leaseOwner") if before and "@" not in row.key else None
        if owner and row.fields.get("leaseOwner", owner) != owner:
            self.met[Trouble.TAKEN if stored else Trouble.TWICE] += 1

    def _look_at_sink(self, name: str, shard: str, now: Checkpoint) -> None:
        if now.delivered > self._reached[name](shard):
            raise Violation(f"I6 {name} on {shard} says {now.delivered}, the sink has {self._reached[name](shard)}")
        runs = self._log.runs.get(shard)
        if now.ended and runs and runs[-1][0] != now.sequence:
            raise Violation(f"I6 {name} on {shard} says that the shard has ended, there is more of it")

    def _look_at_archive(self, shard: str, then: Checkpoint, now: Checkpoint) -> None:
        for sequence, changes in self._log.runs.get(shard, ()):
            if (then.sequence or 0) < sequence <= (now.sequence or 0):
                wanted = {each for each in changes if each[0] in self.archived}
                missing = wanted - self._archive.stored - self.parked.of["archive"]
                if missing:
                    raise Violation(f"I6 the checkpoint of the archive on {shard} is past {len(missing)} changes")

    def _look_at_refused(self, shard: str, then: Checkpoint, now: Checkpoint) -> None:
        for sequence, changes in self._log.runs.get(shard, ()):
            if (then.sequence or 0) < sequence <= (now.sequence or 0):
                lost = self.poison.refused.intersection(changes) - self.parked.of[self.poison.name]
                if lost:
                    raise Violation(f"I8 a checkpoint on {shard} is past {len(lost)} refused changes not parked")

    def _look_at_stream(self, table: SourceTable, shard: str, then: Checkpoint, now: Checkpoint) -> None:
        source = table.shards_of(table.epoch).get(shard)
        for change in source.tape._records if source else ():
            passed = now.ended or change.sequence <= (now.sequence or 0)
            if (
                passed
                and change.sequence > (then.sequence or 0)
                and (table.name, change.sequence) not in self._log.stored
            ):
                raise Violation(f"I6 the checkpoint of the capture of {shard} is past {change.sequence}")


async def at_rest(
    tables: Mapping[str, SourceTable],
    archive: Objects,
    audit: Objects,
    replica: Replica,
    wants: Mapping[str, Collection[str]],
) -> str:
    """Return why the world has not converged, "" when it has: all the same everywhere, each change once, in order."""
    for table in (tables[name] for name in wants["replica"]):
        if replica.mode == "economy" and not all(replica.has(history[-1]) for history in table.history.values()):
            return f"I1 the replica of {table.name} lacks a change"
        if replica.mode != "economy" and replica.items_of(table.name) != table.items:
            return f"I3 the replica of {table.name} differs"
    if why := await _archive_at_rest([tables[name] for name in wants["archive"]], archive):
        return why
    report = await verify_chain(audit)
    if not report.sound:
        raise Violation(f"I5 {report.problems[:3]}")
    return await log_at_rest("audit log", [tables[name] for name in wants["audit"]], audit_entries(audit))


async def _archive_at_rest(tables: Collection[SourceTable], archive: Objects) -> str:
    if why := await log_at_rest("archive", tables, archive_entries(archive)):
        return why
    folded = await fold(archive)
    if folded != {(t.name, keys): image for t in tables for keys, image in t.items.items()}:
        raise Violation("I4 the archive folded is not the source")
    return ""
