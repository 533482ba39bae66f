"""A drill: a restore at a random second, compared with what the segments alone say, read in the plainest way."""

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from pipeline.history.archive import segments
from pipeline.history.base import Base, starts_of
from pipeline.history.keys import Scope
from pipeline.history.trace import NOW, Trace, equal
from pipeline.history.traces import Traces
from pipeline.model.change import ChangeKind
from pipeline.model.point import Order, Place
from pipeline.ports import Chance, ObjectStore

CHUNK_ITEMS = 50_000
"""Items that are derived in one pass over the segments: all their changes are in memory."""
SECOND_MS = 1000


class Restored(NamedTuple):
    """One item as a restore gives it."""

    image: bytes | None
    unchanged: bool
    """True when nothing has happened to it since, so that the live table must have it like this."""
    incomplete: bool


def second_of(first_ms: int, last_ms: int, chance: Chance) -> int:
    """Return the end of a random second from that of `first_ms` to that before `last_ms`."""
    first, seconds = first_ms // SECOND_MS, max(1, last_ms // SECOND_MS - first_ms // SECOND_MS)
    return (first + int(chance.fraction() * seconds) + 1) * SECOND_MS


async def sampled(
    traces: Traces, items_max: int | None, seed: str, write: Callable[[bytes], object]
) -> dict[bytes, Restored]:
    """Read all traces, `write` every item there was, and return some of all items, or with None all of them.

    Which ones is decided by the seed and their keys, not by their order.
    """
    heap: list[tuple[bytes, bytes, Restored]] = []
    async for trace in traces.each():
        restored = _restored(trace)
        if restored.image is not None:
            write(restored.image)
        rank = hashlib.blake2b(trace.keys, key=seed.encode()[:64], digest_size=8).digest()
        entry = (bytes(255 - byte for byte in rank), trace.keys, restored)
        if items_max is None or len(heap) < items_max:
            heappush(heap, entry)
        else:
            heappushpop(heap, entry)
    return {keys: restored for _, keys, restored in heap}


def _restored(trace: Trace) -> Restored:
    return Restored(trace.state(0), not trace.changed_between(0, NOW), trace.incomplete)


@dataclass(slots=True)
class _Story:
    """All that the segments say of one item."""

    changes: list[tuple[Order, Place, int, bytes | None, bytes | None]] = field(default_factory=list)
    rows: list[tuple[Place, int, bytes | None]] = field(default_factory=list)
    waits: dict[Order, Place] = field(default_factory=dict)

    def as_it_was(self, at_ms: int) -> bytes | None:
        """Return the item as it was before a moment, by the plainest reading of the rules."""
        changes = sorted(self.changes, key=itemgetter(0, 1))
        before = [change for change in changes if change[2] < at_ms]
        rows = sorted((row for row in self.rows if row[1] < at_ms), key=itemgetter(0))
        if before:
            order = before[-1][0]
            place = self.waits.get(order, min(change[1] for change in before if change[0] == order))
            return rows[-1][2] if rows and rows[-1][0] > place else before[-1][4]
        if rows:
            return rows[-1][2]
        if changes:
            return changes[0][3]
        return min(self.rows, key=itemgetter(0))[2] if self.rows else None


async def derived(
    objects: ObjectStore, table: str, at_ms: int, keys: Collection[bytes], began: Base | None
) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """Yield what items were before a moment, from the segments alone, or from where the archive was pruned.

    Reads the archive once for every CHUNK_ITEMS items.
    """
    for some in _chunks(sorted(keys)):
        stories = {each: _Story() for each in some}
        if began is not None:
            await _begin(stories, began, table)
        async for each in segments(objects, starts_of(began)):
            shard = f"{each.header.stream}/{each.header.shard}"
            for parked in each.batch.parked:
                if parked.table == table and parked.keys in stories:
                    stories[parked.keys].waits[parked.epoch, parked.sequence] = (shard, parked.position)
            for position, change in each.batch:
                if change.table != table or change.keys not in stories or change.kind is ChangeKind.GAP:
                    continue
                story, place = stories[change.keys], (shard, position)
                if change.kind is ChangeKind.SNAPSHOT:
                    story.rows.append((place, change.time_ms, change.after))
                else:
                    order = (change.epoch, change.sequence)
                    story.changes.append((order, place, change.time_ms, change.before, change.after))
        for each_keys, story in stories.items():
            yield each_keys, story.as_it_was(at_ms)


async def _begin(stories: dict[bytes, _Story], began: Base, table: str) -> None:
    async for item in began.items(Scope(table, keys=stories.keys())):
        story = stories[item.keys]
        if item.point is not None:
            story.changes.append((item.point.order, item.point.place, item.point.time_ms, None, item.point.image))
        if item.row is not None:
            story.rows.append((item.row.place, item.row.time_ms, item.row.image))
        story.waits |= dict(item.waits)


async def differing(
    objects: ObjectStore, table: str, at_ms: int, sample: dict[bytes, Restored], began: Base | None
) -> list[bytes]:
    """Return the keys of items that the restore gave otherwise than the segments say."""
    found = derived(objects, table, at_ms, sample.keys(), began)
    return [keys async for keys, image in found if not equal(image, sample[keys].image)]


def _chunks(keys: Sequence[bytes]) -> Iterator[list[bytes]]:
    left = iter(keys)
    while some := list(islice(left, CHUNK_ITEMS)):
        yield some
