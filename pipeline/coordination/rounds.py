"""Work done in rounds until it is drained."""

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from contextlib import suppress

from pipeline.coordination.leases import LOOK_SECONDS
from pipeline.model.errors import PipelineError
from pipeline.ports import Clock

POLL_SECONDS = 0.1

logger = logging.getLogger(__name__)


class Rounds(ABC):
    """Steps taken one at a time, and none after the drain: what was given back is not taken again.

    What goes wrong in a step is told once, when it changes, and is looked at again in the next. Between steps there are
    looks, which cost little, at whether there is something to take.
    """

    def __init__(self, title: str, clock: Clock) -> None:
        self._title = title
        self._clock = clock
        self._stepping = asyncio.Lock()
        self._stopping = False
        self.problem = ""
        """Why work cannot be done now, for status and health; empty when it can."""

    @property
    def stopping(self) -> bool:
        """Return True once it was told to drain."""
        return self._stopping

    async def run(self, step_seconds: float) -> None:
        """Step until drained or cancelled, at least every `step_seconds`; at once when a shard has ended."""
        while not self._stopping:
            try:
                await self.step()
                self._tell(self._finding())
            except PipelineError as error:
                self._tell(str(error))
            await self._pause(self._pause_seconds(step_seconds))

    async def step(self) -> None:
        """Do one round: finish, discover, lease, start. Raises PipelineError when not all of it could be done."""
        async with self._stepping:
            if self._stopping:
                return
            try:
                await self._step()
            finally:
                await self._expire()

    async def look(self) -> None:
        """Do what cannot wait for the next round; what goes wrong is met again there, and told there."""
        async with self._stepping:
            if not self._stopping:
                with suppress(PipelineError):
                    await self._look()

    async def drain(self) -> None:
        """Save, stop, and give the leases back; what cannot be saved is done again by the next worker."""
        self._stopping = True
        async with self._stepping:
            try:
                await self._finish()
            except PipelineError as error:
                logger.warning("%s, while stopping: %s", self._title, error)
            await self._leave()

    @abstractmethod
    async def _step(self) -> None:
        """Do one round."""

    @abstractmethod
    async def _look(self) -> None:
        """Do only what cannot wait."""

    @abstractmethod
    async def _expire(self) -> None:
        """Stop what is no longer ours: a round that could not be done must not keep it going."""

    @abstractmethod
    async def _finish(self) -> None:
        """Mark what has ended, so that others can go on from there."""

    @abstractmethod
    async def _leave(self) -> None:
        """Give back everything."""

    @abstractmethod
    def _has_ended(self) -> bool:
        """Return True when something has ended and should be finished at once."""

    def _finding(self) -> str:
        """Return what a person should know although the round went well."""
        return ""

    def _due_at(self) -> float:
        """Return the monotonic time at which a look is due, however short the last one is ago."""
        return math.inf

    def _pause_seconds(self, step_seconds: float) -> float:
        """Return how long to wait for the next round."""
        return step_seconds

    def _tell(self, problem: str) -> None:
        if problem and problem != self.problem:
            logger.error("%s: %s", self._title, problem)
        self.problem = problem

    async def _pause(self, seconds: float) -> None:
        now = self._clock.monotonic()
        until, look_at = now + seconds, now + LOOK_SECONDS
        while not self._stopping and now < until:
            await self._clock.sleep(min(POLL_SECONDS, until - now))
            now = self._clock.monotonic()
            if self._has_ended():
                return
            if now >= min(look_at, self._due_at()):
                await self.look()
                look_at = now + LOOK_SECONDS
