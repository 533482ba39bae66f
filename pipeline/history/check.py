"""`fanout archive check`: is everything there that was written, and nothing else?"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.history.archive import LOST_OBJECT, Problem, Step, walk
from pipeline.history.check_snapshots import Snapshots, look
from pipeline.ports import ObjectStore
from pipeline.wire import segment

PROBLEMS_MAX = 1_000
"""How many problems a report lists; more are only counted."""


@dataclass(slots=True)
class ShardSummary:
    """What the archive has of one Kinesis shard."""

    objects: int = 0
    changes: int = 0
    parked: int = 0
    """Placeholders of changes in quarantine; once put through, a change is in a shard `redriven-…`."""
    first: int = 0
    """The first position that is there; 0 while nothing is."""
    last: int = 0
    first_ms: int = 0
    """Creation time of the oldest change; 0 while there is none."""
    last_ms: int = 0

    def add(self, found: segment.Segment) -> None:
        """Count a segment."""
        self.first = self.first or found.header.first
        self.last = max(self.last, found.header.last)
        self.changes += len(found.batch)
        self.parked += len(found.batch.parked)
        for change in found.batch.changes:
            self.first_ms = min(self.first_ms or change.time_ms, change.time_ms)
            self.last_ms = max(self.last_ms, change.time_ms)


@dataclass(slots=True)
class ArchiveReport:
    """What `check` found."""

    shards: dict[str, ShardSummary] = field(default_factory=dict)
    """By `<stream>/<shard>`."""
    objects: int = 0
    size_bytes: int = 0
    problems_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    snapshots: Snapshots = field(default_factory=Snapshots)

    @property
    def sound(self) -> bool:
        """Return True when nothing is wrong."""
        return self.problems_count == 0

    @property
    def changes(self) -> int:
        """Return the number of changes in segments that can be read."""
        return sum(shard.changes for shard in self.shards.values())

    @property
    def first_ms(self) -> int:
        """Return the creation time of the oldest change, 0 when there is none."""
        return min((shard.first_ms for shard in self.shards.values() if shard.first_ms), default=0)

    @property
    def last_ms(self) -> int:
        """Return the creation time of the newest change, 0 when there is none."""
        return max((shard.last_ms for shard in self.shards.values()), default=0)

    def add(self, step: Step) -> None:
        """Count an object of the walk."""
        self.objects += 1
        self.size_bytes += step.size_bytes
        for problem in (*step.problems, *self.snapshots.contradictions(step)):
            self.complain(problem)
        if step.segment is not None:
            self.shards.setdefault(step.shard, ShardSummary()).add(step.segment)

    def complain(self, problem: Problem) -> None:
        """Count a problem, and list it while there is room."""
        self.problems_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


async def check(objects: ObjectStore, delivered: Mapping[str, int]) -> ArchiveReport:
    """Read every object once and return what is there and what is wrong with it; what was pruned is not missed.

    `delivered` has, by `<stream>/<shard>`, up to which position the archive's checkpoint says that all is stored: read
    it before, so that what is appended meanwhile does no harm. Memory is one expanded segment and what waits.
    """
    report = ArchiveReport()
    async for problem in look(objects, report.snapshots):
        report.complain(problem)
    starts, told = report.snapshots.starts, report.snapshots.reached()
    async for step in walk(objects, starts):
        report.add(step)
    reached = {shard: link.last for shard, link in starts.items()}
    reached |= {shard: found.last for shard, found in report.shards.items()}
    cut = ends(reached, delivered)
    cut += ends(reached, {shard: last for shard, last in told.items() if last > delivered.get(shard, 0)}, "a snapshot")
    for problem in cut:
        report.complain(problem)
    return report


def ends(reached: Mapping[str, int], delivered: Mapping[str, int], says: str = "its checkpoint") -> list[Problem]:
    """Return a problem for every shard that ends before what its checkpoint says was stored: its end was removed."""
    problems = []
    for shard, position in sorted(delivered.items()):
        last = reached.get(shard, 0)
        if last < position:
            stream, _, kinesis_shard = shard.partition("/")
            name = segment.KIND.name(stream, kinesis_shard, last + 1)
            reason = f"shard {shard} ends at position {last}, {says} says {position}: object {name} is missing"
            problems.append(Problem(name, last + 1, position, reason, LOST_OBJECT))
    return problems
