"""Leases: who may work on a shard, decided without trusting any clock but one's own monotonic one.

The protocol is KCL's: a lease row has an owner and a counter; the owner raises the counter as long as it lives; who has
seen a counter unchanged for the lease time, by its own clock, may take the lease by compare-and-set on that counter.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """One row as last read. `owner` is empty when nobody has it."""

    shard: str
    owner: str
    counter: int


class Sightings:
    """When each lease's counter was first seen at its present value, by this worker's own clock."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._seen: dict[str, tuple[str, int, float]] = {}

    def note(self, lease: Lease, now: float) -> None:
        """Remember a row as read at monotonic time `now`."""
        known = self._seen.get(lease.shard)
        if known is None or known[:2] != (lease.owner, lease.counter):
            self._seen[lease.shard] = (lease.owner, lease.counter, now)

    def expired(self, lease: Lease, now: float) -> bool:
        """Return True when nobody has the lease, or its counter has not moved for the lease time."""
        if not lease.owner:
            return True
        known = self._seen.get(lease.shard)
        return known is not None and known[1] == lease.counter and now - known[2] >= self._lease_seconds


def to_take(leases: Collection[Lease], me: str, expired: Mapping[str, bool]) -> tuple[tuple[Lease, ...], Lease | None]:
    """Return the leases this worker should try to take: free ones up to its share, or else one to steal.

    The share is the count of leases over the workers seen alive, rounded up, so that every lease finds an owner.
    """
    load = Counter({me: 0})
    load.update(lease.owner for lease in leases if lease.owner and not expired[lease.shard])
    share = math.ceil(len(leases) / len(load))
    wanted = share - load[me]
    if wanted <= 0:
        return (), None
    free = sorted((lease for lease in leases if expired[lease.shard]), key=lambda lease: lease.shard)
    if free:
        return tuple(free[:wanted]), None
    owner, most = max(load.items(), key=lambda item: (item[1], item[0]))
    if most <= share or owner == me:
        return (), None
    return (), min((lease for lease in leases if lease.owner == owner), key=lambda lease: lease.shard)
