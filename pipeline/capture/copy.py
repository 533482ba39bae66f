"""A table's rows into the lanes its changes go through: chunk by chunk, resumable, while changes flow.

See `pipeline.model.snapshot` for why a row can lose, and cannot win wrongly. Nothing is written to the table.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from pipeline.capture.outbox import Outbox
from pipeline.capture.packing import Packer
from pipeline.coordination.copies import Copies, Phase, Run, Segment
from pipeline.coordination.pace import Pace
from pipeline.coordination.persist import persist
from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import RetryLater
from pipeline.model.snapshot import CHUNK_ROWS_MAX, CLOSES, OPENS, sequence_of, shard_of
from pipeline.ports import Chance, Clock, Log, Rows, TableReader

PAGE_ROWS_MAX = 2_000
"""Rows of a chunk: few, so that a window is short and a kill repeats little."""
NO_ITEM = b"{}"


class Newer(Protocol):
    """What is known of rows that were read long ago."""

    async def catch_up(self) -> None:
        """Learn what is known by now; without it the first rows would wait for that in an open window."""

    async def current(self, source: str, chunk: int, rows: Rows) -> tuple[Rows, float]:
        """Return rows as they are now that the window of a chunk is open, and the read units that took."""


logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class TableCopy:
    """Sends the rows of one table; one object for each process that copies.

    `run` may be ended at any point, by a kill too: another call goes on with the last chunk of each segment. Where the
    reader's rows are older than the moment they are read at, `newer` says what they are by then.
    """

    def __init__(
        self,
        reader: TableReader,
        log: Log,
        packer: Packer,
        copies: Copies,
        clock: Clock,
        chance: Chance,
        pace: Pace,
        *,
        newer: Newer | None = None,
    ) -> None:
        self._reader = reader
        self._packer = packer
        self._copies = copies
        self._clock = clock
        self._chance = chance
        self._pace = pace
        self._newer = newer
        self._outbox = Outbox(log, clock, chance, self._retried)
        self.segments: dict[int, Segment] = {}
        """How far each segment is, for progress."""

    async def run(self, run: Run) -> Phase:
        """Copy until all rows are in the stream, or somebody pauses or cancels the run; return its phase.

        Raises LeaseLost when another process copies the same run, and whatever reading and putting raise.
        """
        if self._newer is not None:
            await self._newer.catch_up()
        tasks = [asyncio.ensure_future(self._copy(run, number)) for number in range(run.segments)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        latest = await self._persist(self._copies.run)
        assert latest is not None
        if latest.phase is Phase.COPYING and all(segment.done for segment in self.segments.values()):
            latest = await self._persist(partial(self._copies.set_phase, Phase.COPIED))
        return latest.phase

    async def _copy(self, run: Run, number: int) -> None:
        segment = await self._persist(partial(self._copies.segment, run, number))
        self.segments[number] = segment
        while not segment.done and await self._goes_on(run):
            segment = await self._chunk(run, number, segment)
            self.segments[number] = segment

    async def _goes_on(self, run: Run) -> bool:
        latest = await self._persist(self._copies.run)
        return latest is not None and latest.id == run.id and latest.phase is Phase.COPYING

    async def _chunk(self, run: Run, number: int, segment: Segment) -> Segment:
        """Open a window, read a page, send it; only then is it noted as sent."""
        source = shard_of(run.id, number, run.topologies)
        segment = replace(segment, chunk=max(segment.chunk + 1, self._clock.now_ms()))
        await self._persist(partial(self._copies.put_segment, run, number, segment))
        await self._mark(run, source, segment.chunk, OPENS)
        read = partial(self._reader.page, number, run.segments, segment.start or None, PAGE_ROWS_MAX)
        page = await self._persist(read)
        rows, read_units = page.rows, page.read_units
        if self._newer is not None:
            rows, units = await self._newer.current(source, segment.chunk, rows)
            read_units += units
        await self._pace.spend(read_units)
        await self._send(run, source, segment.chunk, rows)
        if page.next is None:
            await self._mark(run, source, segment.chunk, CLOSES)
        segment = replace(
            segment,
            start=page.next or b"",
            rows=segment.rows + len(page.rows),
            read_units=segment.read_units + read_units,
            done=page.next is None,
        )
        await self._persist(partial(self._copies.put_segment, run, number, segment))
        return segment

    async def _mark(self, run: Run, source: str, chunk: int, what: str) -> None:
        """Put a mark into every lane, and return when all of them have it."""
        sequence = sequence_of(chunk, 0 if what == OPENS else CHUNK_ROWS_MAX)
        mark = self._change(run, source, sequence, NO_ITEM, None)._replace(event_id=what)
        await self._put({lane: [mark] for lane in self._packer.lanes})

    async def _send(self, run: Run, source: str, chunk: int, rows: Rows) -> None:
        changes = [
            self._change(run, source, sequence_of(chunk, number), keys, image)
            for number, (keys, image) in enumerate(rows, 1)
        ]
        await self._put(self._packer.by_lane(changes))

    async def _put(self, lanes: Mapping[int, Sequence[Change]]) -> None:
        packed = {lane: await self._persist(partial(self._packer.pack, lane, run)) for lane, run in lanes.items()}
        await self._outbox.put_all(packed)

    def _change(self, run: Run, source: str, sequence: int, keys: bytes, image: bytes | None) -> Change:
        kind, now_ms = ChangeKind.SNAPSHOT, self._clock.now_ms()
        return Change(self._reader.table, run.epoch, source, sequence, kind, keys, None, image, now_ms)

    async def _persist(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        return await persist(call, self._clock, self._chance, retried=self._retried)

    def _retried(self, error: RetryLater, attempt: int) -> None:
        logger.warning("the copy of table %s waits (attempt %d): %s", self._reader.table, attempt, error)
