"""A gap: changes that were lost to us before they could be read, as a record that outlives whoever noticed it."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

CLOCK_MARGIN_MS = 20 * 60 * 1000
"""How far the clocks of two machines may differ where an age is compared with a retention."""
TABLE_STREAM_KEPT_MS = 24 * 3600 * 1000
"""How long DynamoDB Streams keeps a record; it cannot be changed (developer guide, "Change data capture")."""


LOG_KEPT_MS_MIN = 24 * 3600 * 1000
"""The least that a Kinesis data stream can be set to keep: however it is set, and whoever changes that."""
SURELY_KEPT_MS = LOG_KEPT_MS_MIN - CLOCK_MARGIN_MS
"""A record of a Kinesis stream that is younger was not trimmed."""


class GapCause(StrEnum):
    """How changes were lost."""

    TRIMMED = "trimmed"
    """The stream let go of records before they were read."""
    SHARD_GONE = "shard gone"
    """A shard vanished before it was read to its end."""
    NEW_STREAM = "new stream"
    """The table's stream was switched off and on: what changed in between is in neither."""
    NEW_TABLE = "new table"
    """The table was deleted and made anew under its name."""


class GapState(StrEnum):
    """What became of a gap."""

    OPEN = "open"
    """Its shard stands still."""
    ACCEPTED = "accepted"
    """Somebody lets the pipeline go on without the lost changes."""
    HEALING = "healing"
    """What may have changed is being read again; the shard goes on."""
    HEALED = "healed"

    @property
    def step(self) -> int:
        """Return the number of the state, from 1: a gap only ever moves up."""
        return list(GapState).index(self) + 1


@dataclass(frozen=True, slots=True)
class GapRecord:
    """One gap, from its notice on. What names it never changes; the fields from `state` on do."""

    cause: GapCause
    table: str
    """The source table; empty for a gap between Kinesis and a topology."""
    epoch: str
    """The stream's label; of Kinesis, the stream's name."""
    shard: str
    """Empty when the whole stream is concerned."""
    topology: str
    """The topology that lost the changes; empty for all."""
    after: str
    """The last sequence that was read, in digits; empty for none. For a new stream, the label of the old one."""
    reason: str = ""
    noticed_ms: int = 0
    number: int = 1
    """Counts gaps that are alike: what was accepted once does not cover what is lost later."""
    state: GapState = GapState.OPEN
    until: str = ""
    """The first sequence that could be read behind the gap, once that is known; empty when nothing was left."""
    by: str = ""
    """Who decided."""
    decided_ms: int = 0
    told: int = 0
    """The step of the state that was last put into the stream, 0 for none."""

    @property
    def id(self) -> str:
        """Return the gap's name: equal for everybody who notices it."""
        named = (self.cause, self.table, self.epoch, self.shard, self.topology, self.after, str(self.number))
        return hashlib.sha256("\0".join(named).encode()).hexdigest()[:16]

    def passes(self, now_ms: int, kept_ms: int) -> bool:
        """Return True when the shard may go on behind the gap.

        A decision covers what was lost before it. What came later is kept for `kept_ms`, so a decision that is older
        says nothing of what is missing now.
        """
        return self.state is not GapState.OPEN and now_ms - self.decided_ms < kept_ms - CLOCK_MARGIN_MS
