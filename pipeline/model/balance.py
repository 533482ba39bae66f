"""Who takes which leases: balance by count, and among equal counts by load.

Free leases go up to a worker's share. Then one is taken from who has two more, and at last from who has a good deal
more to do.
"""

import math
import zlib
from collections import Counter
from collections.abc import Collection, Mapping

from pipeline.model.lease import Hold, Lease

BUSY_PER_SECOND = 100.0
"""Changes a second below which no worker needs relief: a lease that moves stops its shard for a moment."""
RELIEF_SHARE = 0.25
"""A lease moves for its load if the busier of the two then has at least so much less to do than the busiest had."""


def to_take(
    leases: Collection[Lease], me: str, holds: Mapping[str, Hold], settled: Collection[str] = ()
) -> tuple[tuple[Lease, ...], Lease | None]:
    """Return the leases this worker should try to take: free ones up to its share, or else one to steal.

    The share is the count of leases over the workers seen alive, rounded up, so that every lease finds an owner. What
    those seen alive leave is divided among them in the same way: one that is stopping, or stands still, counts in vain.
    Workers begin with different leases, so that they seldom try for the same one. Only leases of `settled` shards move
    for their load: those that have had their owner for a while.
    """
    held = Counter({me: 0})
    held.update(lease.owner for lease in leases if lease.owner and holds[lease.shard] is Hold.OWNED)
    share = math.ceil(len(leases) / len(held))
    free = sorted((lease for lease in leases if holds[lease.shard] is not Hold.OWNED), key=lambda each: _turn(each, me))
    left = [lease for lease in free if holds[lease.shard] is Hold.LEFT]
    wanted = max(0, share - held[me])
    if free:
        beyond = [lease for lease in left if lease not in free[:wanted]]
        return (*free[:wanted], *beyond[: -(-len(beyond) // len(held))]), None
    owner, most = max(held.items(), key=lambda item: (item[1], item[0]))
    busy = {worker: sum(lease.load for lease in leases if lease.owner == worker) for worker in held}
    if most - held[me] > 1:
        return (), _evening([lease for lease in leases if lease.owner == owner], busy, me)
    return (), _relieving([lease for lease in leases if lease.shard in settled], busy, me)


def _relieving(leases: Collection[Lease], busy: Mapping[str, float], me: str) -> Lease | None:
    """Return the lease to take from the busiest worker, if this is the idlest and that is worth a move."""
    busiest, idlest = (pick(busy, key=lambda each: (busy[each], each)) for pick in (max, min))
    theirs = [lease for lease in leases if lease.owner == busiest]
    if idlest != me or busy[busiest] < BUSY_PER_SECOND or not theirs:
        return None
    lease = _evening(theirs, busy, me)
    return lease if _after(lease, busy, me) <= (1 - RELIEF_SHARE) * busy[busiest] else None


def _evening(theirs: Collection[Lease], busy: Mapping[str, float], me: str) -> Lease:
    """Return which of another's leases, moved, leaves the busier of us two the least to do."""
    return min(theirs, key=lambda lease: (_after(lease, busy, me), lease.shard))


def _after(lease: Lease, busy: Mapping[str, float], me: str) -> float:
    """Return what the busier of the two has to do once a lease has moved."""
    return max(busy[lease.owner] - lease.load, busy[me] + lease.load)


def _turn(lease: Lease, me: str) -> tuple[int, str]:
    """Return where a lease stands in a worker's own order."""
    return zlib.crc32(f"{me} {lease.shard}".encode()), lease.shard
