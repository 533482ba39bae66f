"""One shard of a table's stream into Kinesis, in order, with its checkpoint behind the last acknowledgement."""

import logging
from collections.abc import Mapping
from functools import partial

from pipeline.capture.gaps import GapTeller
from pipeline.capture.outbox import Outbox
from pipeline.capture.packing import Packer
from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.coordination.gaps import Gaps, accept_hint
from pipeline.coordination.persist import HALT_SECONDS, persist, rest
from pipeline.model.change import Change
from pipeline.model.errors import Gap, IteratorExpired, LeaseLost, PipelineError, RetryLater
from pipeline.model.gap import TABLE_STREAM_KEPT_MS, GapCause, GapRecord
from pipeline.model.progress import Checkpoint
from pipeline.model.retention import Retention, retention
from pipeline.model.state import Flow, Report
from pipeline.ports import Chance, Clock, Log, SourcePage, TableStream

GATHER_PAGES_MAX = 8
GATHER_BYTES_MAX = 4 * 1024 * 1024
BUSY_CHANGES = 500
"""A page with this many changes says that more are waiting: gather, so that few, large records travel."""
FRESH_REFUSED_MAX = 2
"""So many new iterators at a shard's oldest record may be refused as trimmed in a row before that is a gap."""
TIP_PAGES = 3
"""So many empty pages in a row are taken for the tip of an open shard: AWS gives no other sign."""
IDLE_SECONDS_MIN = 0.1
IDLE_SECONDS_MAX = 1.0

logger = logging.getLogger(__name__)


class ShardCapture:
    """Reads, packs, puts, checkpoints: one thing after the other, so that nothing can overtake."""

    def __init__(
        self,
        stream: TableStream,
        log: Log,
        packer: Packer,
        slot: CheckpointSlot,
        gaps: Gaps,
        clock: Clock,
        chance: Chance,
        shard: str,
    ) -> None:
        self.shard = shard
        self.report = Report(moved_at=clock.monotonic())
        self.ended = False
        self._stream = stream
        self._packer = packer
        self._slot = slot
        self._clock = clock
        self._chance = chance
        self._outbox = Outbox(log, clock, chance, self._retried)
        self._teller = GapTeller(gaps, packer, self._outbox)
        self._passing: GapRecord | None = None
        """A gap that somebody decided to pass, until what lies behind it is found."""
        self._iterator: str | None = None
        self._fresh_refused = 0
        self._read: int | None = None
        self._idle_seconds = IDLE_SECONDS_MIN
        self._through_ms = 0
        """All that was changed up to then is in Kinesis; 0 when that is not known."""
        self._empty_pages = 0
        self._told_trouble = False

    @property
    def retention(self) -> Retention:
        """Return what is left until the oldest change that is not in Kinesis is trimmed."""
        return retention(self._through_ms, TABLE_STREAM_KEPT_MS, self._clock.now_ms())

    @property
    def moved_at(self) -> float:
        """Return the monotonic time of the last sign of life."""
        return self.report.moved_at

    @property
    def reports(self) -> Mapping[str, Report]:
        """Return how it goes; the one part of the work has no name."""
        return {"": self.report}

    async def run(self) -> None:
        """Capture until the shard has ended; returns early only when the lease is lost."""
        claimed = False
        while not self.ended:
            try:
                if not claimed:
                    await self._begin()
                    claimed = True
                if not self.ended:
                    await self.step()
            except LeaseLost:
                return
            except Gap as error:
                if not await persist(self._slot.is_ours, self._clock, self._chance, retried=self._retried):
                    return  # another has captured on from here, and what it captured may be trimmed: that is no gap
                await self._stop_at(error)
            except PipelineError as error:
                await self._halt(error)
                self._go_back()
                claimed = False  # a save without an answer may have been stored: what is saved is looked up again

    async def step(self) -> None:
        """Forward what one or a few pages hold, then move the checkpoint."""
        asked_ms = self._clock.now_ms()
        changes, closed = await self._gather()
        if self._passing and (changes or closed):
            await self._pass(self._passing, changes)
        if changes:
            await self._forward(changes)
        if changes or closed:
            await self._save(changes, closed)
        self._note_through(changes, asked_ms)
        self.ended = closed
        self._note_well()
        self.report.moved_at = self._clock.monotonic()
        self._idle_seconds = IDLE_SECONDS_MIN if changes else min(2 * self._idle_seconds, IDLE_SECONDS_MAX)
        if not closed and len(changes) < BUSY_CHANGES:
            await self._clock.sleep(self._idle_seconds)

    def _note_well(self) -> None:
        """Note that all is well, and say so to whoever was told that it was not."""
        self.report.flowing()
        if self._told_trouble:
            logger.info("capture of %s shard %s goes on", self._stream.table, self.shard)
        self._told_trouble = False

    def _note_through(self, changes: list[Change], asked_ms: int) -> None:
        """Note up to when all is captured: AWS may give an empty page with changes behind it, but not many in a row."""
        self._empty_pages = 0 if changes else self._empty_pages + 1
        if changes:
            self._through_ms = changes[-1].time_ms
        elif self._empty_pages >= TIP_PAGES:
            self._through_ms = asked_ms

    async def _begin(self) -> None:
        await persist(self._slot.claim, self._clock, self._chance, retried=self._retried)
        self._read = self._slot.saved.sequence
        self._through_ms = self._slot.saved.time_ms
        self.ended = self._slot.saved.ended
        self.report.flowing()

    async def _gather(self) -> tuple[list[Change], bool]:
        """Return the changes of the next page, of several while they come thick, and whether the shard is closed."""
        changes: list[Change] = []
        size_bytes = 0
        for _ in range(GATHER_PAGES_MAX):
            page = await persist(self._page, self._clock, self._chance, retried=self._retried)
            changes += page.changes
            self._iterator = page.next
            if page.changes:
                self._read = page.changes[-1].sequence
            if page.next is None:
                return changes, True
            size_bytes += sum(len(c.before or b"") + len(c.after or b"") for c in page.changes)
            if len(page.changes) < BUSY_CHANGES or size_bytes >= GATHER_BYTES_MAX:
                break
        return changes, False

    async def _page(self) -> SourcePage:
        fresh = self._iterator is None
        if self._iterator is None:
            try:
                self._iterator = await self._stream.iterator(self.shard, self._read)
            except Gap:
                if self._passing is None:
                    raise
                return SourcePage((), None)  # nothing of the shard is left, and that was accepted
        self.report.reads += 1
        try:
            page = await self._stream.read(self.shard, self._iterator)
        except IteratorExpired as error:
            self._iterator = None
            raise RetryLater(error.reason) from error
        except Gap as error:
            if self._read is not None or self._fresh_refused >= FRESH_REFUSED_MAX:
                raise
            # Of a shard still empty, DynamoDB Local takes an older iterator for trimmed once the first record is there,
            # and a new one, too, when that record comes before its first use.
            # Nothing was read yet, so nothing is passed by: the shard begins where its oldest record is now.
            self._iterator = None
            self._fresh_refused += fresh
            raise RetryLater(
                f"{error.reason}; nothing was read of it yet, so it begins at its oldest change"
            ) from error
        self._fresh_refused = 0
        return page

    async def _forward(self, changes: list[Change]) -> None:
        lanes = {}
        for lane, run in self._packer.by_lane(changes).items():
            lanes[lane] = await persist(
                partial(self._packer.pack, lane, run),
                self._clock,
                self._chance,
                retried=self._retried,
            )
        await self._outbox.put_all(lanes)
        self.report.records += sum(len(records) for records in lanes.values())
        self.report.changes += len(changes)
        self.report.last_change_ms = changes[-1].time_ms
        self.report.lag_seconds = max(0.0, (self._clock.now_ms() - changes[-1].time_ms) / 1000)

    async def _save(self, changes: list[Change], closed: bool) -> None:
        saved = self._slot.saved
        position = saved.position + len(changes)
        sequence = changes[-1].sequence if changes else saved.sequence
        time_ms = changes[-1].time_ms if changes else saved.time_ms
        checkpoint = Checkpoint(sequence, position, position, {}, closed, time_ms)
        await persist(lambda: self._slot.save(checkpoint), self._clock, self._chance, retried=self._retried)

    def _go_back(self) -> None:
        """Read next what follows the checkpoint."""
        self._iterator, self._read, self._passing = None, self._slot.saved.sequence, None
        self._fresh_refused = 0

    async def _stop_at(self, error: Gap) -> None:
        """Note what was lost, tell it, and stand still until somebody has decided; then begin at the oldest change."""
        self._go_back()
        gap = await persist(
            partial(self._teller.note, self._gap(error)), self._clock, self._chance, retried=self._retried
        )
        if not gap.passes(self._clock.now_ms(), TABLE_STREAM_KEPT_MS):
            await self._halt(Gap(error.reason, hint=accept_hint(gap)))
            return
        self._read, self._passing = None, gap
        self._idle_seconds = IDLE_SECONDS_MAX
        await self._clock.sleep(self._idle_seconds)

    def _gap(self, error: Gap) -> GapRecord:
        after = "" if self._slot.saved.sequence is None else str(self._slot.saved.sequence)
        table, epoch = self._stream.table, self._stream.epoch
        return GapRecord(GapCause.TRIMMED, table, epoch, self.shard, "", after, error.reason)

    async def _pass(self, gap: GapRecord, changes: list[Change]) -> None:
        until = str(changes[0].sequence) if changes else ""
        await persist(partial(self._teller.tell_end, gap, until), self._clock, self._chance, retried=self._retried)
        self._passing = None

    def _retried(self, error: RetryLater, attempt: int) -> None:
        self.report.trouble(Flow.RETRYING, error.reason, error.hint, attempt)
        self.report.moved_at = self._clock.monotonic()
        self._told_trouble = True
        logger.warning("capture of %s shard %s waits: %s", self._stream.table, self.shard, error)

    async def _halt(self, error: PipelineError) -> None:
        """Stop before the checkpoint, say so, and look again later: what is wrong may have been mended meanwhile."""
        self.report.trouble(Flow.HALTED, error.reason, error.hint)
        self._told_trouble = True
        logger.error("capture of %s shard %s is halted: %s", self._stream.table, self.shard, error)
        await rest(self._clock, HALT_SECONDS, self.report)
