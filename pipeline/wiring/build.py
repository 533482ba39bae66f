"""From settings to the objects of one process."""

import os
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline import __file__ as pipeline_file
from pipeline.aws.clock import SystemChance, SystemClock
from pipeline.aws.folder import FolderObjectStore
from pipeline.aws.kinesis import KinesisLog
from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import CONTROL, READ, STATE, WRITE, Aws
from pipeline.aws.state import DynamoDBStateStore
from pipeline.aws.streams import DynamoDBTableStream
from pipeline.aws.tables import TableDescription, Tables
from pipeline.capture.packing import Packing, WireForm
from pipeline.capture.table import TableCapture
from pipeline.delivery.appetite import Appetite
from pipeline.delivery.parking import Quarantine
from pipeline.delivery.topology import TopologyRunner
from pipeline.plugin import Sink, Topology
from pipeline.ports import ObjectStore
from pipeline.settings import ConfiguredTopology, Settings
from pipeline.wiring import core
from pipeline.wiring.attributes import guard_of
from pipeline.wiring.context import SinkContext
from pipeline.worker.room import RoomedSink

SHIPPED = frozenset({"replica", "archive", "audit", "folder"})


@dataclass(frozen=True, slots=True)
class Parts:
    """A process's settings, its clients, and what every object of it is made of."""

    settings: Settings
    aws: Aws
    around: core.Surroundings


def parts_of(settings: Settings, aws: Aws) -> Parts:
    """Return the shared parts of a process."""
    stream, worker = settings.stream, settings.worker
    around = core.Surroundings(
        owner=f"{worker.id or socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        log=KinesisLog(aws.kinesis(stream.region, READ), aws.kinesis(stream.region, WRITE), stream.name),
        claims=S3ObjectStore(aws.share("claims"), stream.region, stream.claim_bucket, stream.claim_prefix)
        if stream.claim_bucket
        else None,
        store=DynamoDBStateStore(aws.dynamodb(settings.state.region, STATE), settings.state.table),
        clock=SystemClock(),
        chance=SystemChance(),
        lease_seconds=worker.lease_seconds,
        checkpoint_seconds=worker.checkpoint_seconds,
        ring_bytes_max=worker.ring_bytes_max,
        kept_ms_max=stream.retention_hours_max * 3_600_000,
    )
    return Parts(settings, aws, around)


def capture_of(parts: Parts, table: TableDescription) -> TableCapture:
    """Return the capture of one table's present stream."""
    stream = parts.settings.stream
    packing = Packing(WireForm(stream.wire), stream.lanes, stream.record_bytes_max, table.region)
    return core.capture_of(parts.around, stream_of(parts, table), packing)


def stream_of(parts: Parts, table: TableDescription) -> DynamoDBTableStream:
    """Return a table's present stream."""
    aws = parts.aws.share("capture")
    tables = Tables(aws.dynamodb(table.region, CONTROL), parts.around.clock)
    return DynamoDBTableStream.of(aws.streams(table.region), table, tables)


def topologies_of(parts: Parts, pipeline: str) -> dict[str, TopologyRunner]:
    """Return a runner for each configured topology. Raises Misconfigured when a plugin refuses its settings."""
    return {name: _runner(parts, pipeline, configured) for name, configured in parts.settings.topologies.items()}


def quarantine_of(parts: Parts, pipeline: str) -> Quarantine | None:
    """Return where refused changes wait, None when the configuration names no place."""
    settings, lanes = parts.settings.quarantine, parts.settings.stream.lanes
    if not settings.wanted:
        return None
    objects: ObjectStore
    share = parts.aws.share("quarantine")
    if settings.folder:
        objects = FolderObjectStore(Path(settings.folder), share.threads(WRITE))
    else:
        objects = S3ObjectStore(share, settings.region, settings.bucket, settings.prefix)
    return Quarantine(objects, pipeline, lanes, settings.attempts_max)


def is_shipped(topology: Topology) -> bool:
    """Return True for a topology of this package; all others get a thread of their own."""
    module = sys.modules.get(topology.sink.__module__)
    file = Path(getattr(module, "__file__", None) or "")
    return topology.name in SHIPPED and file.parent == Path(pipeline_file).parent.parent / "topologies"


def _runner(parts: Parts, pipeline: str, configured: ConfiguredTopology) -> TopologyRunner:
    topology, source = configured.topology, parts.settings.source
    tables = dict.fromkeys(configured.tables, source.region)
    region, clock = parts.settings.stream.region, parts.around.clock
    context = SinkContext(configured.name, pipeline, tables, region, parts.aws, clock)
    appetite = Appetite(
        configured.batch_changes_max,
        topology.batch_bytes_max,
        configured.linger_seconds,
        frozenset(tables),
        topology.gaps,
        configured.name,
        topology.ranges,
    )
    make: Callable[[], Sink] = partial(topology.sink, configured.options, context)
    if not is_shipped(topology):
        make = partial(RoomedSink, configured.name, make)
    return TopologyRunner(
        configured.name,
        make,
        appetite,
        clock,
        parts.around.chance,
        deadline_seconds=configured.deadline_seconds,
        guard=guard_of(configured),
    )
