"""What a restore would do, item by item: decided from the archive and from what the target holds now."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from pipeline.history.cost import item_bytes, write_units
from pipeline.history.moment import SECOND_MS
from pipeline.history.trace import NOW, Trace, equal
from pipeline.model.errors import Misconfigured


class Action(StrEnum):
    """What is done with one item."""

    PUT = "put"
    DELETE = "delete"
    KEEP = "keep"
    """It is as it is to be."""
    LATER = "later"
    """It was changed after the bad window: the later change is kept."""
    STALE = "stale"
    """It is not what the archive says is current: somebody has changed it since, and that change is kept."""


class Wish(NamedTuple):
    """One item as it is to be, before the target was looked at."""

    keys: bytes
    then: bytes | None
    """As it is to be; None: not there."""
    now: bytes | None
    """As the archive says it is now."""
    later: bool = False
    """True when a change after the window stands in the way."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Every item as it was at one moment, for a target that holds nothing else."""

    at_ms: int

    @property
    def moments(self) -> tuple[int, ...]:
        """Return the moments to gather."""
        return (self.at_ms,)

    def wish(self, trace: Trace) -> Wish | None:
        """Return what an item is to be, None when it was not there."""
        then = trace.state(0)
        return None if then is None else Wish(trace.keys, then, None)


@dataclass(frozen=True, slots=True)
class Window:
    """Items with a bad change in a window, in the live table: back to what they were before it.

    A change is bad when `start_ms` <= its time < `end_ms`. Without `overwrite` an item is touched only when its last
    change of all is a bad one.
    """

    start_ms: int
    end_ms: int
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.end_ms <= self.start_ms:
            raise Misconfigured("the window ends before it begins", hint="exchange --from and --to")

    @property
    def moments(self) -> tuple[int, ...]:
        """Return the moments to gather: before the window, and after it."""
        return (self.start_ms, self.end_ms)

    def wish(self, trace: Trace) -> Wish | None:
        """Return what an item is to be, None when nothing happened to it in the window."""
        if not trace.changed_between(0, 1):
            return None
        later = trace.changed_between(1, NOW) and not self.overwrite
        return Wish(trace.keys, trace.state(0), trace.state(NOW), later)


Aim = Whole | Window


def since(at_ms: int, *, overwrite: bool) -> Window:
    """Return the window of all changes from a moment on: what puts a live table back to that moment."""
    return Window(at_ms, NEVER_MS, overwrite)


NEVER_MS = 10_000 * 365 * 24 * 3600 * SECOND_MS
"""Later than any change."""


def decide(wish: Wish, have: bytes | None, *, overwrite: bool) -> Action:
    """Return what to do with an item of which the target holds `have`."""
    if wish.later:
        return Action.LATER
    if equal(have, wish.then):
        return Action.KEEP
    if not overwrite and not equal(have, wish.now):
        return Action.STALE
    return Action.DELETE if wish.then is None else Action.PUT


@dataclass(slots=True)
class Tally:
    """What a plan amounts to, or what was done."""

    counts: Counter[Action] = field(default_factory=Counter)
    units: int = 0
    """Write units of all puts and deletes."""
    size_bytes: int = 0
    """Bytes, as DynamoDB counts them, of the items to put."""
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, action: Action, wish: Wish, have: bytes | None) -> None:
        """Count one item, in the plan's order."""
        self.counts[action] += 1
        if action in {Action.PUT, Action.DELETE}:
            self.units += write_units(wish.then, have)
            self.size_bytes += 0 if wish.then is None else item_bytes(wish.then)
            self._digest.update(b"%b\0%b\0%b\n" % (wish.keys, action.encode(), wish.then or b""))

    @property
    def writes(self) -> int:
        """Return the number of puts and deletes."""
        return self.counts[Action.PUT] + self.counts[Action.DELETE]

    @property
    def digest(self) -> str:
        """Return what stands for every put and delete, with its content: equal for equal plans only."""
        return str(self._digest.hexdigest())

    def became(self, done: "Tally") -> bool:
        """Return True when what was done is this plan, or less, and only because somebody had done the rest."""
        left = (Action.STALE, Action.LATER)
        fewer = done.writes < self.writes and all(done.counts[each] == self.counts[each] for each in left)
        return done.digest == self.digest or fewer

    def report(self) -> dict[str, int]:
        """Return the counts by action, all of them."""
        return {action.value: self.counts[action] for action in Action}
