"""All shards of the Kinesis data stream, shared with other workers by leases."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress

from pipeline.coordination.crew import Crew
from pipeline.coordination.gaps import Gaps
from pipeline.coordination.leases import SHARD_END, Leases
from pipeline.coordination.losswatch import LossWatch
from pipeline.coordination.rounds import Rounds
from pipeline.delivery.shard import ShardDelivery
from pipeline.model.errors import PipelineError, RetryLater
from pipeline.model.gap import LOG_KEPT_MS_MIN
from pipeline.model.shard import Shard
from pipeline.ports import Clock, Log, StateRow

KEPT_SECONDS = 300.0
"""How often the stream is asked how long it keeps a record, and told, when a loss is near, to keep them longer."""

logger = logging.getLogger(__name__)


class StreamDelivery(Rounds):
    """Discovers the stream's shards, leases its share of them, and runs a delivery on each.

    A child shard may be leased while its parents are still read: inside the delivery every topology waits for its own
    end of the parents. A shard is finished when all topologies this worker runs have ended on it; one that was added to
    the configuration later takes the shard up again.
    """

    def __init__(
        self,
        log: Log,
        leases: Leases,
        crew: Crew[ShardDelivery],
        gaps: Gaps,
        clock: Clock,
        topologies: Collection[str],
        kept_ms_max: int = 0,
        admitted: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(f"delivery of {log.name}", clock)
        self._log = log
        self._leases = leases
        self._crew = crew
        self.gaps = gaps
        self._topologies = frozenset(topologies)
        self._kept_ms_max = kept_ms_max
        self._admitted = admitted
        self.known: dict[str, Shard] = {}
        self._watch = LossWatch()
        self._asked_at: float | None = None
        self._tried_at: float | None = None
        self.kept_ms = LOG_KEPT_MS_MIN
        """How long the stream keeps a record: asked for now and then, the least it can be until there is an answer."""

    @property
    def deliveries(self) -> Mapping[str, ShardDelivery]:
        """Return the deliveries of the shards this worker holds."""
        return self._crew.processors

    async def _step(self) -> None:
        await self._finish()
        try:
            await self._warn()
            await self.gaps.refresh()
            self.known = {shard.id: shard for shard in await self._log.shards()}
        finally:  # a listing that does not come costs no lease
            await self._lease()

    async def _warn(self) -> None:
        now = self._clock.monotonic()
        if self._asked_at is None or now - self._asked_at >= KEPT_SECONDS:
            self._asked_at = now
            self.kept_ms = await self._log.kept_ms()
        near = self._watch.look(
            {
                f"delivery of {shard} to {name}": each.retention(name, self.kept_ms)
                for shard, each in self.deliveries.items()
                for name in each.followers
            }
        )
        rested = self._tried_at is None or now - self._tried_at >= KEPT_SECONDS
        if near and rested and self.kept_ms < self._kept_ms_max:
            self._tried_at = now
            await self._keep_longer()

    async def _keep_longer(self) -> None:
        """Have the stream keep its records twice as long, as far as it may; what goes wrong is told, no more."""
        wanted_ms = min(2 * self.kept_ms, self._kept_ms_max)
        try:
            await self._log.keep(wanted_ms)
            self.kept_ms = await self._log.kept_ms()
        except PipelineError as error:
            logger.warning("stream %s should keep its records longer, and does not: %s", self._log.name, error)
        else:
            logger.warning("stream %s keeps its records %d h now", self._log.name, self.kept_ms // 3_600_000)

    async def _look(self) -> None:
        if await self._leases.called():
            await self._lease()

    async def _lease(self) -> None:
        if self._admitted is not None:
            with suppress(RetryLater):  # whether a lease is kept is then up to its renewal
                await self._admitted()
        await self._crew.step(list(self.known), lambda _, row: not self._is_finished(row))

    def _due_at(self) -> float:
        return self._leases.due_at

    async def _expire(self) -> None:
        await self._crew.expire()

    async def _leave(self) -> None:
        deliveries = list(self.deliveries.values())
        await asyncio.gather(*(self._save(each, topology) for each in deliveries for topology in each.followers))
        await self._crew.release_all()

    def _has_ended(self) -> bool:
        return self._crew.has_died() or any(delivery.ended for delivery in self.deliveries.values())

    async def _save(self, delivery: ShardDelivery, topology: str) -> None:
        try:
            await delivery.leave(topology)
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
                await self._leases.call()

    def _is_finished(self, row: StateRow) -> bool:
        return self._topologies <= self._finished(row)

    @staticmethod
    def _finished(row: StateRow) -> frozenset[str]:
        value = row.fields.get("finished", frozenset())
        assert isinstance(value, frozenset)
        return value
