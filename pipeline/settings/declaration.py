"""Every setting, declared once: the file reader, the environment reader, the check and the page come from here.

A field's type is its form and bounds, its default makes it optional, its description is its help.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from pipeline.model.lane import LANES_DEFAULT, LANES_MAX
from pipeline.plugin import Topology
from pipeline.settings.forms import (
    AttributeName,
    BucketOrNone,
    Host,
    ObjectPrefix,
    Region,
    RegionOrNone,
    StreamName,
    TableName,
    TableOrNone,
    WorkerId,
)
from pipeline.wire.attributes import AttributePolicy

KIB = 1024
MIB = 1024 * KIB
RECORD_BYTES_DEFAULT = MIB - 4 * KIB
"""Kinesis allows 1 MiB for data and partition key together; the margin is for the key and the record's header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The tables whose changes are captured. Their streams must carry both images."""

    region: Annotated[Region, Meta(description="Region of the tables.")]
    table: Annotated[TableOrNone, Meta(description="The one table, by name or ARN. Give this or `tables`.")] = ""
    tables: Annotated[
        tuple[TableName, ...], Meta(description="Several tables, by name or ARN. Once loaded, all tables are here.")
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The Kinesis data stream between capture and delivery."""

    name: Annotated[StreamName, Meta(description="Name or ARN of the Kinesis data stream.")]
    region: Annotated[RegionOrNone, Meta(description='Region of the stream; "" means that of the source.')] = ""
    wire: Annotated[
        Literal["compact", "open"],
        Meta(
            description="`compact`: many changes in one compressed record. `open`: one record a change, in the JSON of"
            " Kinesis Data Streams for DynamoDB with the sequence number added, for other readers."
        ),
    ] = "compact"
    lanes: Annotated[
        int,
        Meta(
            ge=1,
            le=LANES_MAX,
            title=f"a power of two from 1 to {LANES_MAX}",
            description="Units of order: the most Kinesis shards that can share the work. Fixed when the stream is"
            " first used.",
        ),
    ] = LANES_DEFAULT
    retention_hours_max: Annotated[
        int,
        Meta(
            ge=0,
            le=8_760,
            description="When a topology has used up four fifths of what the stream keeps, its retention is doubled, up"
            " to so many hours: what is still there is kept. Longer than 24 costs more, and is taken back by you. 0:"
            " never.",
        ),
    ] = 0
    claim_bucket: Annotated[
        BucketOrNone,
        Meta(description='Bucket, in the region of the stream, for changes too large for a record. "" stops there.'),
    ] = ""
    claim_prefix: Annotated[ObjectPrefix, Meta(description="Prefix of the objects in `claim_bucket`.")] = ""
    record_bytes_max: Annotated[
        int,
        Meta(
            ge=16 * KIB,
            le=10 * MIB,
            description="Largest record put. More than the default needs a stream whose MaxRecordSizeInKiB was raised.",
        ),
    ] = RECORD_BYTES_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The DynamoDB table of leases, checkpoints and positions."""

    table: Annotated[TableName, Meta(description="Name or ARN of the state table; `fanout setup` creates it.")]
    region: Annotated[RegionOrNone, Meta(description='Region of the table; "" means that of the stream.')] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """Where changes wait that a destination refuses for good; without a place such a change stops its shard."""

    bucket: Annotated[BucketOrNone, Meta(description="Bucket for the parked changes. Give this or `folder`.")] = ""
    prefix: Annotated[ObjectPrefix, Meta(description="What the names of its objects start with.")] = ""
    region: Annotated[RegionOrNone, Meta(description='Region of the bucket; "" means that of the stream.')] = ""
    folder: Annotated[str, Meta(description="Local folder instead, where all workers run on one machine.")] = ""
    attempts_max: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Tries of a batch on which a topology fails for no reason it names, before the change that"
            " causes it is looked for and parked.",
        ),
    ] = 5

    @property
    def wanted(self) -> bool:
        """Return True when refused changes are parked."""
        return bool(self.bucket or self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """How one process works."""

    lease_seconds: Annotated[
        float, Meta(ge=1, le=300, description="A shard whose owner is silent for this long is taken over.")
    ] = 10.0
    checkpoint_seconds: Annotated[
        float,
        Meta(ge=0.01, le=60, description="Pause between checkpoints: what is delivered again, at most, after a crash."),
    ] = 1.0
    ring_bytes_max: Annotated[
        int, Meta(ge=MIB, le=64 * 1024 * MIB, description="Memory for the decoded changes of one shard.")
    ] = 64 * MIB
    drain_seconds: Annotated[
        float, Meta(ge=0, le=3600, description="Time to settle what is under way after SIGTERM.")
    ] = 20.0
    web_host: Annotated[
        Host,
        Meta(
            description="Address of the status page, metrics and health. On any but loopback, all except a bare"
            " `/health` need the token of `FANOUT_WEB_TOKEN`."
        ),
    ] = "127.0.0.1"
    web_port: Annotated[int, Meta(ge=1, le=65535, description="Port of the same.")] = 6066
    id: Annotated[WorkerId, Meta(description='Name in leases; "" makes one from the host name.')] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """What the standard AWS variables leave open. Credentials and endpoints come from those, never from here."""

    plain_http_hosts: Annotated[
        tuple[Host, ...],
        Meta(
            description="Hosts, besides loopback, whose http:// endpoints are allowed: emulators in a private network."
        ),
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is logged, to standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least severity shown.")] = "info"
    format: Annotated[Literal["text", "json"], Meta(description="Lines for people, or one JSON object a line.")] = (
        "text"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologySection:
    """What every topology takes; its own settings stand beside these."""

    kind: Annotated[
        str,
        Meta(
            description="Which topology: an installed one, `topologies/<kind>.py` in the working folder, or"
            ' "module:name". "" means that of the section\'s name.'
        ),
    ] = ""
    tables: Annotated[tuple[TableName, ...], Meta(description="Some of the source's tables; empty means all.")] = ()
    linger_seconds: Annotated[
        Annotated[float, Meta(ge=0, le=3600)] | None,
        Meta(description="Longest wait for a fuller batch; unset leaves it to the topology."),
    ] = None
    batch_changes_max: Annotated[
        Annotated[int, Meta(ge=1, le=8_000)] | None,
        Meta(description="Most changes in a batch; unset leaves it to the topology."),
    ] = None
    deadline_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="Longest time one open, write or close of the sink may take; it is then cancelled, and offered"
            " again.",
        ),
    ] = 120.0
    drop_attributes: Annotated[
        tuple[AttributeName, ...], Meta(description="Top-level attributes of items that this topology never gets.")
    ] = ()
    hash_attributes: Annotated[
        tuple[AttributeName, ...],
        Meta(description="Attributes of which it gets a keyed hash (HMAC-SHA256): equal values stay equal."),
    ] = ()
    encrypt_attributes: Annotated[
        tuple[AttributeName, ...],
        Meta(
            description="Attributes it gets encrypted (AES-SIV): `--reveal` shows them to whoever has the key, and"
            " nobody once the key is destroyed."
        ),
    ] = ()
    attributes_key_file: Annotated[
        str,
        Meta(
            description="File of the key for both, made by `fanout attributes keygen`. More lines are older keys, with"
            " which nothing new is made."
        ),
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredTopology:
    """One `[topologies.<name>]`, complete: the plugin's defaults filled in, `options` an instance of its settings."""

    name: str
    topology: Topology
    options: Any
    tables: tuple[str, ...]
    linger_seconds: float
    batch_changes_max: int
    deadline_seconds: float
    attributes: AttributePolicy = field(default_factory=AttributePolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration, checked: regions filled in, `source.tables` complete, no loop, no secret."""

    source: Source
    stream: Stream
    state: State
    quarantine: Quarantine = field(default_factory=Quarantine)
    worker: Worker = field(default_factory=Worker)
    aws: Aws = field(default_factory=Aws)
    log: Log = field(default_factory=Log)
    topologies: Mapping[str, ConfiguredTopology] = field(default_factory=dict)


SECTIONS: Mapping[str, type[Any]] = {
    "source": Source,
    "stream": Stream,
    "state": State,
    "quarantine": Quarantine,
    "worker": Worker,
    "aws": Aws,
    "log": Log,
}
"""The sections with fixed keys, by name; `[topologies.<name>]` comes on top."""
