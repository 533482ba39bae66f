"""A Kinesis data stream in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.model.errors import Gap, Misconfigured
from pipeline.model.lane import HASH_SPACE
from pipeline.model.shard import Shard
from pipeline.ports import Chance, Clock, LogPage, LogRecord, OutRecord
from pipeline.testing.faults import Faults
from pipeline.testing.tape import Iterators, Tape

ITERATOR_SECONDS = 5 * 60.0
PUT_RECORDS_MAX = 500
PUT_BYTES_MAX = 10 * 1024 * 1024
PAGE_RECORDS_MAX = 10_000
_SEQUENCE_FIRST = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_802


@dataclass
class _LogShard:
    id: str
    low: int
    high: int
    """Exclusive."""
    parents: tuple[str, ...] = ()
    tape: Tape[LogRecord] = field(default_factory=Tape)


class FakeLog:
    """A Log with hash ranges. Calls known to `faults`: shards, iterator, read, put.

    `refuses`, if set, is asked for every record of a put and may return the error code it is refused with, while
    others of the call are stored. With `chance` the records of one call are stored in any order, as AWS may.
    """

    def __init__(self, name: str, clock: Clock, *, shards: int = 1, chance: Chance | None = None) -> None:
        self.faults = Faults()
        self.refuses: Callable[[OutRecord], str | None] | None = None
        self.page_records_max = PAGE_RECORDS_MAX
        self.record_bytes_max = 1024 * 1024
        self.retention_ms = 24 * 3600 * 1000
        self.iterators = Iterators(clock, ITERATOR_SECONDS)
        self._name = name
        self._clock = clock
        self._chance = chance
        self._sequence = _SEQUENCE_FIRST
        self._shards: dict[str, _LogShard] = {}
        self._opened = 0
        for i in range(shards):
            self._open(HASH_SPACE * i // shards, HASH_SPACE * (i + 1) // shards, ())

    @property
    def name(self) -> str:
        """Return the stream's name."""
        return self._name

    def split(self, shard: str, at: int | None = None) -> tuple[str, str]:
        """Close an open shard and open two, divided at a hash key, the middle unless said."""
        old = self._close(shard)
        border = (old.low + old.high) // 2 if at is None else at
        assert old.low < border < old.high
        return self._open(old.low, border, (shard,)), self._open(border, old.high, (shard,))

    def merge(self, left: str, right: str) -> str:
        """Close two open neighbours and open one for both ranges."""
        assert self._shards[left].high == self._shards[right].low
        return self._open(self._close(left).low, self._close(right).high, (left, right))

    def trim(self, shard: str, upto: int) -> None:
        """Forget a shard's records up to a sequence; a closed one that is left empty is forgotten after its parents."""
        tape = self._shards[shard].tape
        tape.trim(upto)
        if tape.closed and tape.first == tape.end and not self._shards.keys() & set(self._shards[shard].parents):
            del self._shards[shard]

    def expire(self, kept_ms: int) -> None:
        """Forget what arrived longer ago, in every shard: as retention does."""
        for shard in list(self._shards):
            tape, until_ms = self._shards[shard].tape, self._clock.now_ms() - kept_ms
            old = (each.sequence for each in tape.page(tape.first, tape.end) if each.arrival_ms < until_ms)
            self.trim(shard, max(old, default=0))

    async def shards(self) -> tuple[Shard, ...]:
        """Return all shards still retained."""
        async with self.faults.around("shards"):
            return tuple(Shard(s.id, s.parents, s.tape.closed, (s.low, s.high - 1)) for s in self._shards.values())

    async def iterator(self, shard: str, after: int | None) -> str:
        """Return an iterator after a sequence, or at the oldest record."""
        async with self.faults.around("iterator"):
            tape = self._tape(shard)
            return self.iterators.write(shard, tape.first if after is None else tape.above(after))

    async def holds(self, shard: str, sequence: int) -> bool:
        """Return True when the record of a sequence is kept."""
        async with self.faults.around("holds"):
            return self._tape(shard).has(sequence)

    async def kept_ms(self) -> int:
        """Return how long a record is kept; nothing is forgotten before `expire`."""
        async with self.faults.around("kept_ms"):
            return self.retention_ms

    async def keep(self, kept_ms: int) -> None:
        """Keep records so long."""
        async with self.faults.around("keep"):
            self.retention_ms = max(self.retention_ms, kept_ms)

    async def read(self, iterator: str) -> LogPage:
        """Read one page; the last one of a closed shard carries records and no next iterator."""
        async with self.faults.around("read"):
            shard, offset = self.iterators.read(iterator)
            tape = self._tape(shard)
            offset = max(offset, tape.first)  # what is trimmed is passed by without a word, as Kinesis does
            records = tape.page(offset, self.page_records_max)
            offset += len(records)
            unread = tape.page(offset, 1)
            behind_ms = self._clock.now_ms() - unread[0].arrival_ms if unread else 0
            drained = tape.closed and offset == tape.end
            following = None if drained else self.iterators.write(shard, offset)
            return LogPage(tuple(records), following, behind_ms, self._clock.now_ms())

    async def put(self, records: Sequence[OutRecord]) -> tuple[str | None, ...]:
        """Store records one by one; each entry is None or the code it was refused with."""
        async with self.faults.around("put"):
            sizes = [len(r.data) + len(r.partition_key.encode()) for r in records]
            if not 0 < len(records) <= PUT_RECORDS_MAX or sum(sizes) > PUT_BYTES_MAX:
                raise Misconfigured(f"a put of {len(records)} records, {sum(sizes)} bytes")
            if max(sizes) > self.record_bytes_max:
                raise Misconfigured(f"a record of {max(sizes)} bytes")
            codes: list[str | None] = [None] * len(records)
            for index in self._order(len(records)):
                codes[index] = self._store(records[index])
            return tuple(codes)

    def _order(self, count: int) -> list[int]:
        order = list(range(count))
        chance = self._chance
        return order if chance is None else sorted(order, key=lambda _: chance.fraction())

    def _store(self, record: OutRecord) -> str | None:
        code = self.refuses(record) if self.refuses is not None else None
        if code is not None:
            return code
        self._sequence += 1 << 64
        shard = next(
            s for s in self._shards.values() if not s.tape.closed and s.low <= record.explicit_hash_key < s.high
        )
        shard.tape.append(LogRecord(self._sequence, record.data, record.partition_key, self._clock.now_ms()))
        return None

    def _open(self, low: int, high: int, parents: tuple[str, ...]) -> str:
        name = f"shardId-{self._opened:012d}"
        self._opened += 1
        self._shards[name] = _LogShard(name, low, high, parents)
        return name

    def _close(self, shard: str) -> _LogShard:
        old = self._shards[shard]
        assert not old.tape.closed
        old.tape.closed = True
        return old

    def _tape(self, shard: str) -> Tape[LogRecord]:
        if shard not in self._shards:
            raise Gap(f"shard {shard} of stream {self._name} is gone")
        return self._shards[shard].tape
