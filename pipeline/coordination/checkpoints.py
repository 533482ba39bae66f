"""Checkpoints that only their claimant can move."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.model.backoff import CALLS
from pipeline.model.errors import Corrupt, LeaseLost, RetryLater
from pipeline.model.progress import Checkpoint, Evidence
from pipeline.ports import Chance, Clock, StateRow, StateStore
from pipeline.wire import checkpoint as form
from pipeline.wire import evidence as evidence_form

CLAIM_ATTEMPTS_MAX = 20
PUT_ATTEMPTS_MAX = 8


async def read_many(store: StateStore, keys: Sequence[str]) -> dict[str, Checkpoint]:
    """Return the checkpoints that exist among `keys`. Raises RetryLater or Corrupt."""
    rows = await store.read(keys)
    return {key: form.from_fields(row.fields, key) for key, row in rows.items()}


class _Put(NamedTuple):
    """A write of the row, on the condition that it has the version we know."""

    row: StateRow
    expected: int | None
    checkpoint: Checkpoint


class CheckpointSlot:
    """One checkpoint row and the right to move it.

    `claim` raises the row's version, which fences out whoever wrote it before: an old owner's next save is refused by
    the store, whatever it believes about its lease.
    """

    def __init__(self, store: StateStore, clock: Clock, chance: Chance, key: str, owner: str) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._owner = owner
        self._version = -1
        self._unanswered: _Put | None = None
        """What was written last, while nobody has said what became of it: it may be stored, or on its way."""
        self.key = key
        self.lost = False
        """True once a save was refused because somebody else has claimed the row: no later one succeeds."""
        self.saved = Checkpoint()
        self.evidence = Evidence()
        """What the row says of starts, and of what is being written: stored with every checkpoint."""

    async def claim(self, initial: Checkpoint | None = None) -> Checkpoint:
        """Take over the row and return its checkpoint, or make one of `initial`. Raises RetryLater or Corrupt."""
        for _ in range(CLAIM_ATTEMPTS_MAX):
            row = await self._read()
            self.saved = form.from_fields(row.fields, self.key) if row else initial or Checkpoint()
            found = evidence_form.from_fields(row.fields, self.key) if row else Evidence()
            self.evidence = found._replace(starts=found.starts + 1)
            if await self._put(self._next(self.saved, row.version if row else None)):
                return self.saved
        msg = f"the checkpoint {self.key} is claimed by others again and again"
        raise RetryLater(msg, hint="do two workers run with one id?")

    async def save(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint that is not behind the last.

        Raises LeaseLost when another worker has claimed the row, RetryLater when the outcome stayed unknown: the
        checkpoint then counts as not stored, until the next call, which finds out.
        """
        assert self._version >= 0, "claimed first"
        if self._unanswered is not None:
            await self._move(self._unanswered)
        if _progress(checkpoint) < _progress(self.saved) or (checkpoint.sequence or -1) < (self.saved.sequence or -1):
            msg = f"the checkpoint {self.key} would move backwards"
            raise Corrupt(msg, hint="this is a defect: please report it")
        if checkpoint != self.saved:
            self.evidence = self.evidence._replace(starts=0)
        await self._move(self._next(checkpoint, self._version))

    async def is_ours(self) -> bool:
        """Return True when nobody else has claimed the row since we did. Raises RetryLater."""
        row = await self._read()
        return row is not None and (
            row.version == self._version or (self._unanswered is not None and _is_as(row, self._unanswered.row))
        )

    async def _read(self) -> StateRow | None:
        return (await self._store.read([self.key])).get(self.key)

    def _next(self, checkpoint: Checkpoint, expected: int | None) -> _Put:
        version = 0 if expected is None else expected + 1
        told = {**evidence_form.to_fields(self.evidence), "owner": self._owner, "entityType": "CHECKPOINT"}
        return _Put(StateRow(self.key, version, {**form.to_fields(checkpoint), **told}), expected, checkpoint)

    async def _move(self, put: _Put) -> None:
        if not await self._put(put):
            self.lost = True
            msg = f"another worker has claimed {self.key}"
            raise LeaseLost(msg)

    async def _put(self, put: _Put) -> bool:
        """Write the row; return False when it has another's version. Raises RetryLater.

        Who gave no answer is asked for the same again: so it is known what is stored, and what comes late is refused.
        """
        for attempt in range(1, PUT_ATTEMPTS_MAX + 1):
            again, self._unanswered = self._unanswered == put, put
            try:
                done = await self._store.write(put.row, put.expected)
            except RetryLater as error:
                await self._clock.sleep(CALLS.seconds(attempt, self._chance.fraction(), error.after_seconds))
                continue
            if not done and again:
                stored = await self._read()
                done = stored is not None and _is_as(stored, put.row)
            self._unanswered = None
            if not done:
                return False
            self._version, self.saved = put.row.version, put.checkpoint
            return True
        msg = f"the checkpoint {self.key} could not be stored"
        raise RetryLater(msg, hint="is the state table reachable and not throttled?")


def _is_as(stored: StateRow, row: StateRow) -> bool:
    """Return True when the row is there as we wrote it: our own call whose answer was lost."""
    return stored.version == row.version and all(stored.fields.get(name) == at for name, at in row.fields.items())


def _progress(checkpoint: Checkpoint) -> tuple[int, int]:
    return checkpoint.part, checkpoint.position
