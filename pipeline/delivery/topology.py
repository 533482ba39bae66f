"""One topology in one worker: its sink, and a batch offered to it until it is durable."""

import asyncio
import logging
from collections.abc import Collection

from pipeline.coordination.persist import HALT_SECONDS, rest
from pipeline.delivery.cursor import Appetite
from pipeline.delivery.parking import Parking
from pipeline.model.backoff import EFFECTS
from pipeline.model.change import Batch
from pipeline.model.errors import PipelineError, Rejected, RetryLater, kind_and_place
from pipeline.model.state import Flow, Report
from pipeline.plugin import Sink
from pipeline.ports import Chance, Clock

logger = logging.getLogger(__name__)


class TopologyRunner:
    """Opens the sink when it is first needed, offers batches, and turns what goes wrong into a wait that is seen.

    Nothing is skipped: `deliver` returns only when the sink has returned.
    """

    def __init__(self, name: str, sink: Sink, appetite: Appetite, clock: Clock, chance: Chance) -> None:
        self.name = name
        self.appetite = appetite
        self._sink = sink
        self._clock = clock
        self._chance = chance
        self._opening = asyncio.Lock()
        self._opened = False

    @property
    def tables(self) -> Collection[str]:
        """Return the source tables this topology gets."""
        return self.appetite.tables

    async def deliver(self, batch: Batch, report: Report, parking: Parking | None = None) -> None:
        """Return when the batch is durable at the sink, however long that takes; `report` shows why it takes long.

        With `parking` it may also be in quarantine, all of it or some.
        """
        attempt = 0
        while True:
            try:
                await self._open()
                await self._write(batch, parking)
            except RetryLater as error:
                attempt += 1
                self._say(report, Flow.RETRYING, batch, error, attempt)
                await self._clock.sleep(EFFECTS.seconds(attempt, self._chance.fraction(), error.after_seconds))
            except PipelineError as error:
                attempt += 1
                self._say(report, Flow.HALTED, batch, error, attempt)
                await rest(self._clock, HALT_SECONDS, report)
            except (Exception, SystemExit, asyncio.CancelledError) as error:  # a plugin may raise anything
                if _is_our_own_end(error):
                    raise
                attempt += 1
                self._say(report, Flow.HALTED, batch, _defect(self.name, error), attempt)
                await rest(self._clock, HALT_SECONDS, report)
            else:
                report.flowing()
                report.moved_at = self._clock.monotonic()
                return

    async def _write(self, batch: Batch, parking: Parking | None) -> None:
        if parking is not None:
            await parking.through(batch, self._sink.write)
            return
        try:
            await self._sink.write(batch)
        except Rejected as error:
            hint = error.hint or "with a section [quarantine] these and their keys' later changes wait; the rest flows"
            raise Rejected(error.positions, hint=hint) from error

    async def close(self) -> None:
        """Close the sink if it was opened; what it raises is logged, since nothing depends on it any more."""
        if not self._opened:
            return
        self._opened = False
        try:
            await self._sink.close()
        except Exception as error:  # noqa: BLE001  # a plugin may raise anything
            logger.warning("topology %s, while closing: %s", self.name, _defect(self.name, error))

    async def _open(self) -> None:
        async with self._opening:
            if not self._opened:
                await self._sink.open()
                self._opened = True

    def _say(self, report: Report, flow: Flow, batch: Batch, error: PipelineError, attempt: int) -> None:
        report.trouble(flow, error.reason, error.hint, attempt)
        report.moved_at = self._clock.monotonic()
        log = logger.warning if flow is Flow.RETRYING else logger.error
        where = f"{self.name} on {batch.shard} at positions {batch.first}-{batch.last}"
        log("topology %s is %s (attempt %d): %s", where, flow, attempt, error)


def _is_our_own_end(error: BaseException) -> bool:
    """Return True when this task was cancelled, and not the plugin's own doing."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _defect(name: str, error: BaseException) -> PipelineError:
    """Name a plugin's unexpected error."""
    return PipelineError(
        kind_and_place(error), hint=f"a defect of topology {name}; the batch waits and is offered again"
    )
