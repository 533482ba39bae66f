"""Work that is not a shard's, done by one worker of all: whoever holds its lease."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pipeline.coordination.leases import Leases
from pipeline.coordination.persist import HALT_SECONDS
from pipeline.model.errors import PipelineError, RetryLater
from pipeline.ports import Clock

JOB = "job"
"""What stands for a shard in the key of the lease."""

logger = logging.getLogger(__name__)


class Alone:
    """A job that has no end, and is cancelled when its lease is lost; two at once must do no harm, only cost."""

    def __init__(
        self, what: str, leases: Leases, clock: Clock, step_seconds: float, job: Callable[[], Awaitable[None]]
    ) -> None:
        self._what = what
        self._leases = leases
        self._clock = clock
        self._step_seconds = step_seconds
        self._job = job

    async def run(self) -> None:
        """Run until cancelled: keep or try to get the lease, and have the job done while it is ours."""
        doing: asyncio.Task[None] | None = None
        try:
            while True:
                try:
                    await self._leases.step([JOB], lambda *_: True, lambda _: {})
                except RetryLater as error:
                    logger.warning("%s: the lease cannot be renewed: %s", self._what, error)
                if JOB in self._leases.held and doing is None:
                    doing = asyncio.ensure_future(self._again_and_again())
                elif JOB not in self._leases.held and doing is not None:
                    await _ended(doing)
                    doing = None
                await self._clock.sleep(self._step_seconds)
        finally:
            if doing is not None:
                await _ended(doing)

    async def release(self) -> None:
        """Give the lease back, so that another worker need not wait for it."""
        try:
            await self._leases.release(JOB)
        except RetryLater as error:
            logger.warning("%s: the lease is not given back, it expires: %s", self._what, error)

    async def _again_and_again(self) -> None:
        while True:
            try:
                await self._job()
            except PipelineError as error:
                logger.warning("%s failed, and is tried again: %s", self._what, error)
            await self._clock.sleep(HALT_SECONDS)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended; what it raises instead of ending is a defect, and is raised."""
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome
