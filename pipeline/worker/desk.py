"""One topology's batches in the worker: one at a time for each shard, shards side by side."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakSet

from faust.types import EventT

from pipeline.delivery.shard import ShardDelivery
from pipeline.delivery.topology import TopologyRunner
from pipeline.model.errors import PipelineError, kind_and_place
from pipeline.worker.parcel import Parcel


class Desk:
    """Between the agent and the sink.

    Faust's own way to run shards side by side, `isolated_partitions`, takes a shard's end for a crash of its actor;
    so the agent has one actor, and the batches have a task each. A batch waits for the one before it on its shard.
    One that fails for a reason no topology gave is a defect of ours, and stops the process before any checkpoint.
    """

    def __init__(self, runner: TopologyRunner, crash: Callable[[BaseException], Awaitable[None]]) -> None:
        self._runner = runner
        self._crash = crash
        self._lines: dict[ShardDelivery, list[asyncio.Task[None]]] = defaultdict(list)
        self._dropped: WeakSet[ShardDelivery] = WeakSet()

    def accept(self, event: EventT, acknowledge: Callable[[EventT], Awaitable[Any]]) -> None:
        """Have the event's batch written after the one before it, then acknowledged.

        A batch that lay in the agent's queue when its shard was given up is left, like those that were under way.
        """
        parcel: Parcel = event.value
        if parcel.delivery in self._dropped:
            return
        line = self._lines[parcel.delivery]
        before = line[-1] if line else None
        line.append(asyncio.ensure_future(self._write(parcel, event, acknowledge, before)))

    async def drop(self, delivery: ShardDelivery) -> None:
        """Give up what is under way on a shard whose lease is gone: its next owner writes it again."""
        self._dropped.add(delivery)
        line = self._lines.pop(delivery, [])
        for task in line:
            task.cancel()
        if line:
            await asyncio.wait(line)

    async def _write(
        self,
        parcel: Parcel,
        event: EventT,
        acknowledge: Callable[[EventT], Awaitable[Any]],
        before: asyncio.Task[None] | None,
    ) -> None:
        try:
            if before is not None:
                await before
            follower = parcel.delivery.followers[parcel.topology]
            await self._runner.deliver(parcel.batch, follower)
            await acknowledge(event)
        except Exception as error:  # noqa: BLE001  # every task's death is seen
            defect = PipelineError(f"the worker failed: {kind_and_place(error)}", hint="please report it")
            await self._crash(defect)
            raise defect from None
        line = self._lines.get(parcel.delivery)
        if line:
            line.pop(0)
