"""Faust's consumer over the core's deliveries: batches out to agents, acknowledgements back.

What Faust's own consumer decides is not used, because it loses data: its drain loop awaits a full queue, its commit
passes an unacknowledged head (`_new_offset`), its shutdown waits without end. Here the core's cursors decide what may
be taken and what is settled; Faust carries the batch to the topology's agent and the acknowledgement back.

A topology's topic is `<stream>@<topology>`, a shard is a partition of it, an offset is the count of batches since the
shard was taken up. Private names of Faust used here, each covered by a test: `_acked`, `_acked_index`, `_gap`,
`_read_offset`, `_committed_offset`, `_active_partitions`, `_drain_messages`, `_new_offset`, `app._assignment`,
`app.topics._tp_index`.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from faust.transport.consumer import Consumer as BaseConsumer
from faust.types import TP, ConsumerMessage, Message
from mode import Service

from pipeline.delivery.shard import ShardDelivery
from pipeline.model.change import Batch
from pipeline.model.errors import PipelineError
from pipeline.model.state import Flow
from pipeline.worker.owner import for_good
from pipeline.worker.parcel import Parcel, partition_of, topic_of

ASSIGNMENT_SECONDS = 0.1
IDLE_SECONDS = 0.05


@dataclass(slots=True)
class Assigned:
    """One partition: a topology on a shard, as long as this worker holds that shard's lease."""

    delivery: ShardDelivery
    topology: str
    offset: int = 0


class Consumer(BaseConsumer):
    """One per worker; `app.delivery` is the core's side of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._topics: frozenset[str] = frozenset()
        self._assigned: dict[TP, Assigned] = {}
        self._wake = asyncio.Event()
        self._draining = False

    # -- assignment: the leases this worker holds, times the topologies --------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Take note of the topics; start the assignment the first time.

        Faust calls this again whenever an agent's actor has stopped: then there is nothing to do. The assignment waits
        for this call to return, so it must be a task of its own.
        """
        first = not self._topics
        self._topics = frozenset(topics)
        if first:
            self.add_future(self._first_assignment())

    async def _first_assignment(self) -> None:
        self.app.on_rebalance_start()
        self.app.consumer_generation_id += 1
        await self.on_partitions_assigned(set(), self.app.consumer_generation_id)
        self.add_future(for_good("the delivery", self.app.delivery.run(self.app.step_seconds), self._stops))
        self.add_future(for_good("the assignment of shards", self._keep_assignment(), self._stops))

    def _stops(self) -> bool:
        return self.should_stop or self._draining

    async def _keep_assignment(self) -> None:
        while not self._draining:
            await self.reassign()
            await asyncio.sleep(ASSIGNMENT_SECONDS)

    async def reassign(self) -> None:
        """Follow the leases: partitions come and go one by one, the others flow on undisturbed."""
        wanted = self._wanted()
        gone = {tp for tp, old in self._assigned.items() if tp not in wanted or wanted[tp].delivery is not old.delivery}
        new = {tp for tp in wanted if tp not in self._assigned or tp in gone}
        if not gone and not new:
            return
        for tp in gone:
            old = self._assigned.pop(tp)
            await self.app.desks[old.topology].drop(old.delivery)
            self._forget(tp)
        for tp in new:
            self._assigned[tp] = wanted[tp]
            self._read_offset[tp] = self._committed_offset[tp] = 0
        assigned = set(self._assigned)
        self.app._assignment = assigned
        self._set_active_tps(assigned)
        await self.app.topics.on_partitions_assigned(assigned)
        self._wake.set()

    def _wanted(self) -> dict[TP, Assigned]:
        deliveries = self.app.delivery.deliveries
        stream = self.app.stream_name
        return {
            TP(topic_of(stream, topology), partition_of(shard)): Assigned(delivery, topology)
            for shard, delivery in deliveries.items()
            for topology in delivery.followers
            if topic_of(stream, topology) in self._topics
        }

    def _forget(self, tp: TP) -> None:
        for by_tp in (self._gap, self._acked, self._acked_index, self._read_offset, self._committed_offset):
            by_tp.pop(tp, None)

    def assignment(self) -> set[TP]:
        """Return the partitions this worker has."""
        return set(self._assigned)

    # -- out: batches to agents ------------------------------------------------------------------------------------

    async def _drain_messages(self, fetcher: Service) -> None:
        """Hand each partition's next batches to its agent; never wait for a queue, so none can hold up another."""
        while not (self.should_stop or fetcher.should_stop or self._draining):
            if not await self._hand_over():
                self._wake.clear()
                try:
                    await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
                except TimeoutError:
                    continue

    async def _hand_over(self) -> int:
        """Move what the cursors allow to the agents' queues; return how many batches."""
        handed = 0
        for tp, assigned in list(self._assigned.items()):
            channels = self.app.topics._tp_index.get(tp)
            while channels and (batch := assigned.delivery.take(assigned.topology)) is not None:
                assigned.offset += 1
                message = self._message(tp, assigned, batch)
                message.incref(len(channels))
                self.track_message(message)
                for channel in channels:
                    channel.queue.put_nowait(await channel.decode(message, propagate=True))
                self._read_offset[tp] = message.offset
                handed += 1
        return handed

    def _message(self, tp: TP, assigned: Assigned, batch: Batch) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            assigned.offset,
            batch.changes[-1].time_ms / 1000 if batch.changes else 0.0,
            1,
            None,
            None,
            Parcel(assigned.delivery, assigned.topology, batch),
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,  # without it streams skip the message in silence
        )

    # -- back: acknowledgements to checkpoints ---------------------------------------------------------------------

    def ack(self, message: Message) -> bool:
        """Settle the batch with the delivery it came from; one that is gone is told in vain, and that is right."""
        if not message.acked:
            parcel: Parcel = message.value
            parcel.delivery.settle(parcel.topology, parcel.batch)
            self._wake.set()
        return bool(super().ack(message))

    def _new_offset(self, tp: TP) -> int | None:
        """Return the offset after the last one acknowledged without a hole, None when it has not moved."""
        acked = self._acked_index[tp]
        committed: int = self._committed_offset[tp] or 0
        offset = committed
        while offset + 1 in acked:
            offset += 1
            acked.discard(offset)
        self._acked[tp].clear()
        return offset if offset > committed else None

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Store the checkpoints of these partitions: committed means durable here, too."""
        for tp in offsets:
            assigned = self._assigned.get(tp)
            if assigned is None:
                continue
            try:
                await assigned.delivery.save(assigned.topology)
            except PipelineError as error:  # the delivery meets the same in its own saving, and ends there
                self.log.warning("commit of %s waits: %s", tp, error)
        return True

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: a stuck topology shows in its report, which status, health and metrics read."""

    # -- the end ---------------------------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> None:
        """Take nothing more, wait at most `seconds` for what is being written, save, give the leases back.

        A batch that is not acknowledged by then is not checkpointed: the next owner of the shard writes it again.
        """
        self._draining = True
        self._wake.set()
        deadline = self.loop.time() + seconds
        while self._busy() and self.loop.time() < deadline:
            await asyncio.sleep(IDLE_SECONDS)
        if self._busy():
            self.log.warning("not all batches were written within %.0f s; they will be written again", seconds)
        await self.app.delivery.drain()
        await self.reassign()

    def _busy(self) -> bool:
        """Return True while something is being written; what is halted waits for a person, not for us."""
        cursors = [assigned.delivery.followers[assigned.topology].cursor for assigned in self._assigned.values()]
        return any(cursor.busy and cursor.report.flow is not Flow.HALTED for cursor in cursors)

    # -- what Faust asks of a consumer, in terms of batches --------------------------------------------------------

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Return the present offsets: a delivery starts at its checkpoint by itself."""
        return {tp: assigned.offset for tp, assigned in self._assigned.items()}

    async def _seek(self, _partition: TP, _offset: int) -> None:
        msg = "a shard is read from its checkpoint on; there is nothing to seek"
        raise RuntimeError(msg)

    async def seek_wait(self, _partitions: Mapping[TP, int]) -> None:
        """Do nothing: only the recovery of Faust tables seeks, and there are none."""

    async def position(self, tp: TP) -> int | None:
        """Return the offset of the last batch handed over."""
        return self._assigned[tp].offset

    def highwater(self, tp: TP) -> int:
        """Return the offset of the last batch handed over: Kinesis tells no end offset."""
        return self._assigned[tp].offset if tp in self._assigned else 0

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return `highwater` of each partition."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return 0 for each partition."""
        return dict.fromkeys(partitions, 0)

    def topic_partitions(self, topic: str) -> int | None:
        """Return how many shards of a topic this worker has."""
        return sum(1 for tp in self._assigned if tp.topic == topic) or None

    def key_partition(self, _topic: str, _key: bytes | None, partition: int | None = None) -> int | None:
        """Return the partition given: keys are put into lanes by the capture, not here."""
        return partition

    async def create_topic(self, *_args: Any, **_options: Any) -> None:
        """Do nothing: a topic is a topology's view of the stream."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  # Faust's name
        msg = "batches are handed over by _drain_messages"
        raise RuntimeError(msg)

    def _to_message(self, _tp: TP, _record: Any) -> ConsumerMessage:
        msg = "batches are handed over by _drain_messages"
        raise RuntimeError(msg)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)
