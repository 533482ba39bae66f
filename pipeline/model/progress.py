"""Progress: what has been seen of the source, and what is settled without a hole."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from pipeline.model.shard import Shard
from pipeline.model.snapshot import NONE, Snapshots


class Why(StrEnum):
    """For which reason a change is parked."""

    REFUSED = "refused"
    """The sink named it as one that can never be written."""
    DEFECT = "defect"
    """The sink failed on it again and again, and on nothing beside it."""
    FATAL = "fatal"
    """The process ended again and again while it was written."""
    LATER = "later"
    """It follows a parked change of its key."""


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """A key whose changes wait in quarantine, as one topology's checkpoint on one shard knows it."""

    epoch: str
    sequence: int
    """With `epoch`, the first parked change: this and all later changes of the key are parked."""
    hash_key: int
    """Explicit hash key of its lane: of two child shards, the one that holds it goes on with the key."""
    time_ms: int
    """Creation time of the first parked change."""
    why: Why
    count: int = 0
    """Parked changes up to the checkpoint."""
    last: tuple[str, int] = ("", -1)
    """Epoch and sequence of the last of them."""

    @property
    def first(self) -> tuple[str, int]:
        """Return the place of the first parked change in its key's history."""
        return self.epoch, self.sequence


PARKED_KEYS_MAX = 256
"""How many keys a topology may have parked on a shard: they travel with every checkpoint."""


class Quarantined(NamedTuple):
    """How much a topology has in quarantine on a shard."""

    keys: int
    changes: int
    oldest_seconds: float
    """Age of the oldest parked change; 0 when there is none."""


def quarantined(parked: Collection[ParkedKey], now_ms: int) -> Quarantined:
    """Return how much is parked."""
    oldest_ms = min((key.time_ms for key in parked), default=now_ms)
    return Quarantined(len(parked), sum(key.count for key in parked), max(0.0, (now_ms - oldest_ms) / 1000))


def here(parked: Mapping[str, ParkedKey], shard: Shard) -> dict[str, ParkedKey]:
    """Return the parked keys whose lanes a shard goes on with, of those of its parent."""
    return {digest: key for digest, key in parked.items() if shard.holds(key.hash_key)}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stored place in a shard: everything up to it is durable at the other end.

    `sequence` is the last settled record's sequence, None before the first; `position` counts settled changes;
    `delivered` is the highest position a sink was given (below `position` when the last changes were filtered out);
    `seen` is the state of `Seen`; `ended` means the shard is closed and all of it is settled.
    """

    sequence: int | None = None
    position: int = 0
    delivered: int = 0
    seen: Mapping[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    ended: bool = False
    time_ms: int = 0
    """Creation time of the last settled change; 0 before the first."""
    parked: Mapping[str, ParkedKey] = field(default_factory=dict)
    """Keys in quarantine, by digest."""
    snapshots: Snapshots = NONE
    """What is known of readers that send rows of their tables."""
    through_ms: int = 0
    """Of a Kinesis shard: every record that arrived up to then, by the stream's clock, is at or before `sequence`, or
    was given up as lost; 0 when nothing is known. Records that followed an ended shard came later."""
    part: int = 0
    """How many gaps were passed in this Kinesis shard: behind each, positions count from 1 under another name."""


def part_name(shard: str, part: int) -> str:
    """Return the name under which the positions of a part of a Kinesis shard count: names sort as the parts do."""
    return f"{shard}.{part:03d}" if part else shard


class Evidence(NamedTuple):
    """What is kept beside a checkpoint so that the death of a process tells something to the next one."""

    starts: int = 0
    """How often the checkpoint was claimed since it last moved."""
    of: str = ""
    """Name of the batch's shard where changes from quarantine were being written; empty for the shard itself."""
    first: int = 0
    last: int = 0
    """First and last position that was being written."""
    offers: int = 0
    """How often just these were offered and nobody saw the call return; 0 when nothing is marked."""


NOTHING = (-1, 0)
EVERY_SEQUENCE = 10**40
"""Above any: a sequence number of DynamoDB Streams has 21 to 40 digits."""
APART = ("gap-", "snapshot-")
"""How the names begin of what stands in place of a source shard for what is no change of a stream: it may name one that
is not captured yet."""
SEEN_KEPT_MS = 48 * 3600 * 1000
"""How long the last sequence of a silent (source shard, lane) is kept: twice the 24 h a table stream lives."""


class Seen:
    """The highest source sequence seen for every (source shard, lane): what is not above it is a repeat.

    Repeats come from retried puts, a restarted capture, or an old owner whose put arrived late. A lane's records reach
    the stream so that every change before a record's first is already there, so one number per lane is enough.

    A source shard is named `table/epoch/shard`. Of a table's streams, one follows another only over a gap that was
    accepted, and what was unread of the earlier is lost then. A change of it may still arrive, from an owner who stood
    still before a put: it is older than what is there, and counts as a repeat.
    """

    def __init__(self, state: Mapping[tuple[str, int], tuple[int, int]] | None = None) -> None:
        self._state: dict[tuple[str, int], tuple[int, int]] = dict(state or {})
        self._epochs = _epochs(self._state)

    def fresh_above(self, shard: str, lane: int) -> int:
        """Return the sequence a change of this source shard and lane must exceed to be new; -1 before the first."""
        return EVERY_SEQUENCE if self._has_ended(shard, lane) else self._state.get((shard, lane), NOTHING)[0]

    def note(self, shard: str, lane: int, sequence: int, arrival_ms: int) -> None:
        """Remember that everything up to `sequence` was seen."""
        if sequence > self._state.get((shard, lane), NOTHING)[0]:
            if (shard, lane) not in self._state:
                _note_epoch(self._epochs, shard, lane)
            self._state[(shard, lane)] = (sequence, arrival_ms)

    def _has_ended(self, shard: str, lane: int) -> bool:
        """Return True when a later stream of the shard's table has begun in the lane."""
        table, epoch, name = shard.split("/", 2)
        return epoch < self._epochs.get((table, lane), "") and not name.startswith(APART)

    def merge(self, other: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Take over what a parent shard had seen."""
        for (shard, lane), (sequence, arrival_ms) in other.items():
            self.note(shard, lane, sequence, arrival_ms)

    def state(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Return a copy of all that is remembered."""
        return dict(self._state)

    def snapshot(self, arrival_ms: int) -> dict[tuple[str, int], tuple[int, int]]:
        """Return a copy of the state without what has been silent for SEEN_KEPT_MS before `arrival_ms`.

        The time is the record's, not ours, so that every worker forgets the same.
        """
        kept = {at: seen for at, seen in self._state.items() if seen[1] > arrival_ms - SEEN_KEPT_MS}
        if len(kept) < len(self._state):
            self._state, self._epochs = kept, _epochs(kept)
        return self.state()


def _epochs(places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return the latest stream of each table and lane of which a change was seen."""
    found: dict[tuple[str, int], str] = {}
    for source, lane in places:
        _note_epoch(found, source, lane)
    return found


def _note_epoch(latest: dict[tuple[str, int], str], source: str, lane: int) -> None:
    table, epoch, shard = source.split("/", 2)
    if not shard.startswith(APART) and epoch > latest.get((table, lane), ""):
        latest[table, lane] = epoch
