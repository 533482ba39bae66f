"""Where a topology begins on a Kinesis shard, and whether something is missing before its first record."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from pipeline.coordination.checkpoints import read_many
from pipeline.model.gap import GapCause, GapRecord
from pipeline.model.progress import Checkpoint, Seen, here
from pipeline.model.shard import Shard
from pipeline.model.snapshot import inherited
from pipeline.ports import Clock, FieldValue, Log, StateRow, StateStore


class Beginning(NamedTuple):
    """What a topology begins a shard with."""

    checkpoint: Checkpoint
    missing: GapRecord | None
    """What was lost with parents of the shard that are gone; it must be accepted before the shard is begun."""


class Beginnings:
    """Finds where topologies begin on one shard: behind its parents, and behind their own first start.

    When a topology begins with a stream a row says so, for ever. What came before that does not concern it; what came
    later does, and a shard that is gone unread since then is a gap.
    """

    def __init__(
        self, log: Log, store: StateStore, clock: Clock, shard: Shard, parent_key: Callable[[str, str], str]
    ) -> None:
        self._log = log
        self._store = store
        self._clock = clock
        self._shard = shard
        self._parent_key = parent_key

    async def of(self, topology: str, sure_ms: int) -> Beginning | None:
        """Return with what to begin once the parents have all ended for the topology; None while one has not.

        That is what they had seen, and the keys in quarantine whose lanes go on here. Raises RetryLater or Corrupt.
        """
        begun_ms = await self._begun_ms(topology)
        if not self._shard.parents:
            return Beginning(Checkpoint(through_ms=begun_ms), None)
        keys = {parent: self._parent_key(parent, topology) for parent in self._shard.parents}
        listed = {shard.id for shard in await self._log.shards()}  # first: who leaves the listing has ended before
        rows = await read_many(self._store, list(keys.values()))
        stored = {parent: rows[key] for parent, key in keys.items() if key in rows}
        open_ones = set(keys) - {parent for parent, each in stored.items() if each.ended}
        if open_ones & listed:
            return None
        unread = set() if self._clock.now_ms() - begun_ms < sure_ms else set(keys) - set(stored)
        gone = sorted(unread | (open_ones & set(stored)))
        missing = self._gone(topology, gone, stored.get(gone[0])) if gone else None
        behind = self._behind(list(stored.values()), begun_ms)
        return Beginning(behind if missing is None else replace(behind, through_ms=0), missing)

    def _behind(self, parents: list[Checkpoint], begun_ms: int) -> Checkpoint:
        seen, parked = Seen(), {}
        for each in parents:
            seen.merge(each.seen)
            parked.update(here(each.parked, self._shard))
        through_ms = max((each.through_ms for each in parents), default=begun_ms)
        snapshots = inherited([each.snapshots for each in parents])
        return Checkpoint(seen=seen.state(), parked=parked, snapshots=snapshots, through_ms=through_ms)

    def _gone(self, topology: str, shards: list[str], first: Checkpoint | None) -> GapRecord:
        after = "" if first is None or first.sequence is None else str(first.sequence)
        reason = f"shard {' and '.join(shards)} is gone before topology {topology} had read it to its end"
        return GapRecord(GapCause.SHARD_GONE, "", self._log.name, shards[0], topology, after, reason)

    async def _begun_ms(self, topology: str) -> int:
        """Return when the topology began with this stream: now, if nobody has said so before. Raises RetryLater."""
        key = f"begun:{self._log.name}/{topology}"
        row = (await self._store.read([key])).get(key)
        if row is None:
            fields: dict[str, FieldValue] = {"begunMs": self._clock.now_ms(), "entityType": "BEGUN"}
            await self._store.write(StateRow(key, 0, fields), None)  # refused: another was first
            row = (await self._store.read([key]))[key]
        begun_ms = row.fields["begunMs"]
        assert isinstance(begun_ms, int)
        return begun_ms
