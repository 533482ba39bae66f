"""Where a topology begins on a shard whose parent comes to its end at that moment."""

import asyncio
from collections.abc import Sequence

from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.delivery.beginning import Beginnings
from pipeline.model.progress import Checkpoint
from pipeline.ports import StateRow
from pipeline.testing.fakes import FakeLog, FakeStateStore, ManualClock, SeededChance

PARENT = "shardId-000000000000"
KEY = f"{PARENT}@audit"
SEEN = {("orders/e1/shardId-source", 0): (7, 0)}


class Moment(FakeStateStore):
    """A state table in which, right after the first answer about the parent, the parent ends and is trimmed."""

    def __init__(self, log: FakeLog, clock: ManualClock) -> None:
        super().__init__()
        self._log = log
        self._clock = clock
        self._come = False

    async def read(self, keys: Sequence[str]) -> dict[str, StateRow]:
        """Answer, then let it happen."""
        found = await super().read(keys)
        if KEY in keys and not self._come:
            self._come = True
            another = CheckpointSlot(self, self._clock, SeededChance(1), KEY, "another")
            await another.claim()
            await another.save(Checkpoint(seen=SEEN, ended=True))
            self._log.trim(PARENT, 0)
        return found


def test_a_parent_that_ends_and_is_trimmed_meanwhile_hands_on_what_it_had_seen() -> None:
    """Between a look at its checkpoint and one at the listing the parent goes (seed 2000107 of the long lives)."""
    clock = ManualClock()
    log = FakeLog("changes", clock)
    log.split(PARENT)
    child = next(shard for shard in asyncio.run(log.shards()) if shard.parents)
    beginnings = Beginnings(log, Moment(log, clock), clock, child, lambda shard, topology: f"{shard}@{topology}")
    assert asyncio.run(beginnings.of("audit", 0)) is None
    found = asyncio.run(beginnings.of("audit", 0))
    assert found is not None
    assert (found.checkpoint.seen, found.missing) == (SEEN, None)
