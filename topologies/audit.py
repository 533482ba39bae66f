"""A log of who changed what, when, in immutable S3 objects, each entry committing to the one before."""

from dataclasses import dataclass

from pipeline.plugin import Batch, Context, RangeLog, Topology, chain


@dataclass(frozen=True, slots=True)
class Settings:
    """The keys of `[topologies.audit]`."""

    bucket: str
    """Bucket of the log; it must exist, and should have Object Lock."""
    prefix: str = ""
    """What the names of all objects start with, for example `orders/`."""
    region: str = ""
    """Region of the bucket, when it is not the pipeline's."""
    actor_attribute: str = ""
    """Attribute in which the application writes who made a change; empty: entries name no actor but time-to-live."""


class Audit:
    """Appends batches as `chain/<stream>/<shard>/<first>.jsonl.zst`, one hash chain for each Kinesis shard."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self._log = RangeLog(
            context.objects(settings.bucket, settings.prefix, region=settings.region),
            chain.ChainForm(settings.actor_attribute),
        )

    async def open(self) -> None:
        """Do nothing: the first write finds the end of each chain."""

    async def write(self, batch: Batch) -> None:
        """Store the entries of the range, or find them stored."""
        await self._log.append(batch)

    async def close(self) -> None:
        """Do nothing: what was written is stored."""


topology = Topology(
    "audit",
    Settings,
    Audit,
    batch_changes_max=8_000,
    batch_bytes_max=16 * 1024 * 1024,
    linger_seconds=5.0,
    gaps=True,
)
