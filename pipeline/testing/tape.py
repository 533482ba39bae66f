"""What a table stream's shard and a Kinesis shard have in common."""

from typing import Generic, Protocol, TypeVar

from pipeline.model.errors import Gap, IteratorExpired
from pipeline.ports import Clock


class Sequenced(Protocol):
    """Anything with a place in a shard."""

    @property
    def sequence(self) -> int:
        """Return the place."""


T = TypeVar("T", bound=Sequenced)


class Tape(Generic[T]):
    """The records of one shard: new ones at the end, the oldest trimmed, an offset of one never changes."""

    def __init__(self) -> None:
        self.closed = False
        self._records: list[T] = []
        self._first = 0
        self._trimmed = -1

    @property
    def first(self) -> int:
        """Return the offset of the oldest record kept."""
        return self._first

    @property
    def end(self) -> int:
        """Return the offset of the next record."""
        return self._first + len(self._records)

    def append(self, record: T) -> None:
        """Add a record to an open shard."""
        assert not self.closed
        self._records.append(record)

    def trim(self, upto: int) -> None:
        """Forget the records up to and including a sequence."""
        while self._records and self._records[0].sequence <= upto:
            self._trimmed = self._records.pop(0).sequence
            self._first += 1

    def after(self, sequence: int | None) -> int:
        """Return the offset after a sequence, or of the oldest record. Raises Gap when records after it are gone."""
        if sequence is None:
            return self._first
        if sequence < self._trimmed:
            raise Gap("the sequence is trimmed")
        return self.above(sequence)

    def above(self, sequence: int) -> int:
        """Return the offset of the oldest record kept that lies after a sequence."""
        return self._first + sum(1 for record in self._records if record.sequence <= sequence)

    def has(self, sequence: int) -> bool:
        """Return True when the record of a sequence is kept."""
        return any(record.sequence == sequence for record in self._records)

    def page(self, offset: int, records_max: int) -> list[T]:
        """Return records from an offset on. Raises Gap when it is trimmed."""
        if offset < self._first:
            raise Gap("the records are trimmed")
        return self._records[offset - self._first : offset - self._first + records_max]


class Iterators:
    """Shard iterators that carry their place and their age."""

    def __init__(self, clock: Clock, live_seconds: float) -> None:
        self._clock = clock
        self.live_seconds = live_seconds

    def write(self, shard: str, offset: int) -> str:
        """Return an iterator, valid from now."""
        return f"{shard}/{offset}/{self._clock.monotonic()!r}"

    def read(self, iterator: str) -> tuple[str, int]:
        """Return the shard and offset of an iterator. Raises IteratorExpired when it is too old."""
        shard, offset, born = iterator.rsplit("/", 2)
        if self._clock.monotonic() - float(born) > self.live_seconds:
            raise IteratorExpired(f"the iterator of shard {shard} is too old")
        return shard, int(offset)
