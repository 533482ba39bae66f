"""Everything a topology may import.

A topology is one file with a settings class, a sink class and `topology = Topology(...)`; read
`topologies/folder.py` first. Delivery does the rest: reading, order, batching, retries, checkpoints.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.model.change import Batch, Change, ChangeKind, Parked
from pipeline.model.errors import Corrupt, Gap, Misconfigured, PipelineError, Rejected, RetryLater
from pipeline.model.storing import RetentionMode, Storing
from pipeline.ports import Clock, ItemStore, ItemWrite, ObjectStore
from pipeline.wire import chain, segment
from pipeline.wire.json import canonical_keys, change_to_json
from pipeline.wire.positions import Positions
from pipeline.wire.rangelog import RangeLog

__all__ = [
    "Batch",
    "Change",
    "ChangeKind",
    "Clock",
    "Context",
    "Corrupt",
    "Gap",
    "ItemStore",
    "ItemWrite",
    "Mirror",
    "Misconfigured",
    "ObjectStore",
    "Parked",
    "PipelineError",
    "Positions",
    "RangeLog",
    "Rejected",
    "RetentionMode",
    "RetryLater",
    "Sink",
    "Storing",
    "Topology",
    "canonical_keys",
    "chain",
    "change_to_json",
    "segment",
]


class Sink(Protocol):
    """Writes batches to one destination, so that writing again what was written changes nothing."""

    async def open(self) -> None:
        """Get ready, once, before the first write. Raise Misconfigured, naming the setting, when it cannot."""

    async def write(self, batch: Batch) -> None:
        """Return only when every change of the batch is durable at the destination.

        Called for one batch of a shard at a time, for several shards side by side, so state is kept by `batch.shard`.
        A batch has at least one change, unless the topology says `ranges`. After a crash the last changes come again,
        cut into other batches, with the same positions; a worker that lost its lease may still be writing while its
        successor does. Not promised: any order between keys of different lanes, one call a change, or that
        `batch.first` follows the last call's `batch.last` after a restart, or without `ranges`.
        Await whatever waits (`asyncio.to_thread` for a call that blocks): one that blocks its thread stops all shards
        of its topology until it returns. A call that outlasts `deadline_seconds` is cancelled and does not count,
        whatever it returns; if it goes on nevertheless, the batch is offered to a new instance. Raise RetryLater to be
        offered the batch again, Rejected for changes that can never be written. Anything else stops this topology on
        this shard, before its checkpoint, and says so.
        """

    async def close(self) -> None:
        """Let go of what `open` took. Not promised to be called: after a kill it is not."""


class Context(Protocol):
    """What the pipeline lends to a sink."""

    @property
    def name(self) -> str:
        """Return the topology's name in the configuration: two of one kind have two names."""

    @property
    def pipeline(self) -> str:
        """Return a name that no other pipeline has, nor an earlier one of the same configuration.

        Positions start anew with every pipeline: what is kept of them at a destination belongs under this name.
        """

    @property
    def tables(self) -> Mapping[str, str]:
        """Return the source tables this topology gets, by name, with their source region."""

    @property
    def clock(self) -> Clock:
        """Return the clock."""

    def objects(
        self, bucket: str, prefix: str = "", *, region: str = "", storing: Storing | None = None
    ) -> ObjectStore:
        """Return a store for S3 objects under `prefix`; `storing` says how new ones are kept."""

    def folder(self, path: str) -> ObjectStore:
        """Return a store for files under a local folder, which is created."""

    def items(self, region: str) -> ItemStore:
        """Return the DynamoDB tables of a region."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """How a topology keeps each item of a source table as one item of another: what `fanout verify` compares by."""

    region: str
    """Region of the tables it writes to."""
    table: str
    """Name of the table that mirrors the one source table; empty: named like its source."""
    expected: Callable[[bytes], bytes | None]
    """Returns a source's item as the mirror is to have it, None when it is to have none."""
    held: Callable[[bytes], bytes | None]
    """Returns a stored item without what the topology added to it, None when it stands for a removed one."""
    mended: Callable[[bytes, bytes | None], bytes] | None = None
    """Returns the item to store in place of a wrong one, given the expected and the stored item. Only where a row of
    the source, sent through the topology's lanes, does not win over what is stored."""


@dataclass(frozen=True, slots=True)
class Topology:
    """A plugin: its name, its settings class, its sink, and how it likes its batches.

    `settings` is a frozen dataclass whose field names are the keys of `[topologies.<name>]`; `sink` is called with an
    instance of it and a Context. A batch is handed over when it has `batch_changes_max` changes or `batch_bytes_max`
    bytes of images, or when its first change has waited `linger_seconds`.
    """

    name: str
    settings: type[Any]
    sink: Callable[[Any, Context], Sink]
    batch_changes_max: int = 1_000
    batch_bytes_max: int = 4 * 1024 * 1024
    linger_seconds: float = 0.0
    gaps: bool = False
    """Whether the sink gets changes of kind GAP: for a log, where what is missing must stand in its place."""
    ranges: bool = False
    """Whether the sink is called for a range without changes too, where all of it was filtered out or waits in
    quarantine: for who counts on one range following the other, as users of `RangeLog` and `Positions` do."""
    mirror: Callable[[Any], Mirror] | None = None
    """Called with the settings; only for a topology whose destination is to equal the source, item by item."""
