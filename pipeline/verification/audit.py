"""Proving that nobody edited the audit log: every hash of every chain is computed again, and held against the roots."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pipeline.model.errors import Corrupt
from pipeline.model.gap import GapRecord
from pipeline.ports import ObjectStore
from pipeline.verification.locate import first_difference
from pipeline.wire import chain
from pipeline.wire.packed import Header, Link, sha256
from pipeline.wire.root import Root, Vouched

PROBLEMS_MAX = 1_000
"""How many problems a report lists; more are only counted."""


FOLDER_PARTS = 3
"""A chain's folder: `chain/<stream>/<shard>`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A place where a chain does not hold: in an object, between two positions, both included."""

    object: str
    first: int
    last: int
    reason: str
    entry: int = 0
    """The entry in the object, from 1; 0 when it is the object as a whole, or cannot be told."""


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
    vouched: int = 0
    """Entries that are what a trusted root says."""
    parked: int = 0
    """Entries that stand for a change in quarantine; once it is put through, it has an entry of its own."""
    children: list[Header] = field(default_factory=list)
    """Headers of chains that began where others ended: one for each such chain."""
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

    def add(self, name: str, first: int, last: int, reason: str, entry: int = 0) -> None:
        """Count a problem, and list it while there is room."""
        self.problems_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(name, first, last, reason, entry))


async def verify_chain(
    objects: ObjectStore, roots: AsyncIterator[Root | None] | None = None, report: Report | None = None
) -> Report:
    """Return a report on all chains; each changed, missing, swapped, repeated or foreign entry or object is a problem.

    `roots` are those that can be trusted, in order, and None for one that cannot; `report` is gone on with. What they
    vouch for is compared with what they say; what came after the last is followed by its hashes alone, as everything
    is without roots: that its end is gone, or that somebody computed all its hashes anew, cannot be seen there. One
    object, one root and the ends of the chains are in memory. After a problem the rest is checked on from what is
    stored or vouched for, so that one edit is one problem or two.
    """
    walk = _Walk(objects, report or Report())
    sure = True
    async for root in roots or _none():
        if root is None:
            sure = False
            continue
        for vouched in root.objects:
            await walk.chain(vouched, root).reach(vouched, root, sure=sure)
        sure = True
    return await walk.rest()


async def _none() -> AsyncIterator[Root | None]:
    nothing: tuple[Root, ...] = ()
    for each in nothing:
        yield each


class _Walk:
    """All chains of a log, each as far as it was walked."""

    def __init__(self, objects: ObjectStore, report: Report) -> None:
        self._objects = objects
        self._report = report
        self._chains: dict[str, _Chain] = {}

    def chain(self, vouched: Vouched, root: Root) -> "_Chain":
        """Return the chain of an object."""
        return self._at(vouched.name(root.stream).rpartition("/")[0])

    async def rest(self) -> Report:
        """Walk every chain to its end, also those nobody spoke of."""
        after = ""
        while name := await self._first_after(after):
            parts = name.split("/")
            if len(parts) <= FOLDER_PARTS:
                self._report.add(name, 0, 0, _foreign(name))
                after = name
                continue
            folder = "/".join(parts[:FOLDER_PARTS])
            walked = self._at(folder)
            await walked.rest()
            if walked.link:
                self._report.heads[folder] = Head(walked.link.last, walked.link.seal)
            after = f"{folder}/~"
        self._look_at_parents()
        return self._report

    def _look_at_parents(self) -> None:
        """Compare the ends of chains with what their children's first objects say of them."""
        for header in self._report.children:
            for parent in header.parents:
                head = self._report.heads.get(f"{chain.KIND.folder}/{header.stream}/{parent.shard}")
                genesis = chain.KIND.genesis(header.stream, parent.shard)
                if (parent.last, parent.seal) != ((head.position, head.seal) if head else (0, genesis.seal)):
                    ended = f"{parent.shard} ended at position {parent.last}"
                    reason = f"it begins where {ended}, but that chain ends otherwise: one of them was changed"
                    self._report.add(chain.KIND.name(header.stream, header.shard, 1), 1, 1, reason)

    def _at(self, folder: str) -> "_Chain":
        if folder not in self._chains:
            self._chains[folder] = _Chain(self._objects, folder, self._report)
        return self._chains[folder]

    async def _first_after(self, after: str) -> str | None:
        async for name in self._objects.names(f"{chain.KIND.folder}/", after):
            return name
        return None


class _Chain:
    """One chain, as far as it was walked."""

    def __init__(self, objects: ObjectStore, folder: str, report: Report) -> None:
        self.link: Link | None = None
        self._objects = objects
        self._report = report
        self._names = objects.names(f"{folder}/")
        self._next: str | None = None

    async def reach(self, vouched: Vouched, root: Root, *, sure: bool) -> None:
        """Walk up to the object that a root vouches for; `sure` when every object before it was vouched for, too."""
        name = vouched.name(root.stream)
        while (found := await self._peek()) is not None and found < name:
            if sure:
                first = chain.KIND.first_of(found)
                self._report.add(found, first, first, f"it was added: root {root.number} knows of no such object")
            else:
                await self._follow(found)
            self._next = None
        if found == name:
            self._next = None
            await self._compare(name, vouched, root)
        else:
            reason = f"it is missing, and with it the positions {vouched.first} to {vouched.last}"
            self._report.add(name, vouched.first, vouched.last, f"{reason}, as root {root.number} tells")
        self.link = vouched.link(root.stream)

    async def rest(self) -> None:
        """Walk to the end, by hashes alone."""
        while (name := await self._peek()) is not None:
            self._next = None
            await self._follow(name)

    async def _peek(self) -> str | None:
        while self._next is None:
            name = await anext(self._names, None)
            if name is None:
                return None
            if chain.KIND.owns(name):
                self._next = name
            else:
                self._report.add(name, 0, 0, _foreign(name))
        return self._next

    async def _compare(self, name: str, vouched: Vouched, root: Root) -> None:
        """Check one object against what a root says of it."""
        data = await self._objects.read(name) or b""
        try:
            block = chain.decode(name, data)
            self._count(block)
        except Corrupt as error:
            self._report.objects += 1
            self._report.add(name, vouched.first, vouched.last, error.reason)
            return
        if sha256(data) == vouched.digest:
            self._report.vouched += vouched.count
        else:
            entry, first, last, reason = first_difference(block, vouched)
            self._report.add(name, first, last, f"{reason}, as root {root.number} tells", entry)

    async def _follow(self, name: str) -> None:
        """Check one object against its predecessor."""
        try:
            block = chain.decode(name, await self._objects.read(name) or b"")
            self._count(block)
        except Corrupt as error:
            start = self.link.last + 1 if self.link else 1
            self._report.objects += 1
            self._report.add(name, start, start, error.reason)
            return
        self._look_at_place(name, block)
        for found in chain.breaks(block):
            self._report.add(name, *found)
        self.link = block.header.link(name, block.seal)

    def _look_at_place(self, name: str, block: chain.Block) -> None:
        header = block.header
        link = self.link or chain.KIND.genesis(header.stream, header.shard)
        if header.first > link.last + 1:
            missing = f"positions {link.last + 1} to {header.first - 1} are missing"
            self._report.add(name, link.last + 1, header.first - 1, missing)
        elif not header.follows(link):
            reason = f"it does not follow {link.name or 'the start'}"
            self._report.add(name, min(header.first, link.last), header.first, reason)

    def _count(self, block: chain.Block) -> None:
        """Count what an object holds. Raises Corrupt."""
        found_gaps = list(chain.gaps(block))
        self._report.objects += 1
        self._report.entries += len(block.lines) - 1
        self._report.parked += chain.placeholders_in(block)
        if block.header.parents:
            self._report.children.append(block.header)
        for gap in found_gaps:
            self._report.note(gap)


def _foreign(name: str) -> str:
    return f"object {name} is none of an audit log: find out who put it there"
