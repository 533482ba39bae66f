"""Rows of an export, older than the window they are sent into: those that may have changed since are read anew.

A row may be sent when no change of its item lies between the moment it was read at and its window. For a scan nothing
does; an export's moment is hours ago. So the Kinesis stream is read too, from before that moment up to the window's own
marks: whose key is met there, by a change or by a row that somebody read, is read from the table now. It is remembered
in a filter that can take a key for another: that costs a read, and no row.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from pipeline.coordination.persist import persist
from pipeline.delivery.reader import Place, ShardReader
from pipeline.model.capacity import GET_ITEMS_MAX, units_of_get
from pipeline.model.change import Change, ChangeKind
from pipeline.model.gap import SURELY_KEPT_MS
from pipeline.model.snapshot import CHUNK_ROWS_MAX, OPENS, is_of_export, is_row
from pipeline.ports import Chance, Clock, ItemStore, Log, ObjectStore, Rows

POLL_SECONDS = 0.5
FILTER_BITS = 1 << 29
"""64 MB: of ten million keys met, three in a hundred thousand others are read though nothing happened to them."""
FILTER_HASHES = 4

Answer = TypeVar("Answer")


class KeyFilter:
    """A Bloom filter of keys, of a size that is fixed: yes may be wrong, no never is."""

    def __init__(self, bits: int = FILTER_BITS) -> None:
        self._bits = bits
        self._bytes = bytearray(bits // 8)

    def add(self, keys: bytes) -> None:
        """Remember a key."""
        for place in self._places(keys):
            self._bytes[place >> 3] |= 1 << (place & 7)

    def __contains__(self, keys: bytes) -> bool:
        """Return True for every key that was added, and by chance for another."""
        return all(self._bytes[place >> 3] >> (place & 7) & 1 for place in self._places(keys))

    def _places(self, keys: bytes) -> list[int]:
        digest = hashlib.blake2b(keys, digest_size=8 * FILTER_HASHES).digest()
        return [int.from_bytes(digest[at : at + 8]) % self._bits for at in range(0, len(digest), 8)]


class SinceExport:
    """What the Kinesis stream has of a table since an export of it.

    `lanes` is how many there are; what was changed before `since_ms` is in the export, by whoever's clock. The table's
    stream must have been on by then, and less time have passed than both streams keep a record: the caller looks.
    """

    def __init__(
        self,
        log: Log,
        claims: ObjectStore | None,
        items: ItemStore,
        table: str,
        lanes: int,
        since_ms: int,
        clock: Clock,
        chance: Chance,
        *,
        met: KeyFilter | None = None,
        sure_ms: int = SURELY_KEPT_MS,
    ) -> None:
        self._log = log
        self._claims = claims
        self._items = items
        self._table = table
        self._lanes = lanes
        self._since_ms = since_ms
        self._clock = clock
        self._chance = chance
        self._met = met or KeyFilter()
        self._sure_ms = sure_ms
        self._turn = asyncio.Lock()
        self._open: dict[str, ShardReader] = {}
        self._ended: dict[str, int] = {}
        """Shards read to their end, each with the time up to which that was: nothing of a child is older."""
        self._look_for_shards = True
        self._opened: dict[tuple[str, int], int] = {}
        """The last chunk whose window was met, by source shard and lane."""

    async def catch_up(self) -> None:
        """Read what the stream has by now, which may take long: windows are opened after it, so that few touch them."""
        async with self._turn:
            while await self._step():
                pass

    async def current(self, source: str, chunk: int, rows: Rows) -> tuple[Rows, float]:
        """Return rows as they may be sent into the window of a chunk, which is open; and the read units it took.

        Raises Gap when the stream does not tell any more what has changed since the export.
        """
        async with self._turn:
            while not all(self._opened.get((source, lane), 0) >= chunk for lane in range(self._lanes)):
                if not await self._step():
                    await self._clock.sleep(POLL_SECONDS)
        touched = [keys for keys, _ in rows if keys in self._met]
        stored: dict[bytes, bytes] = {}
        for start in range(0, len(touched), GET_ITEMS_MAX):
            some = touched[start : start + GET_ITEMS_MAX]
            stored |= await self._persist(partial(self._items.get, self._table, some))
        units = units_of_get(len(touched), stored.values())
        anew = set(touched)
        return [(keys, stored.get(keys) if keys in anew else image) for keys, image in rows], float(units)

    async def _step(self) -> bool:
        """Read one page of each shard whose parents were read; return whether there was anything."""
        if self._look_for_shards:
            await self._begin_shards()
        # With exceptions returned all reads are over here: none goes on beside the next step.
        found = await asyncio.gather(*map(self._read, list(self._open)), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return any(found) or self._look_for_shards

    async def _begin_shards(self) -> None:
        """Begin with the shards that follow none, or only such as were read to their end."""
        listed = await self._persist(self._log.shards)
        self._look_for_shards = False
        names = {shard.id for shard in listed}
        for shard in listed:
            waits = [parent for parent in shard.parents if parent in names and parent not in self._ended]
            if shard.id not in self._ended and shard.id not in self._open and not waits:
                through_ms = [self._ended[parent] for parent in shard.parents if parent in self._ended]
                place = Place(None, max(self._since_ms, min(through_ms, default=0)))
                self._open[shard.id] = ShardReader(
                    self._log, self._claims, shard.id, place, lambda: None, self._sure_ms
                )

    async def _read(self, shard: str) -> bool:
        """Read one page; nothing is awaited between its reading and its being noted, so that an end loses none."""
        reader = self._open[shard]
        page = await self._persist(reader.read)
        for record in page.records:
            for change in record.changes:
                if change.table == self._table:
                    self._note(change, record.lane, record.arrival_ms)
        if page.ended:
            del self._open[shard]
            self._ended[shard] = reader.place.through_ms
            self._look_for_shards = True
        return bool(page.records)

    def _note(self, change: Change, lane: int, arrival_ms: int) -> None:
        if is_row(change) and change.event_id:
            if change.event_id == OPENS:
                chunk = change.sequence // (CHUNK_ROWS_MAX + 1)
                self._opened[change.shard, lane] = max(chunk, self._opened.get((change.shard, lane), 0))
        elif change.kind is ChangeKind.GAP or is_of_export(change):
            return  # rows of an export, this one or a later, tell of nothing that a change does not
        elif (arrival_ms if is_row(change) else change.time_ms) >= self._since_ms:
            self._met.add(change.keys)

    async def _persist(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        return await persist(call, self._clock, self._chance, retried=lambda *_: None)
