"""One topology on one shard: its cursor, the slot of its checkpoint, and its quarantine if there is one."""

import asyncio
from collections.abc import Sequence

from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.parking import Parking
from pipeline.delivery.redrive import Redrive
from pipeline.delivery.witness import Turn, Witness
from pipeline.model.change import Change
from pipeline.model.errors import LeaseLost, Misconfigured
from pipeline.model.gap import GapRecord
from pipeline.model.progress import Checkpoint, Evidence
from pipeline.model.state import Flow
from pipeline.ports import Clock

KEEP_QUARANTINE = "put the section back; once all is put through, `fanout quarantine redrive --all`, it may go"


class Follower:
    """A cursor and the slot of its checkpoint: one topology on this shard."""

    def __init__(self, cursor: Cursor, slot: CheckpointSlot, turn: Turn, clock: Clock) -> None:
        self.cursor = cursor
        self.slot = slot
        self.witness = Witness(turn, clock, self.mark)
        self.started = False
        self.parking: Parking | None = None
        """The quarantine, None where a refused change halts the topology."""
        self.redrive: Redrive | None = None
        self.missing: GapRecord | None = None
        """The gap this topology stands before."""
        self._saving = asyncio.Lock()

    @property
    def reading(self) -> bool:
        """Return True when there is more of the shard to take, and nothing is missing before it."""
        return self.started and not self.cursor.closed and self.missing is None

    @property
    def leaping(self) -> bool:
        """Return True while the place behind a gap is not stored yet: nothing is written there before."""
        return self.cursor.settled.part != self.slot.saved.part

    def leave_at(self, missing: GapRecord) -> None:
        """Stand before a gap, off the ring."""
        self.missing, self.cursor.index = missing, None

    def pass_gap(self, marks: Sequence[Change], through_ms: int) -> None:
        """Go on behind the gap, as `Cursor.leap` does; `save` stores that."""
        self.cursor.leap(marks, through_ms)
        self.missing = None

    def must_have_quarantine(self) -> None:
        """Refuse to go on without a quarantine while keys are parked: their next changes would overtake those there.

        Raises Misconfigured.
        """
        if self.parking is None and (keys := len(self.cursor.parked)):
            raise Misconfigured(f"{keys} parked key(s), and no section [quarantine]", hint=KEEP_QUARANTINE)

    async def begin(self, beginning: Checkpoint) -> None:
        """Take the checkpoint over, or make one of `beginning`. Raises RetryLater or Corrupt."""
        self.cursor.begin(await self.slot.claim(beginning))
        self.witness.begin(self.slot.evidence)
        self.cursor.report.flowing()
        self.started = True

    async def save(self) -> None:
        """Store the settled progress if there is any. Raises LeaseLost, again once it is lost, or RetryLater.

        Who is halted has none, and would not learn so that another claimed the row: one that had lost the lease before
        us, and was slower. What halts may be just that: our place is not where the row is.
        """
        async with self._saving:
            settled = self.cursor.settled
            if self.started and (settled != self.slot.saved or self.slot.lost):
                await self.slot.save(settled)
            elif self.started and self.cursor.report.flow is Flow.HALTED and not await self.slot.is_ours():
                raise LeaseLost(f"another worker has claimed {self.slot.key}")

    async def mark(self, evidence: Evidence) -> None:
        """Store what is being written, with the settled progress. Raises LeaseLost or RetryLater."""
        async with self._saving:
            self.slot.evidence = evidence
            await self.slot.save(self.cursor.settled)

    async def leave(self) -> None:
        """Store the settled progress, and that nobody died here. Raises LeaseLost or RetryLater."""
        told = self.slot.evidence
        if self.started and (told.offers or told.starts > 1):
            await self.mark(Evidence())
        await self.save()
