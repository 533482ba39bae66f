"""What was written against what arrived: pure functions that know nothing of the pipeline's own bookkeeping.

Every write to an item carries its number `n`, counted from 1 for each item; a delete takes a number too, which no item
shows, so what removed the item with number n is write n + 1. Each item has one writer, so its order is known.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

QUANTILES = (0.0, 0.5, 0.95, 0.99, 1.0)


class Item(NamedTuple):
    """One item of one table."""

    table: str
    key: str


class Write(NamedTuple):
    """One write to the source, as its writer noted it."""

    item: Item
    n: int
    removes: bool


class Entry(NamedTuple):
    """A write in the journal: when it was asked for and when it was acknowledged, on one monotonic clock."""

    write: Write
    invoked: float
    returned: float | None
    """None when no answer came: it may have happened or not."""


class Sight(NamedTuple):
    """One change as a destination holds it."""

    item: Item
    n: int
    removes: bool
    identity: tuple[str, str, str, int]
    """Table, epoch, source shard, sequence: what the documented dedupe goes by."""
    text: str = ""
    """What the item held besides its number."""


@dataclass
class Verdict:
    """What is wrong with a destination's history; `repeats` is not wrong by itself, it is what the dedupe removes."""

    lost: list[tuple[Item, int]] = field(default_factory=list)
    phantom: list[tuple[Item, int]] = field(default_factory=list)
    duplicated: list[tuple[Item, int]] = field(default_factory=list)
    reordered: list[tuple[Item, int]] = field(default_factory=list)
    divergent: list[tuple[Item, int]] = field(default_factory=list)
    repeats: int = 0

    @property
    def sound(self) -> bool:
        """Return True when every write is there once and in order."""
        return not (self.lost or self.phantom or self.duplicated or self.reordered or self.divergent)


def deduplicated(sights: Iterable[Sight]) -> list[Sight]:
    """Return the first sight of every identity, in order."""
    first: dict[tuple[str, str, str, int], Sight] = {}
    for sight in sights:
        first.setdefault(sight.identity, sight)
    return list(first.values())


def judge(journal: Iterable[Write], sights: Sequence[Sight], unsure: Collection[Write] = ()) -> Verdict:
    """Return how a destination's history, given in its own order, differs from what was written.

    Writes of which no answer came are `unsure`: they may be there or not, but not twice, and not out of order.
    """
    written = set(journal)
    allowed = written.union(unsure)
    once = deduplicated(sights)
    verdict = Verdict(repeats=len(sights) - len(once), divergent=_divergent(sights))
    counts = Counter(Write(sight.item, sight.n, sight.removes) for sight in once)
    verdict.lost = sorted((write.item, write.n) for write in written if write not in counts)
    verdict.phantom = sorted((write.item, write.n) for write in counts if write not in allowed)
    verdict.duplicated = sorted((write.item, write.n) for write, count in counts.items() if count > 1)
    newest: dict[Item, int] = {}
    for sight in once:
        if sight.n < newest.get(sight.item, 0):
            verdict.reordered.append((sight.item, sight.n))
        newest[sight.item] = max(sight.n, newest.get(sight.item, 0))
    return verdict


def _divergent(sights: Sequence[Sight]) -> list[tuple[Item, int]]:
    """Return the numbers that came with a content that is not theirs: a text repeats the number of its write."""
    return sorted({(s.item, s.n) for s in sights if s.text and not s.text.startswith(f"{s.n}.")})


def final(journal: Iterable[Write]) -> dict[Item, int]:
    """Return the number of every item that is there when all is written."""
    last: dict[Item, Write] = {}
    for write in journal:
        if write.item not in last or last[write.item].n < write.n:
            last[write.item] = write
    return {item: write.n for item, write in last.items() if not write.removes}


def differences(wanted: Mapping[Item, int], found: Mapping[Item, int]) -> list[str]:
    """Return, in words, every item of a table that is lost, a phantom, regressed or ahead."""
    complaints = []
    for item in sorted(wanted.keys() | found.keys()):
        want, have = wanted.get(item), found.get(item)
        if have is None:
            complaints.append(f"{item} is lost, it should have {want}")
        elif want is None:
            complaints.append(f"{item} is a phantom with {have}")
        elif have != want:
            complaints.append(f"{item} {'regressed' if have < want else 'ran ahead'} to {have} from {want}")
    return complaints


def regressions(before: Mapping[Item, int], after: Mapping[Item, int]) -> list[str]:
    """Return, in words, the items whose number fell between two looks at one table."""
    return [
        f"{item} regressed from {n} to {after[item]}"
        for item, n in sorted(before.items())
        if item in after and after[item] < n
    ]


class Ascent:
    """A table looked at again and again: how far each item is known to be, and which ever went back.

    An item that was there with n and is not now has at least been removed, which was n + 1: if n comes back, it went
    back.
    """

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.reached: dict[Item, list[tuple[float, int]]] = defaultdict(list)
        """When each item was first seen to be at least so far."""
        self._there: set[Item] = set()

    def look(self, at: float, found: Mapping[Item, int]) -> None:
        """Note what a look at a monotonic time found."""
        for item in self._there - found.keys():
            self.reached[item].append((at, self.reached[item][-1][1] + 1))
        for item, n in found.items():
            floor = self.reached[item][-1][1] if self.reached[item] else 0
            if n < floor:
                self.complaints.append(f"{item} went back to {n} from {floor}")
            elif n > floor:
                self.reached[item].append((at, n))
        self._there = set(found)


def lags(journal: Iterable[Entry], reached: Mapping[Item, Sequence[tuple[float, int]]]) -> list[float]:
    """Return the seconds from each write's acknowledgement until a look first found its item at least so far.

    `reached` is in order of time. What was never reached has no lag: it is lost, which is told elsewhere.
    """
    found = []
    place: dict[Item, int] = defaultdict(int)
    for entry in sorted((e for e in journal if e.returned is not None), key=lambda e: e.write.n):
        item, steps = entry.write.item, reached.get(entry.write.item, ())
        while place[item] < len(steps) and steps[place[item]][1] < entry.write.n:
            place[item] += 1
        if place[item] < len(steps):
            found.append(max(0.0, steps[place[item]][0] - (entry.returned or 0.0)))
    return found


def quantiles(values: Iterable[float], at: Sequence[float] = QUANTILES) -> tuple[float, ...]:
    """Return the values at these fractions by nearest rank; () when there is none."""
    ordered = sorted(values)
    if not ordered:
        return ()
    return tuple(ordered[min(len(ordered) - 1, max(0, ceil(fraction * len(ordered)) - 1))] for fraction in at)
