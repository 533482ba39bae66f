"""A log of who changed what, when, in immutable S3 objects, each entry committing to the one before."""

from dataclasses import dataclass
from typing import Literal

from pipeline.plugin import Batch, Context, Misconfigured, RangeLog, RetentionMode, Storing, Topology, chain

MINUTES_MAX = 24 * 60
"""A day: longer, and the stream's own copy of what is not vouched for is gone."""

RETENTION_DAYS_MAX = 36_500


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
    signing_key_file: str = ""
    """File of the Ed25519 key that signs the roots, made by `fanout audit keygen`; empty, and no KMS key: no roots."""
    signing_kms_key: str = ""
    """Instead: id, ARN or alias of a KMS key for signing, of ECC_NIST_P256 or RSA, in the region of the bucket."""
    root_entries: int = 10_000
    """A root is due when so many entries wait for one."""
    root_minutes: float = 5.0
    """A root is due when an entry has waited so long for one."""
    witness_bucket: str = ""
    """Bucket for a second copy of the roots, best in another account. Give this or `witness_folder`."""
    witness_prefix: str = ""
    """What the names of the copies start with."""
    witness_region: str = ""
    """Region of `witness_bucket`, when it is not the pipeline's."""
    witness_folder: str = ""
    """Local folder for the copies instead, where all workers run on one machine."""

    retention_days: int = 0
    """Days in which nobody may delete or replace an object, log and witness; the buckets need Object Lock. 0: none."""
    retention_mode: Literal["GOVERNANCE", "COMPLIANCE"] = "GOVERNANCE"
    """Who may shorten that: with GOVERNANCE whoever has a permission of its own for it, with COMPLIANCE nobody."""
    kms_key: str = ""
    """KMS key with which objects are encrypted at rest; empty: as the bucket has it."""

    @property
    def storing(self) -> Storing:
        """Return how objects are kept."""
        return Storing(self.retention_days, RetentionMode(self.retention_mode), self.kms_key)

    def __post_init__(self) -> None:
        if self.signing_key_file and self.signing_kms_key:
            raise Misconfigured("signing_kms_key: given together with signing_key_file", hint="remove one of the two")
        if self.witness_bucket and self.witness_folder:
            raise Misconfigured("witness_folder: given together with witness_bucket", hint="remove one of the two")
        if not 0 <= self.retention_days <= RETENTION_DAYS_MAX:
            raise Misconfigured(f"retention_days: is not from 0 to {RETENTION_DAYS_MAX}", hint="0 means none")
        if self.root_entries < 1:
            raise Misconfigured("root_entries: is below 1", hint="give a number of entries, such as 10000")
        if not 0 < self.root_minutes <= MINUTES_MAX:
            raise Misconfigured(f"root_minutes: is not above 0 and at most {MINUTES_MAX}", hint="such as 5")


class Audit:
    """Appends batches as `chain/<stream>/<shard>/<first>.jsonl.zst`, one hash chain for each Kinesis shard."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self._log = RangeLog(
            context.objects(settings.bucket, settings.prefix, region=settings.region, storing=settings.storing),
            chain.ChainForm(settings.actor_attribute),
            chain.end_of,
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
    ranges=True,
)
