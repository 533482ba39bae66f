"""Leases: who may work on a shard, decided without trusting any clock but one's own monotonic one.

The protocol is KCL's: a lease row has an owner and a counter; the owner raises the counter as long as it lives; who has
seen a counter unchanged for the lease time, by its own clock, may take the lease by compare-and-set on that counter.
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Lease:
    """One row as last read. `owner` is empty when nobody has it."""

    shard: str
    owner: str
    counter: int
    load: float = 0.0
    """Changes a second on the shard, as its owner last told."""


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
        self._owned_since: dict[str, float] = {}

    def note(self, lease: Lease, now: float) -> None:
        """Remember a row as read at monotonic time `now`."""
        known = self._seen.get(lease.shard)
        if known is None or known[0] != lease.owner:
            self._owned_since[lease.shard] = now
        if known is None or known[:2] != (lease.owner, lease.counter):
            self._seen[lease.shard] = (lease.owner, lease.counter, now)

    def free_at(self, lease: Lease) -> float:
        """Return the monotonic time from which a lease, noted before, may be taken unless its counter moves."""
        return self._seen[lease.shard][2] + (self._lease_seconds if lease.owner else 0.0)

    def owned_since(self, lease: Lease) -> float:
        """Return the monotonic time at which a lease, noted before, was first seen with its present owner."""
        return self._owned_since[lease.shard]

    def hold(self, lease: Lease, now: float) -> Hold:
        """Return how a lease, noted before, looks at monotonic time `now`."""
        free_for = now - self.free_at(lease)
        if free_for < 0:
            return Hold.OWNED
        return Hold.LEFT if free_for >= self._patience_seconds else Hold.FREE
