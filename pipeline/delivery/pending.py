"""What is on its way through a cursor: records that were read, batches that are written, a batch from quarantine."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.model.change import Batch
from pipeline.model.progress import Checkpoint
from pipeline.wire.record import Record


class Pending:
    """A queue of records; the reading is held back by what waits here."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self.changes = 0
        self.size_bytes = 0
        self.since = 0.0
        """Monotonic time since which something waits, or what is left has waited for its turn."""

    def __bool__(self) -> bool:
        """Return True while something waits."""
        return bool(self._records)

    @property
    def oldest_ms(self) -> int:
        """Return the creation time of the first change that waits."""
        return self._records[0].changes[0].time_ms

    def add(self, records: Sequence[Record], now: float) -> None:
        """Let records wait behind the others."""
        if records and not self._records:
            self.since = now
        self._records.extend(records)
        self.size_bytes += sum(record.size_bytes for record in records)
        self.changes += sum(len(record.changes) for record in records)

    def pop(self) -> Record:
        """Take the oldest record."""
        record = self._records.popleft()
        self.size_bytes -= record.size_bytes
        self.changes -= len(record.changes)
        return record


@dataclass(slots=True)
class Redriven:
    """A batch from quarantine on its way: nothing else of the shard is written meanwhile."""

    batch: Batch
    taken: bool = False
    settled: bool = False
    refused: str = ""
    """Why the sink refused it again."""

    def take(self) -> Batch | None:
        """Return the batch, once."""
        taken, self.taken = self.taken, True
        return None if taken else self.batch


@dataclass(slots=True)
class Inflight:
    """A batch that is taken and not settled."""

    last: int
    after: Checkpoint
    count: int
    oldest_ms: int
    """Creation time of the first change it covers."""
