"""A gap between the Kinesis stream and one topology: noted, stood before, and passed once somebody has accepted it."""

from dataclasses import replace

from pipeline.coordination.gaps import Gaps
from pipeline.delivery.beginning import Beginning
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.reader import Trimmed
from pipeline.model.change import Change
from pipeline.model.gap import CLOCK_MARGIN_MS, GapCause, GapRecord
from pipeline.wire.gap import to_change


class Passage:
    """The gaps of the topologies on one shard."""

    def __init__(self, gaps: Gaps, stream: str, shard: str, sure_ms: int) -> None:
        self._gaps = gaps
        self._stream = stream
        self._shard = shard
        self._kept_ms = sure_ms + CLOCK_MARGIN_MS

    def behind(self, cursor: Cursor, topology: str, error: Trimmed | None = None) -> GapRecord:
        """Return what a topology may have lost behind its cursor's place."""
        after = "" if cursor.place is None else str(cursor.place)
        reason = error.reason if error else f"records of shard {self._shard} may be missing before {topology}"
        return GapRecord(GapCause.TRIMMED, "", self._stream, self._shard, topology, after, reason)

    def at_start(self, cursor: Cursor, topology: str, beginning: Beginning) -> GapRecord | None:
        """Return the gap that a cursor stands before as it begins: one with its parents, or one that was being passed.

        A cursor of an earlier version that has read nothing yet learns from when on it must have everything.
        """
        saved = cursor.settled
        untouched = saved.sequence is None and saved.position == 0
        if saved.part and saved.position == 0:  # the place behind a gap, of which nobody knows whether it was used
            return (beginning.missing if untouched else None) or self.behind(cursor, topology)
        if untouched and not saved.through_ms:
            cursor.begin(replace(saved, through_ms=beginning.checkpoint.through_ms))
            return beginning.missing
        return None

    async def note(self, found: GapRecord) -> tuple[GapRecord, bool]:
        """Return the durable record of a gap, and whether its shard may go on. Raises RetryLater."""
        gap = await self._gaps.note(found, self._kept_ms)
        return gap, gap.passes(self._gaps.now_ms(), self._kept_ms)

    @staticmethod
    def marks(gap: GapRecord, cursor: Cursor) -> tuple[Change, ...]:
        """Return what tells of an accepted gap in the topology's own log, once for each of its tables."""
        told = to_change(replace(gap, told=0))
        return tuple(told._replace(table=table) for table in sorted(cursor.appetite.tables))
