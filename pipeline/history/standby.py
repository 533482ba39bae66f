"""A warm standby: a table that follows an archive, round by round, from the archive alone.

Each round reads the segments that have come, and once more those that came while the round before was reading. Wherever
two changes of an item lie, the older one was stored before the newer one; so when a round has met the newer and not the
older, the next one meets both, and the newer wins. Every write is in a transaction that moves the standby's position
row: of two that follow into one table, one finds the row moved and ends.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pipeline.coordination.persist import persist
from pipeline.history.archive import names_behind, segments, shard_of
from pipeline.history.base import Base, base_at, origin
from pipeline.history.keys import Scope
from pipeline.history.restore import refused
from pipeline.history.trace import FOREVER_MS, NOW
from pipeline.history.traces import Traces
from pipeline.model.errors import LeaseLost, Misconfigured, Rejected, RetryLater
from pipeline.ports import Chance, Clock, ItemStore, ItemWrite, ObjectStore
from pipeline.wire import segment, standby
from pipeline.wire.packed import Link
from pipeline.wire.segment import Segment
from pipeline.wire.standby import Place

WRITES_MAX = 98
"""Items in a transaction: DynamoDB takes 100 actions, and two are the standby's own."""
WRITE_BYTES_MAX = 3_000_000
FRESH_MAX = 500_000
"""Items remembered as changed in a round; when there are more, those of the round before are written again too."""


@dataclass(slots=True)
class Round:
    """What one round did."""

    segments: int = 0
    """New ones."""
    put: int = 0
    deleted: int = 0
    incomplete: int = 0
    """Items left as they are, because a change of theirs is in quarantine."""
    last_ms: int = 0
    """Creation time of the newest change; 0 when nothing was new."""


class Standby:
    """One standby table. `open` first, then `round` again and again."""

    def __init__(
        self,
        objects: ObjectStore,
        archive: str,
        source: str,
        items: ItemStore,
        table: str,
        positions_table: str,
        clock: Clock,
        chance: Chance,
        waits: Callable[[RetryLater, int], None],
    ) -> None:
        self._objects = objects
        self._items = items
        self._table = table
        self._positions_table = positions_table
        self._row = f"standby/{table}"
        self._clock = clock
        self._chance = chance
        self._waits = waits
        self._position = 0
        self._place = Place(archive, source, {}, None)

    async def open(self) -> None:
        """Find how far the standby is. Raises Misconfigured for a table that is not one of this archive's."""
        self._position = await self._items.position(self._positions_table, self._row)
        keys = standby.keys_of(self._row)
        found = (await self._items.get(self._positions_table, [keys])).get(keys)
        if found is None:
            await self._begin()
            return
        known = standby.decode(self._row, found)
        if (known.archive, known.table) != (self._place.archive, self._place.table):
            raise Misconfigured(
                f"table {self._table} is a standby of table {known.table} from {known.archive}, not of table"
                f" {self._place.table} from {self._place.archive}",
                hint="give the name of another table",
            )
        self._place = known

    async def round(self, aside: ObjectStore) -> Round:
        """Bring the standby up to what the archive has now; return what was done.

        Raises LeaseLost when another process follows into the table, Corrupt when the archive is not whole, and
        Misconfigured when what the standby lacks was pruned, or its table refuses an item.
        """
        base, starts = await self._beginning(aside)
        traces = Traces(
            Scope(self._place.table), (), aside, base=base.traces if base else None, folder=f"{self._position}/"
        )
        known = await self._last_names(starts)
        done, reached, overlap = Round(), dict(self._place.reached or starts), dict(starts)
        fresh = set[bytes]() if self._place.reached is not None else None
        async for each in segments(self._objects, starts):
            await traces.add(each.batch)
            shard = f"{each.header.stream}/{each.header.shard}"
            link = Link(each.header.last, _name(each), each.seal)
            if link.name <= known.get(shard, ""):
                overlap[shard] = link
            if link.last > reached.get(shard, _NOTHING).last:
                reached[shard] = link
                fresh = self._note(done, fresh, each)
        if done.segments or self._place.reached is None:
            await self._write(traces, fresh, done, self._place._replace(overlap=overlap, reached=reached))
        return done

    async def _begin(self) -> None:
        """Claim an empty table."""
        if self._position:
            raise Misconfigured(
                f"the row {self._row} is there, and does not tell how far the standby is", hint="give another table"
            )
        async for _ in self._items.scan(self._table):
            raise Misconfigured(
                f"table {self._table} holds items, and is no standby",
                hint="give the name of a table that does not exist",
            )
        await self._transact([], self._place)

    async def _beginning(self, aside: ObjectStore) -> tuple[Base | None, Mapping[str, Link]]:
        """Return the snapshot to fill the standby from, the first time; and where to read on."""
        reached = self._place.reached
        if reached is None:
            base = await base_at(self._objects, aside, FOREVER_MS)
            return base, base.starts if base else {}
        began = await origin(self._objects, aside)
        pruned = began.starts if began else {}
        for shard, link in pruned.items():
            if link.last > reached.get(shard, _NOTHING).last:
                raise Misconfigured(
                    f"what the standby {self._table} lacks of shard {shard} was pruned", hint="follow into a new table"
                )
        starts = dict(self._place.overlap)
        for shard, link in pruned.items():
            starts[shard] = max(starts.get(shard, _NOTHING), link)
        return None, starts

    async def _last_names(self, starts: Mapping[str, Link]) -> dict[str, str]:
        """Return the last segment of each shard that was there before the round began to read.

        Whatever is before one of these was there too: only what comes while a round reads is read once more.
        """
        return {shard_of(name): name async for name in names_behind(self._objects, starts)}

    def _note(self, done: Round, fresh: set[bytes] | None, each: Segment) -> set[bytes] | None:
        done.segments += 1
        done.last_ms = max(done.last_ms, *(c.time_ms for c in each.batch.changes), 0)
        if fresh is None:
            return None
        fresh.update(c.keys for c in each.batch.changes if c.table == self._place.table)
        return fresh if len(fresh) <= FRESH_MAX else None

    async def _write(self, traces: Traces, fresh: set[bytes] | None, done: Round, place: Place) -> None:
        """Write every item that is another, and with the last of them how far the standby is."""
        waiting: list[ItemWrite] = []
        size = 0
        async for write in self._writes(traces, fresh, done):
            if len(waiting) == WRITES_MAX or size + len(write.item or b"") > WRITE_BYTES_MAX:
                await self._transact(waiting, None)
                waiting, size = [], 0
            waiting.append(write)
            size += len(write.item or b"")
        await self._transact(waiting, place)

    async def _writes(self, traces: Traces, fresh: set[bytes] | None, done: Round) -> AsyncIterator[ItemWrite]:
        async for trace in traces.each():
            if fresh is not None and trace.keys not in fresh:
                continue
            if trace.incomplete:
                done.incomplete += 1
                continue
            image = trace.state(NOW)
            done.put += image is not None
            done.deleted += image is None
            yield ItemWrite(self._table, trace.keys, image)

    async def _transact(self, writes: list[ItemWrite], place: Place | None) -> None:
        """Write, and move the position row; with `place`, that too."""
        ours = [] if place is None else [self._place_write(place)]
        old = self._position
        call = partial(self._items.transact, [*writes, *ours], self._positions_table, self._row, old, old + 1)
        try:
            moved = await persist(call, self._clock, self._chance, retried=self._waits)
        except Rejected as error:
            raise refused(self._table, error, writes) from error
        if not moved:
            raise LeaseLost(
                f"somebody else follows into table {self._table}", hint="end that process, then run this again"
            )
        self._position += 1
        if place is not None:
            self._place = place

    def _place_write(self, place: Place) -> ItemWrite:
        keys = standby.keys_of(self._row)
        return ItemWrite(self._positions_table, keys, standby.encode(self._row, place))


_NOTHING = Link(0, "", "")


def _name(each: Segment) -> str:
    return segment.KIND.name(each.header.stream, each.header.shard, each.header.first)
