"""Proving that nobody edited the audit log: every hash of every chain is computed again."""

from dataclasses import dataclass, field

from pipeline.model.errors import Corrupt
from pipeline.model.gap import GapRecord
from pipeline.ports import ObjectStore
from pipeline.wire import chain
from pipeline.wire.packed import Link

PROBLEMS_MAX = 1_000
"""How many problems a report lists; more are only counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A place where a chain does not hold: in an object, between two positions, both included."""

    object: str
    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: keep it elsewhere, to see later whether the end was cut off."""

    position: int
    seal: str


@dataclass(slots=True)
class Report:
    """What `verify_chain` found."""

    heads: dict[str, Head] = field(default_factory=dict)
    """By `chain/<stream>/<shard>`."""
    objects: int = 0
    entries: int = 0
    parked: int = 0
    """Entries that stand for a change in quarantine; once it is put through, it has an entry of its own."""
    gaps: dict[str, GapRecord] = field(default_factory=dict)
    """By their id: changes that never reached the log, as it tells of them."""
    problems_count: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Return True when every hash fits."""
        return self.problems_count == 0

    def note(self, gap: GapRecord) -> None:
        """Keep what is said last of a gap; every chain tells of it."""
        known = self.gaps.get(gap.id)
        if known is None or known.state.step < gap.state.step:
            self.gaps[gap.id] = gap

    def add(self, name: str, first: int, last: int, reason: str) -> None:
        """Count a problem, and list it while there is room."""
        self.problems_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(name, first, last, reason))


async def verify_chain(objects: ObjectStore) -> Report:
    """Return a report on all chains: each changed, missing, swapped, repeated or foreign entry or object is a problem.

    One object is in memory at a time. After a problem the rest is checked on from what is stored, so that one edit is
    one problem or two. What cannot be seen from the log alone is that a chain's last objects are gone, or that
    somebody with write access computed all hashes anew: compare `heads` with ones that were kept elsewhere.
    """
    report = Report()
    folder, link = "", None
    async for name in objects.names(f"{chain.KIND.folder}/"):
        if not chain.KIND.owns(name):
            report.add(name, 0, 0, f"object {name} is none of an audit log: find out who put it there")
            continue
        if not name.startswith(f"{folder}/"):
            folder, link = name.rpartition("/")[0], None
        link = await _verify_object(objects, name, link, report)
        if link:
            report.heads[folder] = Head(link.last, link.seal)
    return report


async def _verify_object(objects: ObjectStore, name: str, link: Link | None, report: Report) -> Link | None:
    """Check one object against its predecessor; return it as its own successor sees it."""
    report.objects += 1
    try:
        block = chain.decode(name, await objects.read(name) or b"")
        found_gaps = list(chain.gaps(block))
    except Corrupt as error:
        start = link.last + 1 if link else 1
        report.add(name, start, start, error.reason)
        return link
    header = block.header
    link = link or chain.KIND.genesis(header.stream, header.shard)
    if header.first > link.last + 1:
        report.add(
            name, link.last + 1, header.first - 1, f"positions {link.last + 1} to {header.first - 1} are missing"
        )
    elif not header.follows(link):
        report.add(name, min(header.first, link.last), header.first, f"it does not follow {link.name or 'the start'}")
    report.entries += len(block.lines) - 1
    report.parked += chain.placeholders_in(block)
    for gap in found_gaps:
        report.note(gap)
    for found in chain.breaks(block):
        report.add(name, *found)
    return header.link(name, block.seal)
