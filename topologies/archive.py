"""Every change, both images, in immutable S3 objects: what restore, history and export read."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from pipeline.plugin import Batch, Context, RangeLog, Storing, Topology, segment


@dataclass(frozen=True, slots=True)
class Settings:
    """The keys of `[topologies.archive]`."""

    bucket: str
    """Bucket of the archive; it must exist."""
    prefix: str = ""
    """What the names of all objects start with, for example `orders/`."""
    region: str = ""
    """Region of the bucket, when it is not the pipeline's."""
    kms_key: str = ""
    """KMS key with which objects are encrypted at rest; empty: as the bucket has it."""
    compression: Literal["zstd", "gzip"] = "zstd"
    """How new segments are compressed; may be changed at any time."""
    snapshot_hours: Annotated[int, Meta(ge=0, le=24 * 31)] = 0
    """A worker makes a snapshot of the archive every so many hours; 0: only `fanout archive compact` does."""


class Archive:
    """Appends batches as segments, `segments/<stream>/<shard>/<first>.segment`, each naming the one before."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self._log = RangeLog(
            context.objects(
                settings.bucket, settings.prefix, region=settings.region, storing=Storing(kms_key=settings.kms_key)
            ),
            segment.SegmentForm(settings.compression),
        )

    async def open(self) -> None:
        """Do nothing: the first write finds the end of each shard's list."""

    async def write(self, batch: Batch) -> None:
        """Store the range, or find it stored."""
        await self._log.append(batch)

    async def close(self) -> None:
        """Do nothing: what was written is stored."""


topology = Topology(
    "archive",
    Settings,
    Archive,
    batch_changes_max=8_000,
    batch_bytes_max=16 * 1024 * 1024,
    linger_seconds=5.0,
    gaps=True,
    ranges=True,
)
