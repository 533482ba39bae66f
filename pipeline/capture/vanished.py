"""Shards of a table's stream that are gone before they were read to their end."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.capture.gaps import GapTeller
from pipeline.coordination.checkpoints import read_many
from pipeline.coordination.gaps import accept_hint
from pipeline.coordination.leases import SHARD_END, Leases
from pipeline.model.errors import Gap, RetryLater
from pipeline.model.gap import TABLE_STREAM_KEPT_MS, GapCause, GapRecord
from pipeline.ports import Clock, StateRow, StateStore, TableStream


@dataclass(frozen=True, slots=True)
class Vanished:
    """Finds them, says what was lost, and lets their children start once that was accepted."""

    stream: TableStream
    store: StateStore
    leases: Leases
    checkpoint_key: Callable[[str], str]
    teller: GapTeller
    clock: Clock

    async def is_gone(self, shard: str) -> bool:
        """Return True when the service has nothing of a shard that its listings leave out: asked for it by name.

        A listing may be wrong several times in a row. Raises RetryLater.
        """
        try:
            page = await self.stream.read(shard, await self.stream.iterator(shard, None))
        except Gap:
            return True
        return not page.changes and page.next is None

    async def pass_over(self, shard: str, row: StateRow | None) -> None:
        """Mark a shard as read, though nothing more of it can be, so that its children start. Raises RetryLater."""
        fields = {"shardId": shard, **(row.fields if row else {}), "checkpoint": SHARD_END}
        fields.pop("leaseOwner", None)
        marked = StateRow(self.leases.key(shard), row.version + 1 if row else 0, fields)
        if not await self.store.write(marked, row.version if row else None):
            raise RetryLater(f"the lease of {shard} was changed by another worker")

    async def meet(self, shard: str, row: StateRow | None) -> str:
        """Note what was lost with a shard; pass over it once that was accepted.

        Returns what a person can do while the gap is open, then an empty text. Raises RetryLater.
        """
        gap = await self.teller.note(await self._gap(shard))
        if not gap.passes(self.clock.now_ms(), TABLE_STREAM_KEPT_MS):
            return f"{gap.reason}: {accept_hint(gap)}"
        await self.teller.tell_end(gap, "")
        await self.pass_over(shard, row)
        return ""

    async def _gap(self, shard: str) -> GapRecord:
        key = self.checkpoint_key(shard)
        saved = (await read_many(self.store, [key])).get(key)
        after = str(saved.sequence) if saved and saved.sequence is not None else ""
        reason = f"shard {shard} is gone before it was read to its end"
        return GapRecord(GapCause.SHARD_GONE, self.stream.table, self.stream.epoch, shard, "", after, reason)
