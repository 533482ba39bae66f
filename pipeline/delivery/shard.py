"""One leased Kinesis shard: read once into a ring, followed by a cursor for each topology."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from pipeline.coordination.gaps import Gaps, accept_hint
from pipeline.coordination.persist import HALT_SECONDS, persist, rest
from pipeline.delivery.beginning import Beginnings
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.follower import Follower
from pipeline.delivery.passage import Passage
from pipeline.delivery.reader import Page, Place, ShardReader, Trimmed
from pipeline.delivery.ring import Ring
from pipeline.model.change import Batch
from pipeline.model.errors import Gap, LeaseLost, PipelineError, RetryLater
from pipeline.model.gap import GapRecord
from pipeline.model.progress import Quarantined, quarantined
from pipeline.model.retention import Retention, RetentionState, retention
from pipeline.model.shard import Shard
from pipeline.model.state import Flow, Report
from pipeline.ports import Chance, Clock, Log, ObjectStore, StateStore

IDLE_SECONDS_MIN = 0.2
"""GetRecords may be called five times a second on a shard."""
IDLE_SECONDS_MAX = 1.0
ROOM_SECONDS = 0.05
PARENT_SECONDS = 0.5
ADRIFT_SECONDS = 0.5
"""How soon a cursor that is off the ring is noticed: looking oftener costs every shard and topology CPU for nothing."""

logger = logging.getLogger(__name__)


class ShardDelivery:
    """Reads the shard, keeps its cursors fed, and saves their checkpoints.

    A runtime (the Faust worker, or a simulator) calls `take`, has the batch written, then calls `settle`.
    """

    def __init__(
        self,
        log: Log,
        claims: ObjectStore | None,
        store: StateStore,
        clock: Clock,
        chance: Chance,
        shard: Shard,
        followers: Mapping[str, Follower],
        parent_key: Callable[[str, str], str],
        gaps: Gaps,
        *,
        ring_bytes_max: int,
        checkpoint_seconds: float,
        sure_ms: int,
    ) -> None:
        self.shard = shard
        self.followers = followers
        self.report = Report(moved_at=clock.monotonic())
        self._log = log
        self._claims = claims
        self._clock = clock
        self._chance = chance
        self._beginnings = Beginnings(log, store, clock, shard, parent_key)
        self._passage = Passage(gaps, log.name, shard.id, sure_ms)
        self._sure_ms = sure_ms
        self._checkpoint_seconds = checkpoint_seconds
        self._ring = Ring(ring_bytes_max)
        self._lost = False

    @property
    def moved_at(self) -> float:
        """Return the monotonic time of the last sign of life of the reading."""
        return self.report.moved_at

    @property
    def reports(self) -> Mapping[str, Report]:
        """Return how it goes by topology; the reading has no name."""
        return {"": self.report, **{name: each.cursor.report for name, each in self.followers.items()}}

    @property
    def ended(self) -> bool:
        """Return True when every topology has settled the whole shard and that is saved."""
        return all(follower.slot.saved.ended for follower in self.followers.values())

    def take(self, topology: str) -> Batch | None:
        """Return the topology's next batch, None when there is none yet. Never waits."""
        follower = self.followers[topology]
        if not follower.started or self._lost:
            return None
        now, cursor = self._clock.monotonic(), follower.cursor
        cursor.follow(self._ring, now)
        batch = None if follower.leaping else cursor.take(now)
        cursor.report.lag_seconds = cursor.lag_seconds(self._clock.now_ms())
        saved = follower.slot.saved
        if batch is None or batch.asked_by or saved.part != cursor.settled.part:
            return batch
        return replace(batch, saved=saved.position)

    def settle(self, topology: str, batch: Batch) -> None:
        """Note that a batch is durable at the topology's sink; the next save stores it."""
        self.followers[topology].cursor.settle(batch)

    def quarantined(self, topology: str) -> Quarantined:
        """Return how much of the topology waits in quarantine, of a shard that has not ended."""
        settled = self.followers[topology].cursor.settled
        return quarantined([] if settled.ended else settled.parked.values(), self._clock.now_ms())

    def retention(self, topology: str, kept_ms: int) -> Retention:
        """Return what is left until the topology's oldest record that is not settled is trimmed."""
        follower = self.followers[topology]
        through_ms = follower.cursor.settled_through_ms if follower.started else 0
        if follower.cursor.ended:
            return Retention(None, RetentionState.UNKNOWN)
        return retention(through_ms, kept_ms, self._clock.now_ms())

    async def save(self, topology: str) -> None:
        """Store the topology's settled progress if there is any. Raises LeaseLost or RetryLater."""
        await self.followers[topology].save()

    async def leave(self, topology: str) -> None:
        """Save as above, and that this owner ends in order. Raises LeaseLost or RetryLater."""
        await self.followers[topology].leave()

    async def run(self) -> None:
        """Work until every topology has ended here, or the lease is lost."""
        tasks = [asyncio.ensure_future(self._follow(name)) for name in self.followers]
        tasks += [asyncio.ensure_future(each.redrive.run()) for each in self.followers.values() if each.redrive]
        tasks += [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._save())]
        try:
            await asyncio.gather(*tasks)
        except LeaseLost as error:
            self._lost = True
            logger.warning("delivery of %s: %s", self.shard.id, error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _save(self) -> None:
        while not self.ended:
            await self._clock.sleep(self._checkpoint_seconds)
            for name in self.followers:
                try:
                    await self.save(name)
                except RetryLater as error:
                    logger.warning("checkpoint of %s on %s waits: %s", name, self.shard.id, error)

    async def _read(self) -> None:
        """Read the ring for those that follow it."""
        reader: ShardReader | None = None
        idle_seconds = IDLE_SECONDS_MIN
        while not self.ended:
            self.report.moved_at = self._clock.monotonic()
            if not self._followed():
                reader = self._restart()
            if reader is None or not self._has_room():
                await self._clock.sleep(ROOM_SECONDS)
                continue
            page = await self._page(reader)
            if isinstance(page, Trimmed):
                self._tear(page)
            elif page is not None:
                self._ring.append(page)
                idle_seconds = IDLE_SECONDS_MIN if page.records else min(2 * idle_seconds, IDLE_SECONDS_MAX)
                await self._clock.sleep(idle_seconds)

    def _followed(self) -> list[Cursor]:
        return [f.cursor for f in self.followers.values() if f.reading and f.cursor.index is not None]

    def _restart(self) -> ShardReader | None:
        """Begin the ring again at the cursor that is furthest on; the others catch up by themselves."""
        reading = [follower.cursor for follower in self.followers.values() if follower.reading]
        if not reading:
            return None
        place = max((cursor.place for cursor in reading if cursor.place is not None), default=None)
        self._ring.restart(place)
        foremost = [cursor for cursor in reading if cursor.place == place]
        for cursor in foremost:
            cursor.index = self._ring.next
        return self._reader(max(foremost, key=lambda cursor: cursor.through_ms))

    def _tear(self, error: Trimmed) -> None:
        """Let those that have taken all of the ring stand before the gap that follows; the others come to it."""
        self._ring.torn = True
        for name, follower in self.followers.items():
            if follower.reading and follower.cursor.index == self._ring.next:
                follower.leave_at(self._passage.behind(follower.cursor, name, error))

    def _has_room(self) -> bool:
        """Return True when the next page would displace nothing, or only what the foremost cursor has done with."""
        followed = self._followed()
        self._ring.forget_before(min(cursor.index or 0 for cursor in followed))
        at_tip = any(cursor.index == self._ring.next and cursor.hungry for cursor in followed)
        return not self._ring.ended and (at_tip or not (self._ring.full or self._ring.torn))

    async def _page(self, reader: ShardReader) -> Page | Trimmed | None:
        """Read a page, however often that must be tried; None after a pause when it needs a person."""
        try:
            page = await persist(reader.read, self._clock, self._chance, retried=partial(self._retried, self.report))
        except Trimmed as error:
            return error
        except PipelineError as error:
            await self._halt(self.report, error)
            return None
        self.report.flowing()
        self.report.moved_at = self._clock.monotonic()
        return page

    async def _follow(self, name: str) -> None:
        """Start a topology's cursor once its parents have ended, then read for it whenever it is not on the ring."""
        follower = self.followers[name]
        while not follower.started:
            try:
                await self._start(name, follower)
            except RetryLater as error:
                self._retried(follower.cursor.report, error, 1)
                await self._clock.sleep(PARENT_SECONDS)
            except PipelineError as error:
                await self._halt(follower.cursor.report, error)
        while not follower.cursor.closed:
            if follower.missing is not None:
                await self._stand(name, follower, follower.missing)
            elif follower.cursor.index is None and self._followed():
                await self._catch_up(name, follower)
            await self._clock.sleep(ADRIFT_SECONDS)

    async def _start(self, name: str, follower: Follower) -> None:
        beginning = await self._beginnings.of(name, self._sure_ms)
        if beginning is None:
            await self._clock.sleep(PARENT_SECONDS)
            return
        await follower.begin(beginning.checkpoint)
        follower.missing = self._passage.at_start(follower.cursor, name, beginning)
        follower.must_have_quarantine()  # told at once, not with the next change

    async def _stand(self, name: str, follower: Follower, missing: GapRecord) -> None:
        """Note a gap and stand before it; go on once it is accepted. Raises LeaseLost."""
        if not follower.cursor.idle:
            return  # what was read before it is settled first: a gap is named by the last settled record
        persisted = partial(persist, clock=self._clock, chance=self._chance, retried=self._told(follower))
        if not await persisted(follower.slot.is_ours):  # another has read on from here, and that may be trimmed
            raise LeaseLost(f"another worker has claimed {follower.slot.key}")
        gap, passes = await persisted(partial(self._passage.note, missing))
        if not passes:
            await self._halt(follower.cursor.report, Gap(missing.reason, hint=accept_hint(gap)))
            return
        if not follower.cursor.idle:
            return  # what waits in quarantine is put through meanwhile
        follower.pass_gap(self._passage.marks(gap, follower.cursor), gap.decided_ms)
        await persisted(follower.save)
        follower.cursor.report.flowing()
        logger.warning("delivery of %s to %s goes on behind the gap %s", self.shard.id, name, gap.id)

    async def _catch_up(self, name: str, follower: Follower) -> None:
        """Read for one cursor until its place is on the ring again, or something is missing behind it."""
        cursor = follower.cursor
        reader = self._reader(cursor)
        while cursor.index is None and follower.reading and self._followed():
            cursor.index = None if cursor.doubtful else self._ring.join(cursor.place)
            if cursor.index is not None:
                return
            if not cursor.hungry:
                await self._clock.sleep(ROOM_SECONDS)
                continue
            page = await self._page(reader)
            if isinstance(page, Trimmed):
                follower.leave_at(self._passage.behind(cursor, name, page))
            elif page is not None:
                cursor.feed(page, self._clock.monotonic())
                await self._clock.sleep(IDLE_SECONDS_MIN)

    def _reader(self, cursor: Cursor) -> ShardReader:
        place = Place(cursor.place, cursor.through_ms)
        return ShardReader(self._log, self._claims, self.shard.id, place, self._count_read, self._sure_ms)

    def _count_read(self) -> None:
        self.report.reads += 1

    def _told(self, follower: Follower) -> Callable[[RetryLater, int], None]:
        return partial(self._retried, follower.cursor.report)

    def _retried(self, report: Report, error: RetryLater, attempt: int) -> None:
        self.report.moved_at = self._clock.monotonic()
        report.trouble(Flow.RETRYING, error.reason, error.hint, attempt)
        logger.warning("delivery of %s waits: %s", self.shard.id, error)

    async def _halt(self, report: Report, error: PipelineError) -> None:
        report.trouble(Flow.HALTED, error.reason, error.hint)
        logger.error("delivery of %s is halted: %s", self.shard.id, error)
        await rest(self._clock, HALT_SECONDS, self.report)
