"""One topology on one shard: its cursor, the slot of its checkpoint, and its quarantine if there is one."""

import asyncio

from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.parking import Parking
from pipeline.delivery.redrive import Redrive
from pipeline.delivery.witness import Witness
from pipeline.model.progress import Checkpoint, Evidence
from pipeline.ports import Clock


class Follower:
    """A cursor and the slot of its checkpoint: one topology on this shard."""

    def __init__(self, cursor: Cursor, slot: CheckpointSlot, turn: asyncio.Lock, clock: Clock) -> None:
        self.cursor = cursor
        self.slot = slot
        self.witness = Witness(turn, clock, self.mark)
        self.started = False
        self.parking: Parking | None = None
        """The quarantine, None where a refused change halts the topology."""
        self.redrive: Redrive | None = None
        self._saving = asyncio.Lock()

    @property
    def reading(self) -> bool:
        """Return True when there is more of the shard to take."""
        return self.started and not self.cursor.closed

    async def begin(self, beginning: Checkpoint) -> None:
        """Take the checkpoint over, or make one of `beginning`. Raises RetryLater or Corrupt."""
        self.cursor.begin(await self.slot.claim(beginning))
        self.witness.begin(self.slot.evidence)
        self.cursor.report.flowing()
        self.started = True

    async def save(self) -> None:
        """Store the settled progress if there is any. Raises LeaseLost or RetryLater."""
        async with self._saving:
            settled = self.cursor.settled
            if self.started and settled != self.slot.saved:
                await self.slot.save(settled)

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
