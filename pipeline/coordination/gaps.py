"""Gaps in the state table: noticed once, whoever notices them and however often, and decided by a person."""

import logging
from collections.abc import Callable
from dataclasses import replace

from pipeline.model.errors import Gap, Misconfigured, RetryLater
from pipeline.model.gap import GapRecord, GapState
from pipeline.ports import Clock, FieldValue, StateRow, StateStore
from pipeline.wire import gap as form

ALIKE_MAX = 1_000
"""Gaps of one place: more than one a day for as long as anybody keeps a pipeline."""
WRITES_MAX = 20
REFRESH_SECONDS = 30.0

logger = logging.getLogger(__name__)


class Gaps:
    """All gaps of one pipeline: a row each, and a row that lists them.

    The record is written before the list, so that what is listed exists; who is killed between the two lists it when
    the gap is met again, which is every time its shard is tried.
    """

    def __init__(self, store: StateStore, stream: str, clock: Clock) -> None:
        self._store = store
        self._stream = stream
        self._clock = clock
        self._looked_at: float | None = None
        self.open: tuple[GapRecord, ...] = ()
        """The open gaps of the whole pipeline when last looked at."""

    async def note(self, found: GapRecord, kept_ms: int) -> GapRecord:
        """Return the record of a gap that was met, made and listed if it is new.

        An earlier decision about the like of it counts for as long as `GapRecord.passes` says. Raises RetryLater.
        """
        for number in range(1, ALIKE_MAX + 1):
            fresh = replace(found, number=number, noticed_ms=self._clock.now_ms())
            gap = await self._get(fresh.id)
            if gap is None:
                if not await self._store.write(StateRow(self._key(fresh.id), 0, form.to_fields(fresh)), None):
                    raise RetryLater(f"the gap {fresh.id} was noted by another worker at this moment")
                logger.error("gap %s: %s", fresh.id, fresh.reason)
                gap = fresh
            self._looked_at = None
            if gap.state is GapState.OPEN or gap.passes(self._clock.now_ms(), kept_ms):
                await self._list(gap.id)
                return gap
        raise Gap(found.reason, hint="the same was lost again and again: begin a new pipeline")

    def now_ms(self) -> int:
        """Return the time that decisions are compared with."""
        return self._clock.now_ms()

    async def all(self) -> tuple[GapRecord, ...]:
        """Return every gap ever noticed, the oldest first. Raises RetryLater."""
        row = (await self._store.read([self._list_key])).get(self._list_key)
        listed = row.fields.get("gaps", frozenset()) if row else frozenset()
        assert isinstance(listed, frozenset)
        rows = await self._store.read([self._key(each) for each in sorted(listed)])
        found = (form.from_fields(each.fields, each.key) for each in rows.values())
        return tuple(sorted(found, key=lambda gap: (gap.noticed_ms, gap.id)))

    async def refresh(self) -> None:
        """Look at the list again if that is due, for `open`. Raises RetryLater."""
        now = self._clock.monotonic()
        if self._looked_at is None or now - self._looked_at >= REFRESH_SECONDS:
            self._looked_at = now
            self.open = tuple(gap for gap in await self.all() if gap.state is GapState.OPEN)

    async def decide(self, gap_id: str, state: GapState, by: str) -> GapRecord:
        """Move a gap up to `state`; one that is there or further already is left as it is.

        Raises Misconfigured when there is no such gap, RetryLater.
        """

        def decided(gap: GapRecord) -> GapRecord:
            if gap.state.step >= state.step:
                return gap
            return replace(gap, state=state, by=by, decided_ms=self._clock.now_ms())

        return await self._change(gap_id, decided)

    async def note_told(self, gap: GapRecord) -> GapRecord:
        """Remember that a gap was put into the stream as it stands, `until` included. Raises RetryLater."""
        step = gap.state.step
        return await self._change(gap.id, lambda now: replace(now, told=max(now.told, step), until=gap.until))

    async def _change(self, gap_id: str, change: Callable[[GapRecord], GapRecord]) -> GapRecord:
        for _ in range(WRITES_MAX):
            row = (await self._store.read([self._key(gap_id)])).get(self._key(gap_id))
            if row is None:
                raise Misconfigured(f"there is no gap {gap_id}", hint="`fanout gaps list` names them")
            before = form.from_fields(row.fields, row.key)
            after = change(before)
            if after == before:
                return before
            if await self._store.write(StateRow(row.key, row.version + 1, form.to_fields(after)), row.version):
                return after
        raise RetryLater(f"the gap {gap_id} is changed by others again and again")

    async def _get(self, gap_id: str) -> GapRecord | None:
        row = (await self._store.read([self._key(gap_id)])).get(self._key(gap_id))
        return form.from_fields(row.fields, row.key) if row else None

    async def _list(self, gap_id: str) -> None:
        for _ in range(WRITES_MAX):
            row = (await self._store.read([self._list_key])).get(self._list_key)
            listed = row.fields["gaps"] if row else frozenset()
            assert isinstance(listed, frozenset)
            if gap_id in listed:
                return
            fields: dict[str, FieldValue] = {"gaps": listed | {gap_id}, "entityType": "GAPS"}
            if await self._store.write(
                StateRow(self._list_key, row.version + 1 if row else 0, fields), row.version if row else None
            ):
                return
        raise RetryLater("the list of gaps is changed by others again and again")

    @property
    def _list_key(self) -> str:
        return f"gaps:{self._stream}"

    def _key(self, gap_id: str) -> str:
        return f"gap:{self._stream}/{gap_id}"


def accept_hint(gap: GapRecord) -> str:
    """Return what a person can do about an open gap."""
    return (
        f"`fanout gaps heal {gap.id}` goes on and reads again what may have changed,"
        f" `fanout gaps accept {gap.id}` only goes on (docs/how-to/gaps.md)"
    )
