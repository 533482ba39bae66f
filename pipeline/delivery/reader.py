"""One Kinesis shard read from a place on: iterators, expiry and decoding."""

from collections.abc import Callable
from typing import NamedTuple

from pipeline.model.errors import Corrupt, IteratorExpired, RetryLater
from pipeline.ports import Log, LogPage, ObjectStore
from pipeline.wire.record import Record, decode


class Page(NamedTuple):
    """What one GetRecords gave, decoded once for all topologies."""

    after: int | None
    """Sequence of the record before the page, None at the start of the shard."""
    records: tuple[Record, ...]
    last: int | None
    """Sequence of the last record; `after` when the page is empty."""
    size_bytes: int
    ended: bool
    """True when the shard is closed and holds nothing more."""
    behind_ms: int


class ShardReader:
    """Reads pages one after the other; `place` is the last sequence read."""

    def __init__(
        self, log: Log, claims: ObjectStore | None, shard: str, place: int | None, on_read: Callable[[], None]
    ) -> None:
        self._log = log
        self._claims = claims
        self._shard = shard
        self._iterator: str | None = None
        self._undecoded: LogPage | None = None
        self._on_read = on_read
        self.place = place

    async def read(self) -> Page:
        """Return the next page.

        Raises RetryLater, Gap, or Corrupt when the next record cannot be decoded: what precedes it on its page was
        returned before, and it will be offered again.
        """
        raw = self._undecoded or await self._fetch()
        self._undecoded = raw
        records: list[Record] = []
        for record in raw.records:
            try:
                records.append(await decode(record, self._claims))
            except Corrupt:
                if not records:
                    raise
                return self._page(records, raw._replace(records=raw.records[len(records) :]))
        self._iterator = raw.next
        return self._page(records, None, ended=raw.next is None, behind_ms=raw.behind_ms)

    async def _fetch(self) -> LogPage:
        if self._iterator is None:
            self._iterator = await self._log.iterator(self._shard, self.place)
        self._on_read()
        try:
            return await self._log.read(self._iterator)
        except IteratorExpired as error:
            self._iterator = None
            raise RetryLater(error.reason) from error

    def _page(self, records: list[Record], rest: LogPage | None, *, ended: bool = False, behind_ms: int = 0) -> Page:
        after, self._undecoded = self.place, rest
        if records:
            self.place = records[-1].sequence
        size_bytes = sum(record.size_bytes for record in records)
        return Page(after, tuple(records), self.place, size_bytes, ended, behind_ms)
