"""Quarantine by key: what a sink refuses for good waits, with the later changes of its key, and the rest flows on.

The order is what makes it safe: first the checkpoint names the key, where it stands; then the changes are stored; then
the batch is offered without them; only then does the checkpoint pass them. A redelivery after a crash parks the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.delivery.cursor import Cursor
from pipeline.model.change import Batch, Change, ChangeKind, Parked
from pipeline.model.errors import Deadly, Defect, LeaseLost, PipelineError, Rejected, RetryLater
from pipeline.model.lane import explicit_hash_key, lane_of
from pipeline.model.progress import PARKED_KEYS_MAX, ParkedKey, Why
from pipeline.ports import ObjectStore
from pipeline.wire import parked as form
from pipeline.wire.json import hash_key_of

PARKED_IN_A_ROW_MAX = 5
"""Changes of different keys refused one after the other, and none written in between: then it is not them."""
PUTS_MAX = 16
"""Parked changes that are stored at a time."""

logger = logging.getLogger(__name__)

Write = Callable[[Batch], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Where a pipeline parks changes."""

    objects: ObjectStore
    pipeline: str
    """The pipeline's own name: digests cannot be guessed without it, and two pipelines may share a place."""
    lanes: int
    attempts_max: int
    """How often a batch is offered to a sink that names no reason for failing, before the cause is looked for in it."""

    def digest(self, change: Change) -> str:
        """Return what stands for a change's key."""
        return form.digest_of(self.pipeline, change.table, change.keys)

    def folder(self, topology: str, digest: str) -> str:
        """Return what the names of a key's objects start with."""
        return form.folder_of(topology, self.pipeline, digest)

    def name(self, topology: str, digest: str, change: Change) -> str:
        """Return the name of a change's object."""
        return f"{self.folder(topology, digest)}{form.place_of(change.epoch, change.sequence)}{form.SUFFIX}"

    def hash_key(self, change: Change) -> int:
        """Return the explicit hash key of the change's lane."""
        lane = lane_of(change.table, hash_key_of(change.keys), self.lanes)
        return explicit_hash_key(lane, self.lanes)


class Parking:
    """The quarantine of one topology on one shard, around every write of it."""

    def __init__(
        self,
        quarantine: Quarantine,
        topology: str,
        cursor: Cursor,
        slot: CheckpointSlot,
        save: Callable[[], Awaitable[None]],
    ) -> None:
        self._quarantine = quarantine
        self._topology = topology
        self._cursor = cursor
        self._slot = slot
        self._save = save
        self._reasons: dict[str, str] = {}
        """What the sink said of a key's first parked change."""
        self._in_a_row = 0
        self._offered = ("", 0)
        self._defects = 0
        """How often the sink failed on the batch that is offered now, for no reason it named."""

    async def through(self, batch: Batch, write: Write) -> None:
        """Return when all of a batch is either durable at the sink or parked.

        Raises what `write` raises, but for Rejected; RetryLater and LeaseLost when a change cannot be parked now; and
        PipelineError when so much is refused that parking it would hide a wrong destination.
        """
        if self._offered != (batch.shard, batch.first):
            self._offered, self._defects = (batch.shard, batch.first), 0
        if batch.asked_by:
            await self._put_through(batch, write)
            return
        self._cursor.standing = False
        self._cursor.count_parked(await self._offer(batch, write))

    async def _put_through(self, batch: Batch, write: Write) -> None:
        """Have a batch from quarantine written; what is no matter of time refuses it, and it stays where it is.

        Else the whole shard would wait for a person. When the shard is lost nobody waits for it any more; what is on
        its way then ends without an answer.
        """
        redriven = self._cursor.redriven
        if redriven is None:
            return
        try:
            await write(batch)
        except (RetryLater, LeaseLost):
            raise
        except PipelineError as error:
            if isinstance(error, Defect) and not self._is_enough():
                raise
            redriven.refused = str(error)

    async def _offer(self, batch: Batch, write: Write) -> Sequence[Parked]:
        """Have part of a batch written, parking what is refused; return what is parked of it."""
        while True:
            batch = await self._set_aside(batch)
            try:
                await write(batch)
            except Rejected as error:
                if self._shows_nothing_well(batch, error):
                    return await self._in_halves(batch, write)
                self._park_refused(batch, error)
            except Defect as error:
                if not self._is_enough():
                    raise
                if len(batch) > 1:
                    return await self._in_halves(batch, write)
                await self._park_defect(batch, write, error)
            else:
                if batch.changes:
                    self._in_a_row = 0
                return batch.parked

    def _shows_nothing_well(self, batch: Batch, error: Rejected) -> bool:
        """Return True when so much is refused at once that parts of the batch should be tried, to see one accepted."""
        keys = {(change.table, change.keys) for position, change in batch if position in error.positions}
        return self._in_a_row + len(keys) > PARKED_IN_A_ROW_MAX and len(batch) > 1

    def _park_refused(self, batch: Batch, error: Rejected) -> None:
        """Park the changes an error names. Raises it again when it names none that is not parked."""
        refused = [(change, error.positions[position]) for position, change in batch if position in error.positions]
        why = Why.FATAL if isinstance(error, Deadly) else Why.REFUSED
        parked = [self._park(change, why, reason) for change, reason in refused]
        if not any(parked):
            raise error

    def _is_enough(self) -> bool:
        """Count a failure for which no reason is named; return True once it is no use to offer the whole again."""
        self._defects += 1
        return self._defects >= self._quarantine.attempts_max

    async def _park_defect(self, batch: Batch, write: Write, error: Defect) -> None:
        """Park the one change on which the sink fails, if it fails on it again; a range without one is no cause."""
        if not batch.changes:
            raise error
        try:
            await write(batch)
        except Defect as again:
            if not self._is_enough():
                raise
            self._park(batch.changes[0], Why.DEFECT, again.reason)

    async def _in_halves(self, batch: Batch, write: Write) -> Sequence[Parked]:
        """Offer a batch in two, so that what is well shows; the positions of both together have no hole."""
        middle = batch.positions[len(batch) // 2 - 1]
        rest = batch.after(middle)
        assert rest is not None
        return [*await self._offer(batch.upto(middle), write), *await self._offer(rest, write)]

    def _park(self, change: Change, why: Why, reason: str) -> bool:
        """Put the change's key into quarantine from this change on; return False when it is there already."""
        digest = self._quarantine.digest(change)
        known = self._cursor.parked.get(digest)
        if known is not None and known.first <= (change.epoch, change.sequence):
            return False  # an earlier change of the key was refused in the same breath
        if self._in_a_row >= PARKED_IN_A_ROW_MAX:
            raise PipelineError(
                f"{self._in_a_row + 1} changes were refused one after the other, and none was written: {reason}",
                hint="this is no matter of single changes: look at the destination and the topology's settings",
            )
        if len(self._cursor.parked) >= PARKED_KEYS_MAX:
            self._cursor.standing = True
            raise PipelineError(
                f"{len(self._cursor.parked)} keys are parked, and one more is refused: {reason}",
                hint="mend the destination; what `fanout quarantine redrive --all` can put through makes room",
            )
        self._in_a_row += 1
        self._reasons[digest] = reason
        key = ParkedKey(change.epoch, change.sequence, self._quarantine.hash_key(change), change.time_ms, why)
        self._cursor.park(digest, key)
        logger.warning("topology %s parks key %s: %s", self._topology, digest, why)
        return True

    async def _set_aside(self, batch: Batch) -> Batch:
        """Store the changes of parked keys; return the batch without them."""
        batch = self._without_rows(batch) if self._cursor.parked else batch
        parked = self._of_parked_keys(batch) if self._cursor.parked else []
        if any(each.digest not in self._slot.saved.parked for each, _ in parked):
            await self._save()
        for start in range(0, len(parked), PUTS_MAX):
            await asyncio.gather(*map(self._store, parked[start : start + PUTS_MAX]))
        return batch.without([each for each, _ in parked])

    def _without_rows(self, batch: Batch) -> Batch:
        """Return the batch without rows, read from the table, of keys that are parked: their own changes come later."""
        kept = [
            (position, change)
            for position, change in batch
            if change.kind is not ChangeKind.SNAPSHOT or not self._waits(change)
        ]
        return replace(batch, changes=tuple(c for _, c in kept), positions=tuple(p for p, _ in kept))

    def _waits(self, row: Change) -> bool:
        key = self._cursor.parked.get(self._quarantine.digest(row))
        return key is not None and key.first != (row.epoch, row.sequence)

    def _of_parked_keys(self, batch: Batch) -> list[tuple[Parked, Change]]:
        found = []
        for position, change in batch:
            digest, place = self._quarantine.digest(change), (change.epoch, change.sequence)
            key = self._cursor.parked.get(digest)
            if key is not None and place >= key.first:
                why = key.why if place == key.first else Why.LATER
                table, epoch, shard, sequence = change[:4]
                found.append((Parked(position, table, epoch, shard, sequence, change.keys, digest, why), change))
        return found

    async def _store(self, found: tuple[Parked, Change]) -> None:
        parked, change = found
        reason = "" if parked.why == Why.LATER else self._reasons.get(parked.digest, "")
        at = (self._cursor.shard, parked.position)
        data = form.encode(change, topology=self._topology, digest=parked.digest, at=at, why=parked.why, reason=reason)
        name = self._quarantine.name(self._topology, parked.digest, change)
        await self._quarantine.objects.create(name, data)  # taken: it was stored before, by us or an old owner
