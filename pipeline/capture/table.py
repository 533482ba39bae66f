"""All shards of one table's stream, parents before children, shared with other workers by leases."""

from collections.abc import Mapping

from pipeline.capture.shard import ShardCapture
from pipeline.coordination.crew import Crew
from pipeline.coordination.leases import SHARD_END, Leases
from pipeline.coordination.rounds import Rounds
from pipeline.model.errors import Gap
from pipeline.model.shard import Shard, ready
from pipeline.ports import Clock, StateRow, StateStore, TableStream

ABSENT_LISTINGS_MIN = 3
"""DescribeStream is eventually consistent: this many listings in a row must agree that a parent is trimmed, or that no
child follows."""
CONFIRM_SECONDS = 1.0


class TableCapture(Rounds):
    """Discovers a table's shards, leases those that may be read now, and runs a capture on each.

    A child is leased only when its parent's lease row says SHARD_END, or when no trace of the parent is left: neither
    in several listings nor, unfinished, in the state table.
    """

    def __init__(
        self, stream: TableStream, store: StateStore, leases: Leases, crew: Crew[ShardCapture], clock: Clock
    ) -> None:
        super().__init__(f"capture of table {stream.table}", clock)
        self._stream = stream
        self._store = store
        self._leases = leases
        self._crew = crew
        self._known: dict[str, Shard] = {}
        self._children: dict[str, Shard] = {}
        self._absent: dict[str, int] = {}
        self._listings_ended = 0
        self._all_finished = False

    @property
    def table(self) -> str:
        """Return the table's name."""
        return self._stream.table

    @property
    def captures(self) -> Mapping[str, ShardCapture]:
        """Return the captures of the shards this worker holds."""
        return self._crew.processors

    async def _step(self) -> None:
        """Finish, discover, lease, start. Raises Gap, after all the rest is done, when a shard is gone unread."""
        await self._finish()
        try:
            await self._discover()
        finally:  # a listing that does not come costs no lease
            await self._lease()
        self._listings_ended = self._listings_ended + 1 if self._all_finished else 0

    async def _look(self) -> None:
        if await self._leases.called():
            await self._lease()

    async def _lease(self) -> None:
        """Lease and start what may be read, as the last listing had it. Raises Gap as `_step` does."""
        family = sorted(set(self._known) | set(self._absent))
        rows = await self._store.read([self._leases.key(shard) for shard in family])
        by_shard = {shard: rows[self._leases.key(shard)] for shard in family if self._leases.key(shard) in rows}
        finished = {shard for shard, row in by_shard.items() if _is_finished(row)}
        self._all_finished = bool(self._known) and finished >= set(self._known)
        lost = {shard for shard in self._absent if shard in by_shard} - finished
        doubtful = lost | {shard for shard, count in self._absent.items() if count < ABSENT_LISTINGS_MIN}
        known = self._known | {shard: Shard(shard) for shard in doubtful}
        readable = {shard.id for shard in self._known.values() if ready(shard, known, finished)}
        await self._crew.step(list(self._known), lambda shard, row: shard in readable and not _is_finished(row))
        if lost:
            msg = f"shards are gone before they were read to their end: {', '.join(sorted(lost))}"
            raise Gap(
                msg, hint="changes were lost; their children wait. Copy the table again, then remove these leases"
            )

    async def _expire(self) -> None:
        await self._crew.expire()

    async def _finish(self) -> None:
        """Mark ended shards in their lease row, which lets their children start, and look for these children."""
        for shard, capture in list(self.captures.items()):
            if capture.ended:
                self._children |= {child.id: child for child in await self._stream.shards(shard)}
                await self._leases.release(shard, {"checkpoint": SHARD_END})
                await self._crew.stop(shard)
                await self._leases.call()

    async def _discover(self) -> None:
        """Read the listing; what we hold, or were told of, stays known, and parents that are not listed are counted."""
        held = {shard: self._known[shard] for shard in self.captures if shard in self._known}
        listed = {shard.id: shard for shard in await self._stream.shards()}
        self._children = {shard: child for shard, child in self._children.items() if shard not in listed}
        self._known = held | self._children | listed
        parents = {parent for shard in self._known.values() for parent in shard.parents}
        self._absent = {parent: self._absent.get(parent, 0) + 1 for parent in parents - set(self._known)}

    async def _leave(self) -> None:
        """Stop where we are. A put that is under way may come again: a repeat, not a loss."""
        await self._crew.release_all()

    def _has_ended(self) -> bool:
        return self._crew.has_died() or any(capture.ended for capture in self.captures.values())

    def _due_at(self) -> float:
        return self._leases.due_at

    def _pause_seconds(self, step_seconds: float) -> float:
        unconfirmed = any(count < ABSENT_LISTINGS_MIN for count in self._absent.values())
        return CONFIRM_SECONDS if unconfirmed else step_seconds

    def _finding(self) -> str:
        """Return what to say of a stream of which every shard is read to its end, and none follows; empty otherwise."""
        if self._listings_ended < ABSENT_LISTINGS_MIN:
            return ""
        return (
            f"the stream of table {self.table} has ended and all of it is captured"
            " (was the table deleted, or its stream switched off? What changes until a new stream is on is in neither;"
            " a new start says so and waits for --accept-gap)"
        )


def _is_finished(row: StateRow) -> bool:
    return row.fields.get("checkpoint") == SHARD_END
