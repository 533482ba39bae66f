"""One topology on one shard: its cursor, the slot of its checkpoint, and its quarantine if there is one."""

import asyncio

from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.parking import Parking
from pipeline.delivery.redrive import Redrive


class Follower:
    """A cursor and the slot of its checkpoint: one topology on this shard."""

    def __init__(self, cursor: Cursor, slot: CheckpointSlot) -> None:
        self.cursor = cursor
        self.slot = slot
        self.started = False
        self.parking: Parking | None = None
        """The quarantine, None where a refused change halts the topology."""
        self.redrive: Redrive | None = None
        self._saving = asyncio.Lock()

    @property
    def reading(self) -> bool:
        """Return True when there is more of the shard to take."""
        return self.started and not self.cursor.closed

    async def save(self) -> None:
        """Store the settled progress if there is any. Raises LeaseLost or RetryLater."""
        async with self._saving:
            settled = self.cursor.settled
            if self.started and settled != self.slot.saved:
                await self.slot.save(settled)
