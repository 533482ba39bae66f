"""A gap of a table's stream, put into every lane: between the changes before it and those behind it."""

from dataclasses import replace

from pipeline.capture.outbox import Outbox
from pipeline.capture.packing import Packer
from pipeline.coordination.gaps import Gaps
from pipeline.model.gap import TABLE_STREAM_KEPT_MS, GapRecord
from pipeline.wire.gap import to_change


class GapTeller:
    """Notes the gaps of a capture and tells every reader of the Kinesis stream, in order, in every lane.

    In every lane, because lost changes may have been of any key, and a lane is the unit of order.
    """

    def __init__(self, gaps: Gaps, packer: Packer, outbox: Outbox) -> None:
        self._gaps = gaps
        self._packer = packer
        self._outbox = outbox

    async def note(self, found: GapRecord) -> GapRecord:
        """Return the durable record of a gap that was met. While it is open, every lane has been told so.

        Raises RetryLater.
        """
        gap = await self._gaps.note(found, TABLE_STREAM_KEPT_MS)
        return gap if gap.passes(self._gaps.now_ms(), TABLE_STREAM_KEPT_MS) else await self._tell(gap)

    async def tell_end(self, gap: GapRecord, until: str) -> None:
        """Tell every lane what was decided, and that what follows begins at sequence `until`. Raises RetryLater."""
        await self._tell(replace(gap, until=until))

    async def _tell(self, gap: GapRecord) -> GapRecord:
        if gap.told >= gap.state.step:
            return gap
        change = to_change(gap)
        await self._outbox.put_all({lane: await self._packer.pack(lane, [change]) for lane in self._packer.lanes})
        return await self._gaps.note_told(gap)
