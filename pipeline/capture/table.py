"""All shards of one table's stream, parents before children, shared with other workers by leases."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pipeline.capture.epochs import Epochs
from pipeline.capture.shard import ShardCapture
from pipeline.capture.vanished import Vanished
from pipeline.coordination.crew import Crew
from pipeline.coordination.gaps import Gaps
from pipeline.coordination.leases import SHARD_END, Leases
from pipeline.coordination.losswatch import LossWatch
from pipeline.coordination.rounds import Rounds
from pipeline.model.errors import Gap, LeaseLost
from pipeline.model.shard import Shard, ready
from pipeline.ports import Clock, StateRow, StateStore, TableStream

ABSENT_LISTINGS_MIN = 3
"""DescribeStream is eventually consistent: this many listings in a row must agree that a parent is trimmed, or that no
child follows."""
CONFIRM_SECONDS = 1.0


class StreamTools(NamedTuple):
    """What works on one stream of a table, and on no other."""

    leases: Leases
    crew: Crew[ShardCapture]
    epochs: Epochs
    vanished: Vanished


class TableCapture(Rounds):
    """Discovers a table's shards, leases those that may be read now, and runs a capture on each.

    A child is leased only when its parent's lease row says SHARD_END. A parent that is gone without having been read
    gets such a row only when the pipeline begins with this stream, or when its gap was accepted. When the stream has
    ended, the table's later one is taken up as a start would: its gap is met first.
    """

    def __init__(
        self,
        stream: TableStream,
        store: StateStore,
        gaps: Gaps,
        clock: Clock,
        tools: Callable[[TableStream], StreamTools],
    ) -> None:
        super().__init__(f"capture of table {stream.table}", clock)
        self._store = store
        self.gaps = gaps
        self._tools = tools
        self._watch = LossWatch()
        self._begin_with(stream)

    def _begin_with(self, stream: TableStream) -> None:
        """Know nothing yet of a stream."""
        self._stream = stream
        self._leases, self._crew, self._epochs, self._vanished = self._tools(stream)
        self._known: dict[str, Shard] = {}
        self._children: dict[str, Shard] = {}
        self._ended: list[str] = []
        """Shards we have read to their end, whose children were not asked for yet."""
        self._absent: dict[str, int] = {}
        self._listings_ended = 0
        self._begun: bool | None = None
        """None while this stream may not be captured."""
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
        self._watch.look({f"capture of {self.table} on {s}": each.retention for s, each in self.captures.items()})
        if self._listings_ended >= ABSENT_LISTINGS_MIN:
            await self._take_later()
        await self._finish()
        await self._admit()
        try:
            await self.gaps.refresh()
            await self._discover()
        finally:  # a listing that does not come costs no lease
            await self._lease()
        self._listings_ended = self._listings_ended + 1 if self._all_finished else 0

    async def _take_later(self) -> None:
        """Go on with the stream the table has now, when that is another: nobody need start us anew for it."""
        later = await self._stream.later()
        if later is not None:
            await self._crew.release_all()
            self._begin_with(later)

    async def _look(self) -> None:
        if self._begun is not None and await self._leases.called():
            await self._lease()

    async def _lease(self) -> None:
        """Lease and start what may be read, as the last listing had it. Raises Gap as `_step` does."""
        by_shard = await self._rows()
        gone = await self._gone(by_shard)
        if gone:
            by_shard = await self._rows()  # read again: what was gone when we asked may have been finished before
        finished = {shard for shard, row in by_shard.items() if _is_finished(row)}
        self._all_finished = bool(self._known) and finished >= set(self._known)
        known = self._known | {shard: Shard(shard) for shard in self._absent}
        readable = {shard.id for shard in self._known.values() if ready(shard, known, finished)}
        await self._crew.step(list(self._known), lambda shard, row: shard in readable and not _is_finished(row))
        if not self._begun:
            await self._begin(gone - set(by_shard), complete=set(self._absent) <= gone | finished)
            gone &= set(by_shard)
        await self._stop_at({shard: by_shard.get(shard) for shard in sorted(gone - finished)})

    async def _rows(self) -> dict[str, StateRow]:
        """Return the lease rows there are of the shards that are known, or named as parents."""
        family = {self._leases.key(shard): shard for shard in sorted(set(self._known) | set(self._absent))}
        return {family[key]: row for key, row in (await self._store.read(list(family))).items()}

    async def _gone(self, by_shard: Mapping[str, StateRow]) -> set[str]:
        """Return the parents that are in no listing, nor found by name, nor read to their end."""
        absent = {shard for shard, count in self._absent.items() if count >= ABSENT_LISTINGS_MIN}
        unread = absent - {shard for shard, row in by_shard.items() if _is_finished(row)}
        return {shard for shard in sorted(unread) if await self._vanished.is_gone(shard)}

    async def _admit(self) -> None:
        """Learn whether the capture of this stream has begun; what it holds is let go when it is another's turn."""
        try:
            self._begun = await self._epochs.admit()
        except (Gap, LeaseLost) as error:
            self._begun = None
            if isinstance(error, LeaseLost):  # others went on with a later stream
                self._listings_ended = ABSENT_LISTINGS_MIN
            await self._crew.release_all()
            raise

    async def _begin(self, never_read: set[str], *, complete: bool) -> None:
        """Let shards be whose parents had been trimmed before this pipeline began: what it had to read was not lost."""
        for shard in sorted(never_read):
            await self._vanished.pass_over(shard, None)
        if complete:
            await self._epochs.note_begun()

    async def _stop_at(self, lost: Mapping[str, StateRow | None]) -> None:
        """Raise Gap while a shard that is gone unread keeps its children waiting."""
        told = [why for shard, row in lost.items() if (why := await self._vanished.meet(shard, row))]
        if told:
            raise Gap("; ".join(told))

    async def _expire(self) -> None:
        await self._crew.expire()

    async def _finish(self) -> None:
        """Mark ended shards in their lease row, which lets their children start, wherever these are known."""
        for shard, capture in list(self.captures.items()):
            if capture.ended:
                await self._leases.release(shard, {"checkpoint": SHARD_END})
                self._ended.append(shard)
                await self._crew.stop(shard)
                await self._leases.call()

    async def _list(self, parent: str | None = None) -> tuple[Shard, ...]:
        """Return the listing. Raises Gap when the stream is gone, which counts as its end."""
        try:
            return await self._stream.shards(parent)
        except Gap:
            self._listings_ended += 1
            raise

    async def _discover(self) -> None:
        """Read the listing; what we hold, or were told of, stays known, and parents that are not listed are counted.

        The children of shards that ended here are asked for once, by name: the listing may show them late.
        """
        ended, self._ended = self._ended, []
        for shard in ended:
            self._children |= {child.id: child for child in await self._list(shard)}
        held = {shard: self._known[shard] for shard in self.captures if shard in self._known}
        listed = {shard.id: shard for shard in await self._list()}
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
            " when one with both images is on, it is met here, as a gap)"
        )


def _is_finished(row: StateRow) -> bool:
    return row.fields.get("checkpoint") == SHARD_END
