"""All shards of the Kinesis data stream, shared with other workers by leases."""

import asyncio
import logging
from collections.abc import Collection, Mapping

from pipeline.coordination.crew import Crew
from pipeline.coordination.leases import SHARD_END, Leases
from pipeline.delivery.shard import ShardDelivery
from pipeline.model.errors import PipelineError
from pipeline.model.shard import Shard
from pipeline.ports import Clock, Log, StateRow

POLL_SECONDS = 0.2

logger = logging.getLogger(__name__)


class StreamDelivery:
    """Discovers the stream's shards, leases its share of them, and runs a delivery on each.

    A child shard may be leased while its parents are still read: inside the delivery every topology waits for its own
    end of the parents. A shard is finished when all topologies this worker runs have ended on it; one that was added to
    the configuration later takes the shard up again.
    """

    def __init__(
        self, log: Log, leases: Leases, crew: Crew[ShardDelivery], clock: Clock, topologies: Collection[str]
    ) -> None:
        self._log = log
        self._leases = leases
        self._crew = crew
        self._clock = clock
        self._topologies = frozenset(topologies)
        self._stepping = asyncio.Lock()
        self._stopping = False
        self.known: dict[str, Shard] = {}
        self.problem = ""
        """Why shards cannot be worked on now, for status and health; empty when they can."""

    @property
    def deliveries(self) -> Mapping[str, ShardDelivery]:
        """Return the deliveries of the shards this worker holds."""
        return self._crew.processors

    async def run(self, step_seconds: float) -> None:
        """Step until cancelled; at once when a shard has ended."""
        while not self._stopping:
            try:
                await self.step()
                self.problem = ""
            except PipelineError as error:
                self.problem = str(error)
                logger.error("delivery of %s: %s", self._log.name, error)  # noqa: TRY400  # a reason, not a defect
            await self._pause(step_seconds)

    async def step(self) -> None:
        """Finish, discover, lease, start."""
        async with self._stepping:
            if not self._stopping:
                await self._step()

    async def _step(self) -> None:
        await self._finish()
        self.known = {shard.id: shard for shard in await self._log.shards()}
        await self._crew.step(list(self.known), lambda _, row: not self._is_finished(row))

    async def drain(self) -> None:
        """Save what is settled, stop, and give the leases back."""
        self._stopping = True
        async with self._stepping:
            for delivery in self.deliveries.values():
                await self._save(delivery)
            try:
                await self._finish()
            except PipelineError as error:
                logger.warning("delivery of %s, while stopping: %s", self._log.name, error)
            await self._crew.release_all()

    async def _save(self, delivery: ShardDelivery) -> None:
        for topology in delivery.followers:
            try:
                await delivery.save(topology)
            except PipelineError as error:
                logger.warning("checkpoint of %s on %s, while stopping: %s", topology, delivery.shard.id, error)

    async def _finish(self) -> None:
        """Mark shards that are ended for every topology in their lease row."""
        for shard, delivery in list(self.deliveries.items()):
            if delivery.ended:
                row = self._leases.held.get(shard)
                done = self._finished(row.row) if row else frozenset()
                await self._leases.release(shard, {"checkpoint": SHARD_END, "finished": done | self._topologies})
                await self._crew.stop(shard)

    def _is_finished(self, row: StateRow) -> bool:
        return self._topologies <= self._finished(row)

    @staticmethod
    def _finished(row: StateRow) -> frozenset[str]:
        value = row.fields.get("finished", frozenset())
        assert isinstance(value, frozenset)
        return value

    async def _pause(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while not self._stopping and (left := until - self._clock.monotonic()) > 0:
            if any(delivery.ended for delivery in self.deliveries.values()):
                return
            await self._clock.sleep(min(POLL_SECONDS, left))
