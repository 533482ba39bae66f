"""What is known of copies of a table: the run that goes on, and how far each of its segments is."""

from dataclasses import dataclass, replace
from enum import StrEnum

from pipeline.model.errors import Corrupt, LeaseLost, RetryLater
from pipeline.ports import FieldValue, StateRow, StateStore

FORMAT = 1


class Phase(StrEnum):
    """What a copy is doing."""

    COPYING = "copying"
    PAUSED = "paused"
    COPIED = "copied"
    """Every row is in the stream; they may still be on their way."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Run:
    """One copy of a table, from its beginning on."""

    id: str
    epoch: str
    """Label of the table's stream when it began: a copy does not outlive it."""
    segments: int
    topologies: tuple[str, ...] = ()
    """Who gets the rows; empty for all."""
    phase: Phase = Phase.COPYING
    started_ms: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """How far a segment of a run is."""

    chunk: int = 0
    """The last chunk that was begun: none that is lower counts any more.

    It is the time of its beginning: rows of one item that two runs send never have the same sequence.
    """
    start: bytes = b""
    """Where the next page starts; empty at the beginning."""
    rows: int = 0
    read_units: float = 0.0
    done: bool = False


class Copies:
    """The copies of one table into one Kinesis stream, as rows of the state table.

    Every step is a compare-and-set, so of two processes that copy one segment one is told so and ends.
    """

    def __init__(self, store: StateStore, stream: str, table: str, *, owner: str) -> None:
        """Take the copy's name, and that of this process, which no other has, nor an earlier run of this one."""
        self._store = store
        self._owner = owner
        self._key = f"copy:{stream}/{table}"
        self._versions: dict[str, int] = {}

    async def run(self) -> Run | None:
        """Return the last run, None before the first. Raises RetryLater or Corrupt."""
        fields = await self._read(self._key)
        if fields is None:
            return None
        topologies = str(fields["topologies"])
        return Run(
            str(fields["run"]),
            str(fields["epoch"]),
            int(str(fields["segments"])),
            tuple(topologies.split(",")) if topologies else (),
            Phase(str(fields["phase"])),
            int(str(fields["startedMs"])),
        )

    async def put_run(self, run: Run) -> None:
        """Store a run. Raises LeaseLost when it was changed since it was last read here, or RetryLater."""
        fields: dict[str, FieldValue] = {
            "run": run.id,
            "epoch": run.epoch,
            "segments": run.segments,
            "topologies": ",".join(run.topologies),
            "phase": run.phase.value,
            "startedMs": run.started_ms,
        }
        await self._write(self._key, fields)

    async def set_phase(self, phase: Phase) -> Run:
        """Change what the run is doing, whoever else changes it. Raises RetryLater when there is none."""
        run = await self.run()
        if run is None:
            msg = f"there is no copy {self._key}"
            raise RetryLater(msg)
        changed = replace(run, phase=phase)
        await self.put_run(changed)
        return changed

    async def segment(self, run: Run, number: int) -> Segment:
        """Return how far a segment is. Raises RetryLater or Corrupt."""
        fields = await self._read(f"{self._key}/{run.id}/{number}")
        if fields is None:
            return Segment()
        start = fields.get("start", b"")
        assert isinstance(start, bytes)
        return Segment(
            int(str(fields["chunk"])),
            start,
            int(str(fields["rows"])),
            float(str(fields["readUnits"])),
            bool(fields["done"]),
        )

    async def put_segment(self, run: Run, number: int, segment: Segment) -> None:
        """Store how far a segment is. Raises LeaseLost when somebody else copies it too, or RetryLater."""
        fields: dict[str, FieldValue] = {
            "chunk": segment.chunk,
            "rows": segment.rows,
            "readUnits": f"{segment.read_units:.1f}",
            "done": int(segment.done),
        }
        if segment.start:
            fields["start"] = segment.start
        await self._write(f"{self._key}/{run.id}/{number}", fields)

    async def _read(self, key: str) -> dict[str, FieldValue] | None:
        row = (await self._store.read([key])).get(key)
        if row is None:
            self._versions.pop(key, None)
            return None
        self._versions[key] = row.version
        if row.fields.get("format") != FORMAT:
            msg = f"the row {key} has format {row.fields.get('format')!r}, this version reads {FORMAT}"
            raise Corrupt(msg, hint="it was written by another version: finish the copy with that one")
        return dict(row.fields)

    async def _write(self, key: str, fields: dict[str, FieldValue]) -> None:
        expected = self._versions.get(key)
        version = 0 if expected is None else expected + 1
        row = StateRow(key, version, {**fields, "format": FORMAT, "entityType": "COPY", "owner": self._owner})
        if not await self._store.write(row, expected) and not await self._is_stored(row):
            msg = f"somebody else has changed {key}"
            raise LeaseLost(
                msg, hint="is another `fanout bootstrap`, or `fanout verify --repair`, of this table running?"
            )
        self._versions[key] = version

    async def _is_stored(self, row: StateRow) -> bool:
        """Return True when the row is there as we wrote it: our own call, tried again after its answer was lost.

        Another process may write the same words, all but its name.
        """
        stored = (await self._store.read([row.key])).get(row.key)
        return stored is not None and stored.version == row.version and dict(stored.fields) == dict(row.fields)
