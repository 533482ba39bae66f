"""How far the rows that readers send have arrived: read from the checkpoints of the topologies."""

from collections.abc import Collection, Mapping

from pipeline.coordination.checkpoints import read_many
from pipeline.model.snapshot import Arrived, inherited
from pipeline.ports import StateStore


async def arrivals(
    store: StateStore, keys: Mapping[str, Collection[str]], sources: Collection[str]
) -> dict[str, list[Arrived]]:
    """Return for each topology what has arrived of each source, over all its checkpoints.

    `keys` names the checkpoint rows of each topology, those of ended shards too. Raises RetryLater or Corrupt.
    """
    found: dict[str, list[Arrived]] = {}
    for topology, names in keys.items():
        states = [each.snapshots for each in (await read_many(store, list(names))).values()]
        whole = inherited(states).arrived
        found[topology] = [_summed(source, [s.arrived for s in states], whole) for source in sources]
    return found


def is_complete(arrived: Arrived, lanes: int) -> bool:
    """Return True when every lane has brought the reader's last word, and no chunk was refused."""
    return arrived.lanes == (1 << lanes) - 1 and not arrived.refused


def _summed(source: str, parts: Collection[Mapping[str, Arrived]], whole: Mapping[str, Arrived]) -> Arrived:
    each = [part[source] for part in parts if source in part]
    joined = whole.get(source, Arrived())
    return Arrived(sum(a.rows for a in each), sum(a.passed for a in each), joined.lanes, joined.refused)
