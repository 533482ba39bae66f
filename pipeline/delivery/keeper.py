"""A topology's sink and every call of it: in time, in an instance that is replaced when a call holds on to it."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from pipeline.delivery.deadline import Call, begin, ends_within
from pipeline.delivery.judging import judged
from pipeline.model.errors import PipelineError, RetryLater, kind_and_place
from pipeline.plugin import Batch, Sink
from pipeline.ports import Clock

DEADLINE_SECONDS = 120.0
GRACE_SECONDS = 5.0
"""How long a call that was cancelled has to end."""
ABANDONED_CALLS_MAX = 8
"""Calls of a topology that were given up and have not ended: with so many it makes no further ones."""
OPENING = ""
"""What stands for a shard in the place of a call that opens."""

logger = logging.getLogger(__name__)


class Instance:
    """One sink object, and its calls under way by shard: it never has two batches of a shard at a time."""

    def __init__(self) -> None:
        self.sink: Sink | None = None
        self.opened = False
        self.opening = asyncio.Lock()
        self.calls: dict[str, Call] = {}

    def running(self, shard: str) -> Call | None:
        """Return a call of a shard that has not ended."""
        call = self.calls.get(shard)
        return None if call is None or call.done() else call

    @property
    def running_calls(self) -> list[Call]:
        """Return the calls that have not ended."""
        return [call for call in self.calls.values() if not call.done()]


class SinkKeeper:
    """Makes, opens and calls a topology's sink.

    A call that is not done at its deadline is cancelled. One that does not end then either is abandoned, and the next
    calls get a new instance; what an abandoned call still does is what an old owner of the shard may do as well.
    """

    def __init__(self, name: str, make: Callable[[], Sink], clock: Clock, deadline_seconds: float) -> None:
        self._name = name
        self._make = make
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._instance = Instance()
        self._abandoned: list[Call] = []
        self._closing: set[asyncio.Task[None]] = set()
        self.overdue_total = 0
        """Calls that missed their deadline."""
        self.replaced_total = 0
        """Instances that were replaced."""

    @property
    def abandoned_calls(self) -> int:
        """Return how many calls were given up and have not ended."""
        self._abandoned = [call for call in self._abandoned if not call.done()]
        return len(self._abandoned)

    async def write(self, batch: Batch) -> None:
        """Have a batch written; return when the sink has. Raises what it raised, RetryLater when it took too long."""
        instance = await self._ready(batch.shard)
        assert instance.sink is not None
        await self._call(instance, batch.shard, "write", partial(instance.sink.write, batch), batch)

    async def close(self) -> None:
        """Close the sink if it was opened; what it raises is logged, since nothing depends on it any more."""
        instance, self._instance = self._instance, Instance()
        running = instance.running_calls
        for call in running:
            call.cancel()
        await ends_within(asyncio.gather(*running, return_exceptions=True), self._clock, GRACE_SECONDS)
        await self._close(instance)

    async def _ready(self, shard: str) -> Instance:
        """Return an open instance that has no call of the shard under way."""
        while True:
            self._must_not_pile_up()
            instance = self._instance
            left = instance.running(shard)
            if left is not None and not await ends_within(left, self._clock, GRACE_SECONDS):
                self._abandon(instance, left)
                continue
            async with instance.opening:
                if instance is self._instance and not instance.opened:
                    await self._call(instance, OPENING, "open", partial(self._open, instance))
                    instance.opened = True
            if instance is self._instance:
                return instance

    async def _open(self, instance: Instance) -> None:
        if instance.sink is None:
            instance.sink = self._make()
        await instance.sink.open()

    async def _call(
        self, instance: Instance, shard: str, what: str, make: Callable[[], object], batch: Batch | None = None
    ) -> None:
        call = instance.calls[shard] = begin(make)  # type: ignore[arg-type]  # what is not awaitable is a defect, below
        try:
            in_time = await ends_within(call, self._clock, self._deadline_seconds)
        finally:
            if not call.done():
                call.cancel()
        if not in_time:
            await self._give_up(instance, call, what)
        value, error = call.result()
        if error is not None:
            raise judged(error, batch, self._name)
        if value is not None:
            raise PipelineError(
                f"{what} returned a {type(value).__name__}, not None",
                hint=f"a defect of topology {self._name}: it must raise what it has to say; the batch is offered again",
            )

    async def _give_up(self, instance: Instance, call: Call, what: str) -> None:
        """Raise RetryLater for a call that was cancelled at its deadline; however it ends, it does not count."""
        self.overdue_total += 1
        hint = "is its destination well? A write that needs longer: raise deadline_seconds, or lower batch_changes_max"
        if await ends_within(call, self._clock, GRACE_SECONDS):
            raise RetryLater(f"{what} did not end within {self._deadline_seconds:g} s", hint=hint)
        self._abandon(instance, call)
        raise RetryLater(
            f"{what} did not end within {self._deadline_seconds:g} s, nor when it was cancelled", hint=hint
        )

    def _abandon(self, instance: Instance, call: Call) -> None:
        """Leave a call to itself, and its instance as soon as all its other calls have ended."""
        self._abandoned.append(call)
        if instance is self._instance:
            self._instance = Instance()
            self.replaced_total += 1
            logger.error("topology %s: a call does not end; its sink is replaced", self._name)
        for each in instance.running_calls:
            each.add_done_callback(lambda _: self._retire(instance))

    def _retire(self, instance: Instance) -> None:
        """Close a replaced instance if the call that has just ended was its last."""
        if not instance.running_calls:
            task = asyncio.ensure_future(self._close(instance))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _must_not_pile_up(self) -> None:
        if self.abandoned_calls >= ABANDONED_CALLS_MAX:
            raise PipelineError(
                f"{self.abandoned_calls} calls were given up and have not ended",
                hint=f"topology {self._name} makes no more until one ends; restart the worker if none does",
            )

    async def _close(self, instance: Instance) -> None:
        if instance.sink is None or not instance.opened:
            return
        instance.opened = False
        call = begin(instance.sink.close)
        if not await ends_within(call, self._clock, self._deadline_seconds):
            call.cancel()
            logger.warning("topology %s: close did not end", self._name)
        elif error := call.result().error:
            logger.warning("topology %s, while closing: %s", self._name, kind_and_place(error))
