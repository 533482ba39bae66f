"""Captures and deliveries from ports: the same assembly for the service and for a simulated world."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pipeline.capture.epochs import Epochs
from pipeline.capture.gaps import GapTeller
from pipeline.capture.outbox import Outbox
from pipeline.capture.packing import Packer, Packing
from pipeline.capture.shard import ShardCapture
from pipeline.capture.table import StreamTools, TableCapture
from pipeline.capture.vanished import Vanished
from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.coordination.crew import Crew
from pipeline.coordination.gaps import Gaps
from pipeline.coordination.leases import Leases, lease_key
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.follower import Follower
from pipeline.delivery.parking import Parking, Quarantine
from pipeline.delivery.redrive import Redrive
from pipeline.delivery.shard import ShardDelivery
from pipeline.delivery.stream import StreamDelivery
from pipeline.delivery.topology import TopologyRunner
from pipeline.delivery.witness import Turn
from pipeline.model.errors import RetryLater
from pipeline.model.gap import SURELY_KEPT_MS
from pipeline.model.shard import Shard
from pipeline.model.state import Report
from pipeline.ports import Chance, Clock, Log, ObjectStore, StateStore, TableStream
from pipeline.wire.redrive import request_key

logger = logging.getLogger(__name__)

THROUGH_STORED_SHARE = 96
"""The checkpoint of an idle shard may be so much of `sure_ms` behind (a quarter of an hour) in what it says of the time
up to which all was read."""
CAPTURE = "capture"
"""What stands for a topology's name in the key of a capture's checkpoint."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every object of one worker is made of."""

    owner: str
    """The worker's name in leases: never one that another process, or an earlier run of this one, had."""
    log: Log
    claims: ObjectStore | None
    store: StateStore
    clock: Clock
    chance: Chance
    lease_seconds: float
    checkpoint_seconds: float
    ring_bytes_max: int
    sure_ms: int = SURELY_KEPT_MS
    """A record of the Kinesis stream that is younger was not trimmed."""
    kept_ms_max: int = 0
    """The Kinesis stream may be told to keep its records so long when a topology is near to losing some."""


def capture_of(around: Surroundings, stream: TableStream, packing: Packing) -> TableCapture:
    """Return the capture of a table, which begins with this stream of it."""
    packer = Packer(packing, around.claims)
    gaps = Gaps(around.store, around.log.name, around.clock)
    outbox = Outbox(around.log, around.clock, around.chance, partial(_waits, stream.table))
    teller = GapTeller(gaps, packer, outbox)

    def tools(stream: TableStream) -> StreamTools:
        group = group_of(around.log.name, stream.table, stream.epoch)

        def build(shard: str) -> ShardCapture:
            slot = _slot(around, group, shard, CAPTURE)
            return ShardCapture(stream, around.log, packer, slot, gaps, around.clock, around.chance, shard)

        leases = _leases(around, group)
        crew = Crew(leases, around.clock, around.chance, around.lease_seconds, build)
        epochs = Epochs(around.store, around.log.name, stream, teller, around.clock)
        key = partial(checkpoint_key, group, name=CAPTURE)
        vanished = Vanished(stream, around.store, leases, key, teller, around.clock)
        return StreamTools(leases, crew, epochs, vanished)

    return TableCapture(stream, around.store, gaps, around.clock, tools)


def delivery_of(
    around: Surroundings,
    topologies: Mapping[str, TopologyRunner],
    quarantine: Quarantine | None = None,
    admitted: Callable[[], Awaitable[None]] | None = None,
) -> StreamDelivery:
    """Return the delivery of the Kinesis stream to the topologies; `admitted` raises when it may hold no lease."""
    group = around.log.name
    leases = _leases(around, group)
    gaps = Gaps(around.store, around.log.name, around.clock)
    turn = Turn()

    def build(shard: str) -> ShardDelivery:
        known = delivery.known[shard]
        return ShardDelivery(
            around.log,
            around.claims,
            around.store,
            around.clock,
            around.chance,
            known,
            {name: _follower(around, group, known, runner, quarantine, turn) for name, runner in topologies.items()},
            partial(checkpoint_key, group),
            gaps,
            ring_bytes_max=around.ring_bytes_max,
            checkpoint_seconds=around.checkpoint_seconds,
            sure_ms=around.sure_ms,
        )

    crew = Crew(leases, around.clock, around.chance, around.lease_seconds, build)
    delivery = StreamDelivery(
        around.log, leases, crew, gaps, around.clock, list(topologies), around.kept_ms_max, admitted
    )
    return delivery


def group_of(stream: str, table: str, epoch: str) -> str:
    """Return the group of the leases of a table's stream, for its capture into one Kinesis stream.

    Another stream of the table, and a capture of it into another Kinesis stream, have leases of their own.
    """
    return f"{stream}/{table}/{epoch}"


def _waits(table: str, error: RetryLater, _attempt: int) -> None:
    logger.warning("capture of table %s waits at a gap: %s", table, error)


def checkpoint_key(group: str, shard: str, name: str) -> str:
    """Return the key of the checkpoint row of a topology (or the capture) on a shard."""
    return f"{lease_key(group, shard)}@{name}"


def _follower(
    around: Surroundings,
    group: str,
    shard: Shard,
    runner: TopologyRunner,
    quarantine: Quarantine | None,
    turn: Turn,
) -> Follower:
    report, stored_ms = Report(moved_at=around.clock.monotonic()), around.sure_ms // THROUGH_STORED_SHARE
    cursor = Cursor(around.log.name, shard.id, runner.appetite, report, *shard.parents, through_stored_ms=stored_ms)
    slot = _slot(around, group, shard.id, runner.name)
    follower = Follower(cursor, slot, turn, around.clock)
    if quarantine is not None:
        key = request_key(group, shard.id, runner.name)
        follower.parking = Parking(quarantine, runner.name, cursor, slot, follower.save)
        through = quarantine, runner.name, cursor, follower.save, slot.is_ours
        follower.redrive = Redrive(*through, key, around.store, around.clock, around.chance)
    return follower


def _leases(around: Surroundings, group: str) -> Leases:
    return Leases(around.store, around.clock, owner=around.owner, group=group, lease_seconds=around.lease_seconds)


def _slot(around: Surroundings, group: str, shard: str, name: str) -> CheckpointSlot:
    return CheckpointSlot(around.store, around.clock, around.chance, checkpoint_key(group, shard, name), around.owner)
