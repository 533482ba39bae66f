"""What must hold, looked at when it could break: at every effect, and when all has come to rest."""

from collections.abc import Mapping

from pipeline.history.fold import fold, segments
from pipeline.model.change import Change
from pipeline.ports import ItemWrite, StateRow
from pipeline.testing.fakes import FakeItemStore, FakeObjectStore, FakeStateStore, FakeTable
from pipeline.verification.audit import verify_chain
from pipeline.wire import chain, segment
from pipeline.wire.checkpoint import from_fields


class Violation(AssertionError):
    """A promise that was broken, by its name."""


class Objects(FakeObjectStore):
    """Objects that know how far each log of ranges reaches."""

    def __init__(self, decode: object) -> None:
        super().__init__()
        self._decode = decode
        self.ends: dict[str, int] = {}

    async def create(self, name: str, data: bytes) -> bool:
        """Store, and look at the range: it must follow the last one of its shard."""
        created = await super().create(name, data)
        if created:
            header = self._decode(name, data).header  # type: ignore[operator]
            if header.first != self.ends.get(header.shard, 0) + 1:
                raise Violation(f"I5 {name} starts at {header.first}, the log ends at {self.ends.get(header.shard, 0)}")
            self.ends[header.shard] = header.last
        return created


class Replica(FakeItemStore):
    """A replica whose items never go back, whoever writes."""

    def __init__(self, sources: Mapping[str, FakeTable], *tables: FakeTable) -> None:
        super().__init__(*tables)
        self._sources = sources
        self._applied: dict[tuple[str, bytes], int] = {}

    def _apply(self, writes: "list[ItemWrite]") -> None:  # type: ignore[override]  # narrower than Sequence is fine here
        for write in writes:
            self._look(write)
        super()._apply(writes)

    def _look(self, write: ItemWrite) -> None:
        """Find which change this write is: the next one of its key with this image; none means it is an older one."""
        place = (write.table, write.keys)
        last = self._applied.get(place, -1)
        history = self._sources[write.table].history.get(write.keys, [])  # type: ignore[attr-defined]
        later = [change.sequence for change in history if change.after == write.item and change.sequence >= last]
        if not later:
            raise Violation(f"I2 an item of {write.table} goes back")
        self._applied[place] = later[0]


class State(FakeStateStore):
    """A state table in which no checkpoint is ahead of its effect, and none goes back."""

    def __init__(self, archive: Objects, audit: Objects, replica: Replica) -> None:
        super().__init__()
        self._ends = {
            "archive": lambda shard: archive.ends.get(shard, 0),
            "audit": lambda shard: audit.ends.get(shard, 0),
            "replica": lambda shard: replica.positions.get(("fanout-positions", f"replica/changes/{shard}"), 0),
        }

    async def write(self, row: StateRow, expected: int | None) -> bool:
        """Store, and look at what the checkpoint claims."""
        before = self.rows.get(row.key)
        stored = await super().write(row, expected)
        if stored and "@" in row.key and not row.key.endswith("@capture"):
            self._look(row, before)
        return stored

    def _look(self, row: StateRow, before: StateRow | None) -> None:
        lease, topology = row.key.split("@")
        now = from_fields(row.fields, row.key)
        reached = self._ends[topology](lease.split(":")[1])
        if now.delivered > reached:
            raise Violation(f"I6 {row.key} says {now.delivered}, the sink has {reached}")
        then = from_fields(before.fields, row.key) if before else None
        if then and (now.position < then.position or (then.ended and not now.ended)):
            raise Violation(f"I10 {row.key} goes back from {then.position} to {now.position}")


async def at_rest(tables: Mapping[str, FakeTable], archive: Objects, audit: Objects, replica: Replica) -> str:
    """Return why the world has not converged, "" when it has: all the same everywhere, each change once, in order."""
    for table in tables.values():
        if replica.tables[table.name].items != table.items:
            return f"I3 the replica of {table.name} differs"
    seen: dict[tuple[str, bytes], list[int]] = {}
    async for each in segments(archive):
        for change in each.batch.changes:
            seen.setdefault((change.table, change.keys), []).append(change.sequence)
    expected = {(name, keys): [c.sequence for c in history] for name, keys, history in _histories(tables)}
    if {place: sorted(sequences) for place, sequences in seen.items()} != expected:
        return "I1 the archive does not hold each change once"
    if any(sequences != sorted(sequences) for sequences in seen.values()):
        raise Violation("I2 the archive holds a key's changes out of order")
    folded = await fold(archive)
    if folded != {(t.name, keys): image for t in tables.values() for keys, image in t.items.items()}:
        raise Violation("I4 the archive folded is not the source")
    report = await verify_chain(audit)
    if not report.sound:
        raise Violation(f"I5 {report.problems[:3]}")
    total = sum(len(sequences) for sequences in expected.values())
    return "" if report.entries == total else f"I1 the audit log has {report.entries} of {total} entries"


def _histories(tables: Mapping[str, FakeTable]) -> list[tuple[str, bytes, list[Change]]]:
    return [
        (table.name, keys, history)
        for table in tables.values()
        for keys, history in table.history.items()  # type: ignore[attr-defined]  # SourceTable's own
    ]


DECODERS = {"archive": segment.decode, "audit": chain.decode}
