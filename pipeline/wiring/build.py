"""From settings to the objects of one process."""

import os
import secrets
import socket
from dataclasses import dataclass
from functools import partial

from pipeline.aws.clock import SystemChance, SystemClock
from pipeline.aws.kinesis import KinesisLog
from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import READ, STATE, WRITE, Aws
from pipeline.aws.state import DynamoDBStateStore
from pipeline.aws.streams import DynamoDBTableStream
from pipeline.aws.tables import TableDescription
from pipeline.capture.packing import Packer, Packing, WireForm
from pipeline.capture.shard import ShardCapture
from pipeline.capture.table import TableCapture
from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.coordination.crew import Crew
from pipeline.coordination.leases import Leases, lease_key
from pipeline.delivery.cursor import Appetite, Cursor
from pipeline.delivery.shard import Follower, ShardDelivery
from pipeline.delivery.stream import StreamDelivery
from pipeline.delivery.topology import TopologyRunner
from pipeline.model.state import Report
from pipeline.ports import Chance, Clock, ObjectStore, StateStore
from pipeline.settings import ConfiguredTopology, Settings
from pipeline.wiring.context import SinkContext

CAPTURE = "capture"
"""What stands for a topology's name in the key of a capture's checkpoint."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every object of a process is made of."""

    settings: Settings
    aws: Aws
    clock: Clock
    chance: Chance
    store: StateStore
    log: KinesisLog
    claims: ObjectStore | None
    owner: str


def parts_of(settings: Settings, aws: Aws) -> Parts:
    """Return the shared parts of a process."""
    stream = settings.stream
    claims = (
        S3ObjectStore(aws, stream.region, stream.claim_bucket, stream.claim_prefix) if stream.claim_bucket else None
    )
    store = DynamoDBStateStore(aws.dynamodb(settings.state.region, STATE), settings.state.table)
    log = KinesisLog(aws.kinesis(stream.region, READ), aws.kinesis(stream.region, WRITE), stream.name)
    return Parts(settings, aws, SystemClock(), SystemChance(), store, log, claims, _owner(settings))


def capture_of(parts: Parts, table: TableDescription) -> TableCapture:
    """Return the capture of one table's present stream."""
    settings = parts.settings
    stream = stream_of(parts, table)
    packing = Packing(
        WireForm(settings.stream.wire), settings.stream.lanes, settings.stream.record_bytes_max, table.region
    )
    packer = Packer(packing, parts.claims)
    leases = _leases(parts, group_of_table(table))

    def build(shard: str) -> ShardCapture:
        slot = _slot(parts, group_of_table(table), shard, CAPTURE)
        return ShardCapture(stream, parts.log, packer, slot, parts.clock, parts.chance, shard)

    crew = Crew(leases, parts.clock, parts.chance, settings.worker.lease_seconds, build)
    return TableCapture(stream, parts.store, leases, crew, parts.clock)


def stream_of(parts: Parts, table: TableDescription) -> DynamoDBTableStream:
    """Return a table's present stream."""
    return DynamoDBTableStream(
        parts.aws.streams(table.region),
        table=table.name,
        arn=table.stream_arn,
        epoch=table.stream_label,
        hash_attribute=table.keys[0].name,
    )


def topologies_of(parts: Parts) -> dict[str, TopologyRunner]:
    """Return a runner for each configured topology. Raises Misconfigured when a plugin refuses its settings."""
    return {name: _runner(parts, configured) for name, configured in parts.settings.topologies.items()}


def delivery_of(parts: Parts, topologies: dict[str, TopologyRunner]) -> StreamDelivery:
    """Return the delivery of the Kinesis stream to the topologies."""
    leases = _leases(parts, parts.log.name)
    worker = parts.settings.worker

    def build(shard: str) -> ShardDelivery:
        followers = {
            name: Follower(
                Cursor(parts.log.name, shard, runner.appetite, Report(moved_at=parts.clock.monotonic())),
                _slot(parts, parts.log.name, shard, name),
            )
            for name, runner in topologies.items()
        }
        return ShardDelivery(
            parts.log,
            parts.claims,
            parts.store,
            parts.clock,
            parts.chance,
            delivery.known[shard],
            followers,
            partial(checkpoint_key, parts.log.name),
            ring_bytes_max=worker.ring_bytes_max,
            checkpoint_seconds=worker.checkpoint_seconds,
        )

    crew = Crew(leases, parts.clock, parts.chance, worker.lease_seconds, build)
    delivery = StreamDelivery(parts.log, leases, crew, parts.clock, list(topologies))
    return delivery


def group_of_table(table: TableDescription) -> str:
    """Return the group of the leases of a table's stream: another stream of the table has leases of its own."""
    return f"{table.name}/{table.stream_label}"


def checkpoint_key(group: str, shard: str, name: str) -> str:
    """Return the key of the checkpoint row of a topology (or the capture) on a shard."""
    return f"{lease_key(group, shard)}@{name}"


def _leases(parts: Parts, group: str) -> Leases:
    return Leases(
        parts.store, parts.clock, owner=parts.owner, group=group, lease_seconds=parts.settings.worker.lease_seconds
    )


def _slot(parts: Parts, group: str, shard: str, name: str) -> CheckpointSlot:
    return CheckpointSlot(parts.store, parts.clock, parts.chance, checkpoint_key(group, shard, name), parts.owner)


def _runner(parts: Parts, configured: ConfiguredTopology) -> TopologyRunner:
    topology, source = configured.topology, parts.settings.source
    tables = dict.fromkeys(configured.tables, source.region)
    context = SinkContext(configured.name, tables, parts.settings.stream.region, parts.aws, parts.clock)
    appetite = Appetite(
        configured.batch_changes_max, topology.batch_bytes_max, configured.linger_seconds, frozenset(tables)
    )
    sink = topology.sink(configured.options, context)
    return TopologyRunner(configured.name, sink, appetite, parts.clock, parts.chance)


def _owner(settings: Settings) -> str:
    """Return this process's name in leases: never one that another process, or an earlier run of this one, had."""
    return f"{settings.worker.id or socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
