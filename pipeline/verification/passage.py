"""How far a topology is with a table's changes: whether all that were made before a moment are settled, and which came.

What is asked here is asked of the places where changes wait: the table's stream, behind the capture's checkpoint, and
the Kinesis stream, behind the topology's. A change that waits in neither is settled, because every checkpoint is behind
its effect; one that moved on between the two looks was seen in the first.
"""

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

from pipeline.coordination.checkpoints import read_many
from pipeline.coordination.persist import persist
from pipeline.model.change import Change
from pipeline.model.errors import Gap, IteratorExpired
from pipeline.model.progress import Checkpoint
from pipeline.model.snapshot import is_row
from pipeline.model.state import Flow
from pipeline.ports import Chance, Clock, Log, LogPage, LogRecord, ObjectStore, StateStore
from pipeline.wire.record import decode

SETTLING_SECONDS = 5
"""How long a stream may take to show a change after its creation second, the difference of two clocks included."""
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 300.0
"""How long a topology may take to settle what was made before a moment, before the items count as undecided."""
HALTED_SECONDS = 45.0
"""How long a halted topology is waited for: longer than it rests (`HALT_SECONDS`) before it tries again."""
TELL_SECONDS = 10.0
"""How often it is told what is waited for."""
PAGES_MAX = 500
"""Pages read of one Kinesis shard at a time."""

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

Places = Mapping[str, Checkpoint]
"""A topology's checkpoints by Kinesis shard."""


class Standing(NamedTuple):
    """How a topology stands on a shard."""

    state: str
    """In the words of `fanout status`."""
    reason: str = ""


WORKS = Standing("working")


class Held(NamedTuple):
    """What keeps changes from being settled."""

    why: str
    halted: bool = False


class Came(NamedTuple):
    """A change of an item that came to the topology."""

    order: tuple[str, int]
    settled: bool
    """True when it was settled before the copy was looked at."""
    is_row: bool
    image: bytes | None
    """The item after it, as the source had it."""


class Span(NamedTuple):
    """Three looks at a topology's checkpoints, one after the other."""

    since: Places
    settled: Places
    until: Places


class Passage:
    """The way of a table's changes to one topology."""

    def __init__(
        self,
        log: Log,
        claims: ObjectStore | None,
        store: StateStore,
        clock: Clock,
        chance: Chance,
        *,
        key: Callable[[str], str],
        uncaptured: Callable[[], Awaitable[tuple[int, str] | None]],
        standing: Callable[[str], Awaitable[Standing]] | None = None,
    ) -> None:
        """Take the topology's checkpoint key by shard, and the time and reason of the oldest change not captured.

        `standing` says how the topology stands on a shard; without it that is not known.
        """
        self._log = log
        self._claims = claims
        self._store = store
        self._clock = clock
        self._chance = chance
        self._key = key
        self._uncaptured = uncaptured
        self._standing = standing
        self._patience_seconds = PATIENCE_SECONDS

    async def here(self) -> Places:
        """Return where the topology is."""
        keys = {shard.id: self._key(shard.id) for shard in await self._persist(self._log.shards)}
        stored = await self._persist(lambda: read_many(self._store, list(keys.values())))
        return {shard: stored[key] for shard, key in keys.items() if key in stored}

    async def wait(self, moment_ms: int) -> str:
        """Return "" once every change made before a moment is settled; what holds it back after PATIENCE_SECONDS.

        For a topology that is halted, HALTED_SECONDS are enough. What is parked in quarantine counts as settled. After
        it was waited for in vain, the next wait is one look.
        """
        tell_at = self._clock.monotonic() + TELL_SECONDS
        until, halted_until = self._clock.monotonic() + self._patience_seconds, math.inf
        limit_ms = moment_ms + SETTLING_SECONDS * 1000
        await self._clock.sleep(max(0.0, (limit_ms - self._clock.now_ms()) / 1000))
        while held := await self._held(limit_ms):
            now = self._clock.monotonic()
            halted_until = min(halted_until, now + HALTED_SECONDS) if held.halted else math.inf
            if now > min(until, halted_until):
                self._patience_seconds = 0.0
                return held.why
            if now >= tell_at:
                logger.info("waits, for at most %.0f s more: %s", min(until, halted_until) - now, held.why)
                tell_at = now + TELL_SECONDS
            await self._clock.sleep(POLL_SECONDS)
        self._patience_seconds = PATIENCE_SECONDS
        return ""

    async def came(self, table: str, keys: Collection[bytes], span: Span) -> dict[bytes, list[Came]]:
        """Return, by key, the changes of some items between the first and the last look.

        Raises Gap, IteratorExpired or Corrupt when the stream does not tell.
        """
        found: dict[bytes, list[Came]] = {}
        for shard in await self._persist(self._log.shards):
            start, end = span.since.get(shard.id, Checkpoint()), span.until.get(shard.id)
            if start.ended or end is None or end.sequence is None or end.sequence == start.sequence:
                continue
            settled = span.settled.get(shard.id, Checkpoint())
            async for record in self._records(shard.id, start.sequence, end.sequence):
                before = settled.ended or record.sequence <= (settled.sequence or -1)
                for change in await self._changes(record):
                    if change.table == table and change.keys in keys:
                        order = (change.epoch, change.sequence)
                        came = Came(order, before, is_row(change), change.after)
                        found.setdefault(change.keys, []).append(came)
        return found

    async def _held(self, limit_ms: int) -> Held | None:
        """Return what was created up to a moment and is not settled, None when nothing is.

        What a halted topology holds is named before what is only on its way.
        """
        unread = await self._persist(self._uncaptured)
        if unread is not None and unread[0] <= limit_ms:
            return Held(unread[1])
        places, found = await self.here(), None
        for shard in await self._persist(self._log.shards):
            place = places.get(shard.id, Checkpoint())
            try:
                if not place.ended and (why := await self._held_in(shard.id, place.sequence, limit_ms)):
                    held = await self._with_standing(shard.id, why)
                    if held.halted:
                        return held
                    found = found or held
            except (Gap, IteratorExpired) as error:
                return Held(error.reason)
        return found

    async def _with_standing(self, shard: str, why: str) -> Held:
        standing = WORKS if self._standing is None else await self._persist(partial(self._standing, shard))
        if standing.state == WORKS.state:
            return Held(why)
        reason = f" ({standing.reason})" if standing.reason else ""
        return Held(f"{why}; the topology there: {standing.state}{reason}", standing.state.endswith(Flow.HALTED))

    async def _held_in(self, shard: str, after: int | None, limit_ms: int) -> str:
        iterator: str | None = await self._persist(partial(self._log.iterator, shard, after))
        for _ in range(PAGES_MAX):
            if iterator is None:
                return ""
            page: LogPage = await self._persist(partial(self._log.read, iterator))
            for record in page.records:
                if min(change.time_ms for change in await self._changes(record)) <= limit_ms:
                    return f"shard {shard} of stream {self._log.name} has changes that are not settled"
            if not page.records and not page.behind_ms:
                return ""
            iterator = page.next
        return f"shard {shard} of stream {self._log.name} has more than {PAGES_MAX} pages that are not settled"

    async def _records(self, shard: str, after: int | None, last: int) -> AsyncIterator[LogRecord]:
        """Yield a shard's records between two places."""
        iterator: str | None = await self._persist(partial(self._log.iterator, shard, after))
        for _ in range(PAGES_MAX):
            if iterator is None:
                return
            page: LogPage = await self._persist(partial(self._log.read, iterator))
            for record in page.records:
                if record.sequence <= last:
                    yield record
            if page.records and page.records[-1].sequence >= last:
                return
            iterator = page.next
        raise Gap(f"shard {shard} of stream {self._log.name} has too much to be read while an item is judged")

    async def _changes(self, record: LogRecord) -> tuple[Change, ...]:
        return (await self._persist(lambda: decode(record, self._claims))).changes

    async def _persist(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        return await persist(call, self._clock, self._chance, retried=lambda *_: None)
