"""A change at which the process dies: known by what was stored before it was offered, since nobody is left to tell.

Storing a mark before every write would cost a call each. So it is done in doubt only: when a checkpoint was claimed
several times and has not moved, or when the last owner left a mark.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from pipeline.delivery.deadline import ends_within
from pipeline.model.change import Batch
from pipeline.model.errors import Deadly, PipelineError
from pipeline.model.progress import Evidence
from pipeline.ports import Clock

STARTS_MAX = 3
"""From this claim on of a checkpoint that has not moved, what is offered is marked before."""
OFFERS_MAX = 3
"""A change that was offered alone so often, and each time the process ended, is not offered again."""
PARTS_MAX = 10
"""Into so many parts the changes that are suspected are cut: how many calls a death costs, instead of one a change."""
DOUBT_SECONDS = 60.0
"""How long after the claim the doubt lasts: who lives that long makes progress at every start."""
TURN_SECONDS = 10.0
"""After so long a marked write gives the turn to another that waits for it, and its mark is taken back."""
TURN_WAIT_SECONDS = 60.0
"""How long one waits for its turn; then it writes without a mark."""
TURN_LOOK_SECONDS = 0.05

Write = Callable[[Batch], Awaitable[None]]
Mark = Callable[[Evidence], Awaitable[None]]


class Turn:
    """Which marked write of this process is under way, if one is, and how many wait for theirs."""

    def __init__(self) -> None:
        self.taken = False
        self.waiting = 0


class Witness:
    """Marks what one topology is offered on one shard, while there is a doubt.

    Marked writes of a process take turns: when it dies, the mark is at what was being written. A write that hangs would
    keep the turn from the one that kills, and be blamed for it: so a turn that another waits for ends, whether or not
    the write has. The changes between the first and the last position of a mark that was left are offered in PARTS_MAX
    parts, of which one leaves a narrower mark if it kills again, until a change is alone with its mark.
    """

    def __init__(self, turn: Turn, clock: Clock, mark: Mark) -> None:
        self._turn = turn
        self._clock = clock
        self._mark = mark
        self._left = Evidence()
        self._until = 0.0
        self._has_turn = False

    def begin(self, found: Evidence) -> None:
        """Take up what the row said when it was claimed, this claim counted."""
        self._left = found
        doubtful = found.offers or found.starts >= STARTS_MAX
        self._until = self._clock.monotonic() + (DOUBT_SECONDS if doubtful else 0.0)

    async def through(self, batch: Batch, write: Write) -> None:
        """Have a batch written, in doubt in parts with a mark each. Raises Deadly for a change not to be offered."""
        await self._must_not_be_deadly(batch)
        if not self._doubts(batch):
            await write(batch)
            return
        try:
            for part in self._parts(batch):
                await self._offer(part, write)
            self._forget(batch)
            await self._mark(Evidence())
        finally:
            self._end_turn()

    def _doubts(self, batch: Batch) -> bool:
        """Return True when a mark is worth a call; what comes from quarantine may be there for just this reason."""
        if not batch.changes:
            return False
        return bool(batch.asked_by) or self._clock.monotonic() < self._until or self._suspects(batch)

    def _suspects(self, batch: Batch) -> bool:
        left = self._left
        return bool(left.offers) and left.of == _of(batch) and batch.first <= left.last and left.first <= batch.last

    async def _must_not_be_deadly(self, batch: Batch) -> None:
        left = self._left
        alone = left.offers >= OFFERS_MAX and left.first == left.last and self._suspects(batch)
        found = [change for position, change in batch if alone and position == left.first]
        if not found:
            return
        if batch.asked_by:  # who asks again, once it is mended, has it offered again
            self._left = Evidence()
            await self._mark(Evidence())
        raise Deadly(
            {left.first: f"the process ended {left.offers} times while this change of {found[0].table} was written"},
            hint=f"position {left.first}: the cause is in the plugin, or in what it calls; mend it, and stop and "
            "start the workers in an orderly way; with a section [quarantine] its key waits and the rest flows",
        )

    def _parts(self, batch: Batch) -> Iterator[Batch]:
        """Yield what is offered at a time: what somebody died of in a few parts, what lies around it whole."""
        rest: Batch | None = batch
        if self._suspects(batch):
            left = self._left
            if batch.first < left.first:
                yield batch.upto(left.first - 1)
                rest = batch.after(left.first - 1)
            suspects = [p for p in batch.positions if left.first <= p <= left.last]
            size = max(1, -(-len(suspects) // PARTS_MAX))
            for position in reversed(suspects[::-size]):
                assert rest is not None
                yield rest.upto(position)
                rest = rest.after(position)
        if rest is not None:
            yield rest

    async def _offer(self, part: Batch, write: Write) -> None:
        if not part.changes or not await self._take_turn():
            await write(part)
            return
        mark = Evidence(0, _of(part), part.positions[0], part.positions[-1], 1)
        before = self._left.offers if self._left[1:4] == mark[1:4] else 0
        await self._mark(mark._replace(offers=before + 1))
        try:
            await self._write(part, write)
        except Exception:  # whoever raises is not dead
            self._forget(part)
            await self._mark(Evidence())
            raise

    async def _write(self, part: Batch, write: Write) -> None:
        """Return when the write has ended, however long that takes; the turn may end earlier."""
        writing = asyncio.ensure_future(write(part))
        try:
            while self._has_turn and not await ends_within(writing, self._clock, TURN_SECONDS):
                if self._turn.waiting:
                    await self._let_others()
            await asyncio.wait([writing])
        finally:
            if not writing.done():
                writing.cancel()
                await asyncio.wait([writing])
        writing.result()

    async def _let_others(self) -> None:
        """Leave in the row what was left there before, and end the turn; a mark that cannot be taken back keeps it."""
        try:
            await self._mark(self._left)
        except PipelineError:
            return
        self._end_turn()

    def _forget(self, batch: Batch) -> None:
        """Suspect nothing any more that has come to an end."""
        if self._suspects(batch) and batch.last >= self._left.last:
            self._left = Evidence()

    async def _take_turn(self) -> bool:
        until = self._clock.monotonic() + TURN_WAIT_SECONDS
        self._turn.waiting += 1
        try:
            while not self._has_turn and self._turn.taken:
                if self._clock.monotonic() >= until:
                    return False
                await self._clock.sleep(TURN_LOOK_SECONDS)
        finally:
            self._turn.waiting -= 1
        self._has_turn = self._turn.taken = True
        return True

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = self._turn.taken = False


def _of(batch: Batch) -> str:
    """Return which numbering a batch's positions belong to: what comes from quarantine has its own."""
    return batch.shard if batch.asked_by else ""
