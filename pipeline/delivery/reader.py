"""One Kinesis shard read from a place on: iterators, expiry, decoding, and the proof that nothing was trimmed between.

Kinesis does not say that a place was trimmed, it goes on at the oldest record left. So a page counts only if it is
known to follow the last one. Either by time: all that arrived up to `through_ms` was read, and what came later is too
young to be trimmed. Both times are the service's own. Or, when that is not enough, because the last record read can
still be read now: then no later one is gone.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from pipeline.model.errors import Corrupt, Gap, IteratorExpired, RetryLater
from pipeline.model.gap import SURELY_KEPT_MS
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
    tip_ms: int = 0
    """What arrived up to then lies at or before `last`, and the shard was open then; 0 when that is not known."""
    since_ms: int = -1
    """The page follows for whoever has read all that arrived up to a later time; -1: for everybody."""

    def through_ms(self, before_ms: int) -> int:
        """Return the time up to which all that arrived is read, of who had read up to `before_ms` before the page."""
        return self.records[-1].arrival_ms if self.records else max(before_ms, self.tip_ms)


class Trimmed(Gap):
    """Records may be gone that lay between the last one read and those that can be read now."""


class Place(NamedTuple):
    """Where a reader stands."""

    sequence: int | None
    """The last record read; None at the start of the shard."""
    through_ms: int
    """Every record that arrived up to then, by the stream's clock, is at or before it, or does not concern us."""


TIP_PAGES = 5
"""So many pages in a row must be at the tip of an open shard before the first of them proves that it was open then.

A shard that is closed is told by its last page, but a lagging reader may get that one or two pages late.
"""


class ShardReader:
    """Reads pages one after the other, from a place on.

    What arrived `sure_ms` ago or later counts as not trimmed.
    """

    def __init__(
        self,
        log: Log,
        claims: ObjectStore | None,
        shard: str,
        place: Place,
        on_read: Callable[[], None],
        sure_ms: int = SURELY_KEPT_MS,
    ) -> None:
        self._log = log
        self._claims = claims
        self._shard = shard
        self._iterator: str | None = None
        self._undecoded: LogPage | None = None
        self._on_read = on_read
        self._sure_ms = sure_ms
        self._since_ms = -1
        self._at_tip_ms: deque[int] = deque(maxlen=TIP_PAGES)
        self.place = place

    async def read(self) -> Page:
        """Return the next page.

        Raises RetryLater, Trimmed when records before it may be gone unread, another Gap when the shard is, or Corrupt
        when the next record cannot be decoded: what precedes it on its page was returned before, and it will be offered
        again.
        """
        raw = self._undecoded or await self._prove(await self._fetch())
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
        self._note_tip(raw)
        return self._page(records, None, ended=raw.next is None, behind_ms=raw.behind_ms)

    async def _fetch(self) -> LogPage:
        if self._iterator is None:
            self._iterator = await self._log.iterator(self._shard, self.place.sequence)
        self._on_read()
        try:
            return await self._log.read(self._iterator)
        except IteratorExpired as error:
            self._iterator = None
            raise RetryLater(error.reason) from error

    async def _prove(self, page: LogPage) -> LogPage:
        """Return the page if nothing can be missing before it. Raises Trimmed, RetryLater or Gap."""
        last, through_ms = self.place
        self._since_ms = page.time_ms - self._sure_ms
        if through_ms > self._since_ms:
            return page
        if last is not None and await self._log.holds(self._shard, last):
            self._since_ms = -1
            return page
        reason = f"records of stream {self._log.name}, shard {self._shard}, may have been trimmed before they were read"
        raise Trimmed(reason)

    def _note_tip(self, page: LogPage) -> None:
        if page.behind_ms or page.next is None:
            self._at_tip_ms.clear()
        else:
            self._at_tip_ms.append(page.time_ms)

    def _page(self, records: list[Record], rest: LogPage | None, *, ended: bool = False, behind_ms: int = 0) -> Page:
        after, through_ms = self.place
        last, self._undecoded = records[-1].sequence if records else after, rest
        size_bytes = sum(record.size_bytes for record in records)
        tip_ms = self._at_tip_ms[0] if len(self._at_tip_ms) == TIP_PAGES else 0
        page = Page(after, tuple(records), last, size_bytes, ended, behind_ms, tip_ms, self._since_ms)
        self.place = Place(last, page.through_ms(through_ms))
        self._since_ms = -1 if rest else self._since_ms
        return page
