"""How far the changes are, as the state table has it: what counts is what would survive a kill of every process."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.coordination.checkpoints import read_many
from pipeline.coordination.leases import lease_key
from pipeline.model.progress import Checkpoint
from pipeline.wiring.build import Parts, stream_of
from pipeline.wiring.core import CAPTURE, checkpoint_key, group_of
from pipeline.wiring.resources import source_tables


@dataclass(frozen=True, slots=True)
class Group:
    """The shards one kind of process shares by leases, and who keeps checkpoints on them."""

    name: str
    shards: Sequence[str]
    topologies: Sequence[str]

    def checkpoint_keys(self, topology: str) -> list[str]:
        """Return the keys of a topology's checkpoints, one for each shard."""
        return [checkpoint_key(self.name, shard, topology) for shard in self.shards]

    def lease_keys(self) -> list[str]:
        """Return the keys of the leases."""
        return [lease_key(self.name, shard) for shard in self.shards]


class Gauges:
    """Reads checkpoints and leases. On the emulator shards are never split, so they are listed once."""

    def __init__(self, parts: Parts, capture: Group, delivery: Group) -> None:
        self._store = parts.around.store
        self.groups = {"capture": capture, "worker": delivery}

    async def captured(self) -> int:
        """Return how many changes are in the Kinesis stream for good."""
        return (await self._positions("capture"))[CAPTURE]

    async def settled(self) -> dict[str, int]:
        """Return how many changes are settled, by topology."""
        return await self._positions("worker")

    async def owned(self, command: str, by: str) -> bool:
        """Return True when a process has every lease of its group."""
        keys = self.groups[command].lease_keys()
        rows = await self._store.read(keys)
        return len(rows) == len(keys) and all(
            str(row.fields.get("leaseOwner", "")).startswith(f"{by}-") for row in rows.values()
        )

    async def _positions(self, command: str) -> dict[str, int]:
        group = self.groups[command]
        keys = {name: group.checkpoint_keys(name) for name in group.topologies}
        saved = await read_many(self._store, [key for some in keys.values() for key in some])
        return {name: _sum(saved.get(key) for key in some) for name, some in keys.items()}


async def gauges_of(parts: Parts) -> Gauges:
    """Return the gauges of a pipeline of one table, whose resources exist."""
    (table,) = await source_tables(parts)
    source_shards = [shard.id for shard in await stream_of(parts, table).shards()]
    shards = [shard.id for shard in await parts.around.log.shards()]
    return Gauges(
        parts,
        Group(group_of(parts.around.log.name, table.name, table.stream_label), source_shards, [CAPTURE]),
        Group(parts.around.log.name, shards, list(parts.settings.topologies)),
    )


def _sum(checkpoints: Iterable[Checkpoint | None]) -> int:
    return sum(each.position for each in checkpoints if each is not None)
