"""What was written against what arrived: pure functions that know nothing of the pipeline's own bookkeeping.

Every write to an item carries its number `n`, counted from 1 for each item; a delete takes a number too, which no item
shows, so what removed the item with number n is write n + 1. Each item has one writer, so its order is known.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Item(NamedTuple):
    """One item of one table."""

    table: str
    key: str


class Write(NamedTuple):
    """One write to the source, as its writer noted it."""

    item: Item
    n: int
    removes: bool


class Sight(NamedTuple):
    """One change as a destination holds it."""

    item: Item
    n: int
    removes: bool
    identity: tuple[str, str, str, int]
    """Table, epoch, source shard, sequence: what the documented dedupe goes by."""


@dataclass
class Verdict:
    """What is wrong with a destination's history; `repeats` is not wrong by itself, it is what the dedupe removes."""

    lost: list[tuple[Item, int]] = field(default_factory=list)
    phantom: list[tuple[Item, int]] = field(default_factory=list)
    duplicated: list[tuple[Item, int]] = field(default_factory=list)
    reordered: list[tuple[Item, int]] = field(default_factory=list)
    repeats: int = 0

    @property
    def sound(self) -> bool:
        """Return True when every write is there once and in order."""
        return not (self.lost or self.phantom or self.duplicated or self.reordered)


def deduplicated(sights: Iterable[Sight]) -> list[Sight]:
    """Return the first sight of every identity, in order."""
    first: dict[tuple[str, str, str, int], Sight] = {}
    for sight in sights:
        first.setdefault(sight.identity, sight)
    return list(first.values())


def judge(journal: Iterable[Write], sights: Sequence[Sight]) -> Verdict:
    """Return how a destination's history, given in its own order, differs from what was written."""
    written = set(journal)
    once = deduplicated(sights)
    verdict = Verdict(repeats=len(sights) - len(once))
    counts = Counter(Write(sight.item, sight.n, sight.removes) for sight in once)
    verdict.lost = sorted((write.item, write.n) for write in written if write not in counts)
    verdict.phantom = sorted((write.item, write.n) for write in counts if write not in written)
    verdict.duplicated = sorted((write.item, write.n) for write, count in counts.items() if count > 1)
    newest: dict[Item, int] = {}
    for sight in once:
        if sight.n < newest.get(sight.item, 0):
            verdict.reordered.append((sight.item, sight.n))
        newest[sight.item] = max(sight.n, newest.get(sight.item, 0))
    return verdict


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
