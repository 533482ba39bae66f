"""What can go wrong, named by what happens next.

Every error carries a `hint`: the next step for the person who reads it. Messages name tables, shards, objects and
settings, never the content of an item: they are logged, stored and shown to whoever may see the status.
"""

import traceback
from collections.abc import Mapping

AFTER_SECONDS_MAX = 3600.0
"""The longest pause a sink can ask for: nobody waits a day for a mistaken number."""
TEXT_CHARACTERS_MAX = 400
"""Of a reason or a hint that a plugin gives: those of all keys that a shard parks have to go into one row."""


class PipelineError(Exception):
    """The root of every error the pipeline raises on purpose.

    `reason` says what is wrong, `hint` what to do about it; both are logged, stored and shown, so neither may hold
    content of an item. What a plugin says is cut after TEXT_CHARACTERS_MAX.
    """

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason


class RetryLater(PipelineError):
    """The same call may succeed later: offer it again, unchanged, after a pause.

    `after_seconds` is the least pause the other side asked for; the caller adds its own backoff. What is above an hour,
    AFTER_SECONDS_MAX, counts as an hour; raised by a sink, what is negative or no finite number is a defect of it.
    """

    def __init__(self, reason: str, *, after_seconds: float = 0.0, hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.after_seconds = after_seconds


class Rejected(PipelineError):
    """A destination refuses some changes for good.

    `positions` maps the position of each refused change in its batch's shard to the reason, which is logged, stored and
    shown: no content of an item. Nothing is said of the
    others: they may be written or not. The caller parks the named changes durably, then offers the batch again without
    them. (Were the others written first, a sink that keeps its own position would pass the refused ones, and a crash
    before they are parked would lose them.) Raised by a sink, what names no change, or one that the batch does not
    carry, is a defect of it.
    """

    def __init__(self, positions: Mapping[int, str], *, hint: str = "") -> None:
        super().__init__(_refusal(positions), hint=hint)
        self.positions = positions


class Deadly(Rejected):
    """The process ended again and again while these changes were being written: they are not offered once more."""


class Defect(PipelineError):
    """A plugin failed for no reason it names: offer the batch again, and, with a quarantine, in ever smaller parts.

    Its own words are not repeated, they may hold content of an item.
    """


class LeaseLost(PipelineError):
    """Another worker owns this shard now: stop, write nothing more, leave the rest to it."""


class IteratorExpired(PipelineError):
    """A shard iterator is too old to be used: ask for a new one from the last sequence and go on."""


class Gap(PipelineError):
    """Changes were lost to us before they could be read: stop the shard, say what is missing, heal."""


class Corrupt(PipelineError):
    """Stored bytes are not what was written: stop the shard; a person has to look."""


class Misconfigured(PipelineError):
    """A setting, a permission or a resource is wrong: nothing was done; the hint names the fix."""


def _refusal(positions: object) -> str:
    """Say what is refused; whatever a plugin gives instead of positions and reasons is judged when it was raised."""
    if not isinstance(positions, Mapping):
        return "changes refused"
    return f"{len(positions)} change(s) refused: {sorted(set(map(str, positions.values())))}"


def kind_and_place(error: BaseException) -> str:
    """Name an error nobody foresaw by its type and the place it came from: its text may hold content of an item."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
