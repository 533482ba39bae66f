"""Keep, take and give back the leases of one group of shards."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from pipeline.coordination.bell import Bell
from pipeline.model.balance import to_take
from pipeline.model.errors import RetryLater
from pipeline.model.lease import Hold, Lease, Sightings
from pipeline.model.load import Loads
from pipeline.model.state import Report
from pipeline.ports import Clock, FieldValue, StateRow, StateStore
from pipeline.wire import lease as form

RENEWALS_PER_LEASE = 3
"""A lease is renewed this often within its time, so that two lost calls do not lose it."""
LOOK_SECONDS = 0.5
"""How often a worker looks whether a lease was given back, and how long it leaves a free one to whose share it is."""
SETTLED_SECONDS = 300.0
"""How long a lease must have had its owner before it moves for its load: what is told of it is no first burst then."""
TAKES_MAX = 3
"""How often in one step a worker tries for free leases that others were quicker to take."""
BELL = "bell"
"""What stands for a shard in the key of the group's bell."""
TRIM_HORIZON = "TRIM_HORIZON"
SHARD_END = "SHARD_END"


@dataclass(slots=True)
class Held:
    """A lease of ours: its row as we last wrote it, and when, on our own clock, we began to write it."""

    row: StateRow
    renewed_at: float
    tenure: int
    """The counter when it was taken: another one means that somebody else may have had it in between."""


class Leases:
    """The leases of one group (a table's stream or a Kinesis stream) as one worker sees them.

    Rows have KCL's layout (`leaseKey`, `leaseOwner`, `leaseCounter`, `checkpoint`); the counter is the row's version.
    `step` is called RENEWALS_PER_LEASE times a lease, and when `called` says so; it renews, observes and takes. A lease
    is lost when its row was changed by someone else, or when it could not be renewed for the lease time.
    """

    def __init__(self, store: StateStore, clock: Clock, *, owner: str, group: str, lease_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._group = group
        self._lease_seconds = lease_seconds
        self._sightings = Sightings(lease_seconds, LOOK_SECONDS)
        self._loads = Loads()
        self._bell = Bell(store, lease_key(group, BELL))
        self.held: dict[str, Held] = {}
        self.due_at = math.inf
        """Monotonic time at which a lease can be taken, as things were at the last step."""

    async def step(
        self,
        shards: Collection[str],
        wanted: Callable[[str, StateRow], bool],
        told: Callable[[str], Mapping[str, Report]],
    ) -> None:
        """Renew what we hold, then take what we should, among `shards`.

        `wanted` says from a shard's row whether there is still work on it; what `told` returns of a shard is told to
        people in its row.
        Raises RetryLater when the state table cannot be reached; what could not be renewed in time is dropped first.
        """
        try:
            rows = await self._rows(shards)
            for shard in [s for s in self.held if s not in rows]:
                self.drop(shard)
            await _all(self._renew(shard, rows[shard], told(shard)) for shard in list(self.held))
            for _ in range(TAKES_MAX):
                if await self._take({s: row for s, row in rows.items() if s in self.held or wanted(s, row)}):
                    return
                rows = await self._rows(shards)
        finally:
            self.expire()

    async def called(self) -> bool:
        """Return True when the next step should be now: a lease was given back, or can be taken. Raises RetryLater."""
        return await self._bell.rung() or self._clock.monotonic() >= self.due_at

    async def call(self) -> None:
        """Tell the others that leases were given back; who does not hear it sees it at the next step."""
        try:
            await self._bell.ring()
        except RetryLater:
            return

    def drop(self, shard: str) -> None:
        """Hold a lease no longer, without a word to the others: it expires unless it is taken again."""
        self._loads.forget(shard)
        self.held.pop(shard, None)

    async def release(self, shard: str, fields: Mapping[str, FieldValue] | None = None) -> None:
        """Give a lease back so that the next worker need not wait; with `fields`, record them in the row as well.

        A refused write means somebody else has it already. Raises RetryLater.
        """
        held = self.held.get(shard)
        if held is None:
            return
        kept = {**form.released(held.row.fields), **(fields or {})}
        await self._store.write(StateRow(held.row.key, held.row.version + 1, kept), held.row.version)
        self.drop(shard)

    def key(self, shard: str) -> str:
        """Return the row key of a shard's lease."""
        return lease_key(self._group, shard)

    async def _rows(self, shards: Collection[str]) -> dict[str, StateRow]:
        rows = await self._store.read([self.key(shard) for shard in shards])
        now = self._clock.monotonic()
        out: dict[str, StateRow] = {}
        for shard in shards:
            row = rows.get(self.key(shard))
            if row is None:
                row = StateRow(self.key(shard), 0, {"checkpoint": TRIM_HORIZON, "shardId": shard})
                if not await self._store.write(row, None):
                    continue  # somebody else was first: the next step sees the row
            out[shard] = row
            self._sightings.note(_lease(shard, row), now)
        return out

    async def _renew(self, shard: str, row: StateRow, reports: Mapping[str, Report]) -> None:
        """Raise the counter, or learn that the lease is another's."""
        held = self.held[shard]
        ours = row.fields.get("leaseOwner") == self._owner and row.version - held.row.version in (0, 1)
        if not ours:  # one above what we remember is our own write whose answer was lost
            self.drop(shard)
            return
        done = sum(report.changes for report in reports.values())
        load = self._loads.note(shard, done, self._clock.monotonic(), form.load_of(row.fields))
        await self._write_owned(shard, row, form.renewed(row.fields, reports, load, self._clock.now_ms()))

    async def _take(self, rows: Mapping[str, StateRow]) -> bool:
        """Take what we should; return False when somebody else was quicker, and there may be more to take."""
        now = self._clock.monotonic()
        leases = [_lease(shard, row) for shard, row in rows.items()]
        holds = {each.shard: self._hold(each, now) for each in leases}
        settled = {each.shard for each in leases if now - self._sightings.owned_since(each) >= SETTLED_SECONDS}
        free, steal = to_take(leases, self._owner, holds, settled)
        for_us = [(lease.shard, rows[lease.shard]) for lease in (*free, *((steal,) if steal else ()))]
        at_ms = self._clock.now_ms()
        await _all(self._write_owned(s, row, form.taken(row.fields, self._owner, at_ms)) for s, row in for_us)
        self.due_at = min(
            (max(self._sightings.free_at(each), now + LOOK_SECONDS) for each in leases if each.shard not in self.held),
            default=math.inf,
        )
        return all(lease.shard in self.held for lease in free)

    def _hold(self, lease: Lease, now: float) -> Hold:
        if lease.shard in self.held:
            return Hold.OWNED
        return Hold.FREE if lease.owner == self._owner else self._sightings.hold(lease, now)

    async def _write_owned(self, shard: str, row: StateRow, fields: Mapping[str, FieldValue]) -> None:
        began = self._clock.monotonic()
        owned = StateRow(row.key, row.version + 1, fields)
        if await self._store.write(owned, row.version):
            known = self.held.get(shard)
            self.held[shard] = Held(owned, began, known.tenure if known else owned.version)
        else:
            self.drop(shard)

    def expire(self) -> None:
        """Hold no lease that was not renewed for the lease time: it may be another's by now."""
        now = self._clock.monotonic()
        for shard, held in list(self.held.items()):
            if now - held.renewed_at >= self._lease_seconds:
                self.drop(shard)


def lease_key(group: str, shard: str) -> str:
    """Return the key of a lease row: `<group>:<shard>`, KCL's form for many streams in one table."""
    return f"{group}:{shard}"


def _lease(shard: str, row: StateRow) -> Lease:
    return Lease(shard, str(row.fields.get("leaseOwner", "")), row.version, form.load_of(row.fields))


async def _all(calls: Iterable[Awaitable[None]]) -> None:
    """Make calls side by side; raise the first error when all have ended."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
