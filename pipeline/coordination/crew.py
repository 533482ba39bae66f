"""One worker's processors, one for each lease it holds."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, Generic, Protocol, TypeVar

from pipeline.coordination.leases import Leases
from pipeline.model.backoff import Backoff
from pipeline.model.errors import RetryLater, kind_and_place
from pipeline.model.state import Report
from pipeline.ports import Chance, Clock, StateRow

STALL_LEASES_MAX = 6
"""A processor that has not moved for this many lease times is taken for dead: its lease is not renewed."""
RESTART = Backoff(1.0, 60.0)

logger = logging.getLogger(__name__)


class Processor(Protocol):
    """What works on one leased shard."""

    @property
    def moved_at(self) -> float:
        """Return the monotonic time of the last sign of life."""

    @property
    def reports(self) -> Mapping[str, Report]:
        """Return how the work goes, by name of its parts."""

    async def run(self) -> None:
        """Work until the shard has ended or the lease is lost; cancelled when the lease is gone."""


P = TypeVar("P", bound=Processor)


class Crew(Generic[P]):
    """Starts a processor when a lease is gained, stops it when the lease is lost, and sees every one that dies.

    A processor that raised is a defect: it is logged, its lease is given up, and the shard is left alone for a while,
    so that another worker or a later try can have it. Nothing of it was checkpointed that was not done.
    """

    def __init__(
        self, leases: Leases, clock: Clock, chance: Chance, lease_seconds: float, build: Callable[[str], P]
    ) -> None:
        self._leases = leases
        self._clock = clock
        self._chance = chance
        self._stall_seconds = STALL_LEASES_MAX * lease_seconds
        self._build = build
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tenures: dict[str, int] = {}
        self._deaths: dict[str, tuple[int, float]] = {}
        self.processors: dict[str, P] = {}

    async def step(self, shards: Collection[str], wanted: Callable[[str, StateRow], bool]) -> None:
        """Renew and take leases among `shards`, then start and stop processors to match. Never raises RetryLater."""
        await self._bury()
        try:
            await self._leases.step(shards, lambda s, row: self._may_start(s) and wanted(s, row), self._reports)
        except RetryLater as error:
            logger.warning("leases wait: %s", error)
        await self.expire()
        for shard in self._leases.held:
            if shard not in self._tasks:
                self._start(shard)

    def _tenure(self, shard: str) -> int | None:
        """Return which tenure of its lease we are in; a processor does not outlive the one it was started in.

        A lease can be lost and taken back in one step: where the processor stands, somebody else may have gone on.
        """
        held = self._leases.held.get(shard)
        return held.tenure if held else None

    async def expire(self) -> None:
        """Stop the processors whose lease is lost, or was not renewed in time."""
        self._leases.expire()
        for shard in [s for s in self._tasks if self._tenure(s) != self._tenures[s]]:
            logger.warning("the lease of %s is lost", self._leases.key(shard))
            await self.stop(shard)

    async def stop(self, shard: str) -> None:
        """Stop a shard's processor where it stands, as a kill would."""
        task = self._tasks.pop(shard, None)
        self.processors.pop(shard, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def has_died(self) -> bool:
        """Return True when a processor has stopped and its lease is not yet given back."""
        return any(task.done() for task in self._tasks.values())

    async def release_all(self, fields: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Stop every processor and give every lease back, so that the next worker need not wait."""
        await asyncio.gather(*(self.stop(shard) for shard in list(self._tasks)))
        await self._give_back({shard: (fields or {}).get(shard) for shard in self._leases.held})

    async def _give_back(self, shards: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Release leases side by side, then tell the others; one that cannot be released expires."""

        async def release(shard: str, fields: Mapping[str, Any] | None) -> None:
            try:
                await self._leases.release(shard, fields)
            except RetryLater as error:
                logger.warning("lease of %s could not be given back, it will expire: %s", shard, error)
                self._leases.drop(shard)

        await asyncio.gather(*(release(*each) for each in shards.items()))
        if shards:
            await self._leases.call()

    def _start(self, shard: str) -> None:
        logger.info("works on %s", self._leases.key(shard))
        processor = self._build(shard)
        self.processors[shard] = processor
        self._tenures[shard] = self._leases.held[shard].tenure
        run: Coroutine[Any, Any, None] = processor.run()
        self._tasks[shard] = asyncio.create_task(run, name=self._leases.key(shard))

    async def _bury(self) -> None:
        """Give back the lease of every processor that has stopped or stalled: it is never renewed for a dead one."""
        gone: dict[str, None] = {}
        for shard, task in list(self._tasks.items()):
            stalled = self._clock.monotonic() - self.processors[shard].moved_at >= self._stall_seconds
            if not task.done() and not stalled:
                continue
            error = task.exception() if task.done() and not task.cancelled() else None
            await self.stop(shard)
            gone[shard] = None
            if stalled or error is not None:
                self._mourn(shard, error)
        await self._give_back(gone)

    def _mourn(self, shard: str, error: BaseException | None) -> None:
        """Say what happened, and leave the shard alone for a while."""
        deaths = self._deaths.get(shard, (0, 0.0))[0] + 1
        pause = RESTART.seconds(deaths, self._chance.fraction(), at_least=1.0)
        self._deaths[shard] = (deaths, self._clock.monotonic() + pause)
        cause = "has stalled" if error is None else f"died of {kind_and_place(error)}"
        logger.error("the work on %s %s; it is tried again in %.0f s", self._leases.key(shard), cause, pause)

    def _reports(self, shard: str) -> Mapping[str, Report]:
        processor = self.processors.get(shard)
        return processor.reports if processor else {}

    def _may_start(self, shard: str) -> bool:
        return self._deaths.get(shard, (0, 0.0))[1] <= self._clock.monotonic()
