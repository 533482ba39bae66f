"""Leases: who may work on a shard, decided without trusting any clock but one's own monotonic one.

The protocol is KCL's: a lease row has an owner and a counter; the owner raises the counter as long as it lives; who has
seen a counter unchanged for the lease time, by its own clock, may take the lease by compare-and-set on that counter.
"""

import math
import zlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Lease:
    """One row as last read. `owner` is empty when nobody has it."""

    shard: str
    owner: str
    counter: int


class Hold(Enum):
    """How a lease looks to a worker that does not hold it."""

    OWNED = "owned"
    """Its owner was seen alive within the lease time."""
    FREE = "free"
    """Nobody has it, or its owner has been silent for the lease time."""
    LEFT = "left"
    """It was free at the last look too: those whose share it is do not take it."""


class Sightings:
    """When each lease's counter was first seen at its present value, by this worker's own clock."""

    def __init__(self, lease_seconds: float, patience_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._patience_seconds = patience_seconds
        self._seen: dict[str, tuple[str, int, float]] = {}

    def note(self, lease: Lease, now: float) -> None:
        """Remember a row as read at monotonic time `now`."""
        known = self._seen.get(lease.shard)
        if known is None or known[:2] != (lease.owner, lease.counter):
            self._seen[lease.shard] = (lease.owner, lease.counter, now)

    def free_at(self, lease: Lease) -> float:
        """Return the monotonic time from which a lease, noted before, may be taken unless its counter moves."""
        return self._seen[lease.shard][2] + (self._lease_seconds if lease.owner else 0.0)

    def hold(self, lease: Lease, now: float) -> Hold:
        """Return how a lease, noted before, looks at monotonic time `now`."""
        free_for = now - self.free_at(lease)
        if free_for < 0:
            return Hold.OWNED
        return Hold.LEFT if free_for >= self._patience_seconds else Hold.FREE


def to_take(leases: Collection[Lease], me: str, holds: Mapping[str, Hold]) -> tuple[tuple[Lease, ...], Lease | None]:
    """Return the leases this worker should try to take: free ones up to its share, or else one to steal.

    The share is the count of leases over the workers seen alive, rounded up, so that every lease finds an owner. What
    those seen alive leave is divided among them in the same way: one that is stopping, or stands still, counts in vain.
    Workers begin with different leases, so that they seldom try for the same one.
    """
    load = Counter({me: 0})
    load.update(lease.owner for lease in leases if lease.owner and holds[lease.shard] is Hold.OWNED)
    share = math.ceil(len(leases) / len(load))
    free = sorted((lease for lease in leases if holds[lease.shard] is not Hold.OWNED), key=lambda each: _turn(each, me))
    left = [lease for lease in free if holds[lease.shard] is Hold.LEFT]
    wanted = max(0, share - load[me])
    if free:
        beyond = [lease for lease in left if lease not in free[:wanted]]
        return (*free[:wanted], *beyond[: -(-len(beyond) // len(load))]), None
    owner, most = max(load.items(), key=lambda item: (item[1], item[0]))
    if not wanted or most <= share or owner == me:
        return (), None
    return (), min((lease for lease in leases if lease.owner == owner), key=lambda lease: lease.shard)


def _turn(lease: Lease, me: str) -> tuple[int, str]:
    """Return where a lease stands in a worker's own order."""
    return zlib.crc32(f"{me} {lease.shard}".encode()), lease.shard
