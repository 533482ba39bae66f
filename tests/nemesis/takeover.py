"""How long a shard stands still when its reader is hit: pure functions over what the proxy saw."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.nemesis.proxy import Read

READS_AS_SECONDS = 3.0
"""Who has not read a shard for so long does not count as its reader when he is hit."""


class Hit(NamedTuple):
    """A process that was killed, asked to end, or stopped, at a monotonic time."""

    at: float
    victim: str
    kind: str
    back: float
    """When it was started or continued; what it reads before that was still on its way when it was hit."""


class Takeover(NamedTuple):
    """A shard whose reader was hit, and the first read of it afterwards by another, or by its successor."""

    hit: Hit
    shard: str
    seconds: float | None
    """None when nobody ever read the shard again: it had ended, or the run had."""
    heir: str


def takeovers(reads: Iterable[Read], hits: Iterable[Hit]) -> list[Takeover]:
    """Return one takeover for every shard a victim was the reader of."""
    by_shard: dict[str, list[Read]] = defaultdict(list)
    for read in sorted(reads):
        by_shard[read.shard].append(read)
    return [
        _takeover(hit, shard, of_shard)
        for hit in hits
        for shard, of_shard in by_shard.items()
        if _was_reader(hit, of_shard)
    ]


def _place(of_shard: Sequence[Read], at: float) -> int:
    return bisect_right(of_shard, at, key=lambda read: read.at)


def _was_reader(hit: Hit, of_shard: Sequence[Read]) -> bool:
    place = _place(of_shard, hit.at)
    last = of_shard[place - 1] if place else None
    return last is not None and last.gate == hit.victim and hit.at - last.at <= READS_AS_SECONDS


def _takeover(hit: Hit, shard: str, of_shard: Sequence[Read]) -> Takeover:
    for read in of_shard[_place(of_shard, hit.at) :]:
        if read.gate != hit.victim or read.at >= hit.back:
            return Takeover(hit, shard, read.at - hit.at, read.gate)
    return Takeover(hit, shard, None, "")
