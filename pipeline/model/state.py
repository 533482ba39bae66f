"""What a worker on a shard is doing: for status, health and metrics."""

from dataclasses import dataclass
from enum import StrEnum


class Flow(StrEnum):
    """How a shard's work is going."""

    WAITING = "waiting"
    """Not begun: a parent shard is not finished."""
    FLOWING = "flowing"
    RETRYING = "retrying"
    """The last call failed and is being repeated."""
    HALTED = "halted"
    """Stopped before its checkpoint by something that needs a person; tried again now and then."""
    ENDED = "ended"
    """The shard is closed and all of it is settled."""


@dataclass(slots=True)
class Report:
    """The present state of one shard's capture, or of one topology on one shard."""

    flow: Flow = Flow.WAITING
    reason: str = ""
    hint: str = ""
    attempts: int = 0
    changes: int = 0
    """Changes forwarded or settled by this process."""
    records: int = 0
    duplicates: int = 0
    """Repeats recognised and dropped."""
    reads: int = 0
    """GetRecords calls."""
    last_change_ms: int = 0
    """Creation time of the newest change dealt with."""
    lag_seconds: float = 0.0
    moved_at: float = 0.0
    """Monotonic time of the last sign of life."""

    def flowing(self) -> None:
        """Note that all is well."""
        self.flow, self.reason, self.hint, self.attempts = Flow.FLOWING, "", "", 0

    def trouble(self, flow: Flow, reason: str, hint: str = "", attempts: int = 0) -> None:
        """Note what is wrong and what to do about it."""
        self.flow, self.reason, self.hint, self.attempts = flow, reason, hint, attempts
