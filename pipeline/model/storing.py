"""How objects are stored beside their bytes: with which key at rest, and for how long nobody may delete them."""

from dataclasses import dataclass
from enum import StrEnum


class RetentionMode(StrEnum):
    """Who may shorten a retention: the values are S3's own."""

    GOVERNANCE = "GOVERNANCE"
    """Whoever has the permission s3:BypassGovernanceRetention."""
    COMPLIANCE = "COMPLIANCE"
    """Nobody, the account's owner included."""


@dataclass(frozen=True, slots=True)
class Storing:
    """What every new object of a store gets. A local folder, and a fake, know of neither."""

    retention_days: int = 0
    """0: no retention of its own; the bucket's default holds. Otherwise the bucket must have Object Lock."""
    retention_mode: RetentionMode = RetentionMode.GOVERNANCE
    kms_key: str = ""
    """Id or ARN of the KMS key at rest; empty: as the bucket has it."""
