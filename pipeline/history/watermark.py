"""Up to which second every change is in the archive: found by asking the source and the stream what is still unread.

The archive alone cannot tell an idle shard from one that is behind. So the way is looked at from its beginning: first,
what each shard of the tables' streams has that the capture's checkpoint does not cover; then, what each Kinesis shard
has that the archive's checkpoint does not cover. A change that is in neither is in the archive, because every
checkpoint is behind its effect; one that moved on between the two looks was seen in the first.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.model.errors import Corrupt, Gap
from pipeline.model.progress import Checkpoint
from pipeline.model.shard import Shard
from pipeline.ports import Clock, Log, ObjectStore, TableStream
from pipeline.wire.record import decode

SETTLING_SECONDS = 5
"""How long the stream may take to show a change after its creation second, the difference of two clocks included."""
EMPTY_PAGES_MIN = 3
"""Pages of an open shard in a row that are empty before it counts as read to its end: AWS gives no other sign."""
EMPTY_PAUSE_SECONDS = 0.2
PAGES_MAX = 200
"""Pages read of one Kinesis shard to find the oldest change that is not archived; behind that, no bound is known."""


class Bound(NamedTuple):
    """A place that has changes the archive lacks: what was created before `time_ms` is not among them."""

    place: str
    time_ms: int
    why: str


class Watermark(NamedTuple):
    """Every change created before `time_ms`, which is a whole second, is in the archive."""

    time_ms: int
    bounds: tuple[Bound, ...]
    """What holds it back, lowest first; empty when only the clock does."""


def watermark(asked_ms: int, bounds: list[Bound]) -> Watermark:
    """Return the watermark from what was found unread after the moment `asked_ms`."""
    ceiling = asked_ms - SETTLING_SECONDS * 1000
    held = sorted((bound for bound in bounds if bound.time_ms <= ceiling), key=lambda bound: bound.time_ms)
    time_ms = min([ceiling, *(bound.time_ms for bound in held)])
    return Watermark(max(0, time_ms // 1000 * 1000), tuple(held))


async def uncaptured(stream: TableStream, captured: Mapping[str, Checkpoint], clock: Clock) -> list[Bound]:
    """Return a bound for each shard of a table's stream that has something the capture has not passed on.

    `captured` has the capture's checkpoints by shard, read before. Raises Gap when the stream is gone.
    """
    shards = await stream.shards()
    parents = {parent for shard in shards for parent in shard.parents}
    found = [await _of_source(stream, shard, captured.get(shard.id), parents, clock) for shard in shards]
    return [bound for bound in found if bound is not None]


async def _of_source(
    stream: TableStream, shard: Shard, checkpoint: Checkpoint | None, parents: set[str], clock: Clock
) -> Bound | None:
    place = f"table {stream.table}, shard {shard.id}"
    settled = checkpoint or Checkpoint()
    if settled.ended:
        if shard.id in parents:
            return None
        return Bound(place, settled.time_ms, "it has ended, and no shard that continues it is listed")
    try:
        iterator: str | None = await stream.iterator(shard.id, settled.sequence)
        empty = 0
        while iterator is not None and empty < EMPTY_PAGES_MIN:
            page = await stream.read(shard.id, iterator)
            if page.changes:
                oldest = min(change.time_ms for change in page.changes)
                return Bound(place, oldest, "its changes from then on are not captured")
            empty, iterator = empty + 1, page.next
            await clock.sleep(EMPTY_PAUSE_SECONDS)
    except Gap:
        return Bound(place, settled.time_ms, "what came after the capture's checkpoint was trimmed")
    if iterator is None and shard.id not in parents:
        return Bound(place, settled.time_ms, "it has ended, and no shard that continues it is listed")
    return None


async def unarchived(
    log: Log, claims: ObjectStore | None, archived: Mapping[str, Checkpoint], asked_ms: int
) -> list[Bound]:
    """Return a bound for each Kinesis shard that has something the archive's checkpoint does not cover.

    `archived` has the archive's checkpoints by shard. Reads on from each to where the shard's tip was at `asked_ms`.
    """
    until_ms = asked_ms + SETTLING_SECONDS * 1000
    found = [await _of_log(log, claims, shard.id, archived.get(shard.id), until_ms) for shard in await log.shards()]
    return [bound for bound in found if bound is not None]


async def _of_log(
    log: Log, claims: ObjectStore | None, shard: str, checkpoint: Checkpoint | None, until_ms: int
) -> Bound | None:
    settled = checkpoint or Checkpoint()
    if settled.ended:
        return None
    place = f"stream {log.name}, shard {shard}"
    if settled.parked:
        oldest = min(key.time_ms for key in settled.parked.values())
        return Bound(place, oldest, "changes from then on wait in the archive's quarantine: redrive them")
    times: list[int] = []
    try:
        iterator: str | None = await log.iterator(shard, settled.sequence)
        for _ in range(PAGES_MAX):
            if iterator is None:
                break
            page = await log.read(iterator)
            times += [change.time_ms for each in page.records for change in (await decode(each, claims)).changes]
            iterator = page.next
            if page.records[-1].arrival_ms > until_ms if page.records else not page.behind_ms:
                break
        else:
            return Bound(place, 0, f"more than {PAGES_MAX} pages of it are not archived yet")
    except Gap:
        return Bound(place, 0, "what came after the archive's checkpoint is gone from the stream")
    except Corrupt as error:
        return Bound(place, 0, error.reason)
    return Bound(place, min(times), "its changes from then on are not archived") if times else None
