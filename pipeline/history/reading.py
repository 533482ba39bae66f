"""One pass over the archive into traces, and the questions that must be answered before anything is made of them."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from pipeline.history.archive import segments
from pipeline.history.base import Base, starts_of
from pipeline.history.check import ends
from pipeline.history.moment import Moment, text_of
from pipeline.history.traces import Traces
from pipeline.history.watermark import Watermark
from pipeline.model.change import ChangeKind
from pipeline.model.errors import Misconfigured
from pipeline.model.gap import GapRecord
from pipeline.ports import ObjectStore
from pipeline.wire.gap import from_image
from pipeline.wire.segment import Segment

NO_CHANGE = "is it the right topology and table? `fanout archive check` tells whether something is missing"


@dataclass(slots=True)
class Pass:
    """What one pass over the archive has met."""

    segments: int = 0
    changes: int = 0
    first_ms: int = 0
    """Creation time of the table's oldest change; 0 while there is none."""
    reached: dict[str, int] = field(default_factory=dict)
    """The last position of each `<stream>/<shard>`."""
    gaps: dict[str, GapRecord] = field(default_factory=dict)
    """By their id: changes of the table that never reached the archive, as it tells of them."""
    snapshot: str = ""
    """The manifest it began with; empty when it began with the first segment."""

    def note(self, found: Segment, table: str) -> None:
        """Count a segment."""
        self.segments += 1
        self.changes += found.header.count
        shard = f"{found.header.stream}/{found.header.shard}"
        self.reached[shard] = max(self.reached.get(shard, 0), found.header.last)
        for change in found.batch.changes:
            if change.table == table and change.kind is ChangeKind.GAP:
                self._mark(change.after or b"", shard)
            elif change.table == table and not 0 < self.first_ms <= change.time_ms:
                self.first_ms = change.time_ms

    def begin(self, base: Base, table: str) -> None:
        """Take over what a snapshot says of all that is before it."""
        self.snapshot = base.name
        self.reached = {shard: link.last for shard, link in base.starts.items()}
        known = base.manifest.table(table)
        if known is not None:
            self.first_ms = known.first_ms
            for mark in known.gaps:
                self._mark(bytes(mark), base.name)

    def _mark(self, image: bytes, where: str) -> None:
        gap = from_image(image, where)
        if gap.id not in self.gaps or self.gaps[gap.id].state.step < gap.state.step:
            self.gaps[gap.id] = gap


async def gather(
    objects: ObjectStore,
    table: str,
    traces: Traces,
    delivered: Mapping[str, int],
    *,
    base: Base | None = None,
    progress: Callable[[Pass], None] = lambda _: None,
) -> Pass:
    """Read every segment behind `base`, its hashes checked, into traces made with it; return what was met.

    What the snapshot itself has is checked when the traces are read. Raises Corrupt when an object is missing or is not
    what was written: so no restore begins from half an archive.
    """
    met = Pass()
    if base is not None:
        met.begin(base, table)
    async for found in segments(objects, starts_of(base)):
        met.note(found, table)
        await traces.add(found.batch)
        progress(met)
    for problem in ends(met.reached, delivered):
        raise problem.error()
    return met


async def counted(
    found: AsyncIterator[Segment], met: Pass, table: str, progress: Callable[[Pass], None]
) -> AsyncIterator[Segment]:
    """Yield segments; note each, and tell of it."""
    async for each in found:
        met.note(each, table)
        progress(met)
        yield each


def must_not_lie_ahead(moment: Moment, now_ms: int) -> None:
    """Raise Misconfigured for a second that is not over."""
    if moment.end_ms > now_ms:
        raise Misconfigured(
            f"{moment} is not over: it is {text_of(now_ms)} now", hint="give a time in the past; is the zone right?"
        )


def must_be_complete(moment: Moment, mark: Watermark) -> None:
    """Raise Misconfigured for a moment the archive does not reach for certain yet."""
    if moment.end_ms <= mark.time_ms:
        return
    upto = text_of(mark.time_ms - 1000) if mark.time_ms else "no moment"
    held = f": {mark.bounds[0].place}: {mark.bounds[0].why}" if mark.bounds else ""
    raise Misconfigured(
        f"the archive is complete up to {upto}, not to {moment}{held}",
        hint="give an earlier time, or wait until the archive has caught up (`fanout archive check` shows it)",
    )


def must_have_begun(moment: Moment, first_ms: int, table: str) -> None:
    """Raise Misconfigured for a moment before the first change of the table in the archive."""
    if not first_ms:
        raise Misconfigured(f"the archive has no change of table {table}", hint=NO_CHANGE)
    if moment.end_ms <= first_ms:
        raise Misconfigured(
            f"the archive begins at {text_of(first_ms)}: what the table was at {moment} is not in it",
            hint="give that time or a later one",
        )
