"""Shards and their lineage: which shard may be read now."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pipeline.model.lane import HASH_SPACE


@dataclass(frozen=True, slots=True)
class Shard:
    """An ordered piece of a stream.

    `parents` holds none, one (roll, split) or two (merge) shard ids; a parent may be gone from the listing because its
    records are past retention. `closed` is what the listing said, which may be late.
    """

    id: str
    parents: tuple[str, ...] = ()
    closed: bool = False
    hash_keys: tuple[int, int] = (0, HASH_SPACE - 1)
    """Lowest and highest hash key of a Kinesis shard; a table stream's shard has no such range."""

    def holds(self, hash_key: int) -> bool:
        """Return True when records of this hash key come to this shard."""
        return self.hash_keys[0] <= hash_key <= self.hash_keys[1]


def ready(shard: Shard, known: Mapping[str, Shard], finished: Collection[str]) -> bool:
    """Return True when the shard may be read: every parent still known is finished."""
    return all(parent in finished or parent not in known for parent in shard.parents)


def by_lineage(shards: Iterable[Shard]) -> tuple[Shard, ...]:
    """Return the shards sorted parents before children; ties by id, so that every worker sees one order."""
    left = {shard.id: shard for shard in shards}
    out: list[Shard] = []
    while left:
        layer = [s for s in left.values() if not any(parent in left for parent in s.parents)]
        assert layer, "a shard cannot be its own ancestor"
        for shard in sorted(layer, key=lambda s: s.id):
            out.append(shard)
            del left[shard.id]
    return tuple(out)
