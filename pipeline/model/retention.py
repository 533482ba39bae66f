"""Time to data loss: how long until the oldest unread change is trimmed."""

from enum import StrEnum
from typing import NamedTuple

WARN_SHARE = 0.5
"""From this share of a stream's retention on, used up by the age of the oldest unread change, everybody is warned."""
NEAR_SHARE = 0.8
"""From this share on the loss is near: a stream that may keep its records longer is told to."""


class RetentionState(StrEnum):
    """How much of the retention is used up."""

    UNKNOWN = "unknown"
    """Nothing was read yet."""
    AMPLE = "ample"
    HALF_USED = "half used"
    NEARLY_USED = "nearly used"
    PASSED = "passed"
    """Unread changes may have been trimmed."""


class Retention(NamedTuple):
    """What is left of a stream's retention to one reader of a shard."""

    time_to_loss_seconds: float | None
    """0 when unread changes may be trimmed by now; None when nothing was read yet."""
    state: RetentionState


def retention(through_ms: int, kept_ms: int, now_ms: int) -> Retention:
    """Return what is left to a reader that has all up to `through_ms`, of a stream that keeps `kept_ms`."""
    if not through_ms:
        return Retention(None, RetentionState.UNKNOWN)
    left_ms = min(kept_ms, max(0, kept_ms - (now_ms - through_ms)))
    if not left_ms:
        return Retention(0.0, RetentionState.PASSED)
    return Retention(left_ms / 1000, _state(1 - left_ms / kept_ms))


def _state(used: float) -> RetentionState:
    if used >= NEAR_SHARE:
        return RetentionState.NEARLY_USED
    return RetentionState.HALF_USED if used >= WARN_SHARE else RetentionState.AMPLE
