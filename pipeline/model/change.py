"""A change, and a batch of changes: the nouns everything else is about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple


class ChangeKind(StrEnum):
    """What happened to the item; the values are DynamoDB's own event names."""

    INSERT = "INSERT"
    MODIFY = "MODIFY"
    REMOVE = "REMOVE"
    GAP = "GAP"
    """Nothing happened to an item: changes are missing here. See `pipeline.wire.gap`."""
    SNAPSHOT = "SNAPSHOT"
    """Nothing happened to the item: `after` is what a reader found, None that it found nothing. `before` is unknown."""


class Change(NamedTuple):
    """One recorded insert, modify or remove of one item.

    A named tuple, not a dataclass: hundreds of thousands are built a second, and this is the cheapest immutable form.
    (`table`, `epoch`, `shard`, `sequence`) is its identity; an eventID or a Kinesis sequence number is not: a retried
    put makes a second record of the same change.
    """

    table: str
    """Name of the source table."""
    epoch: str
    """Label of the table's stream: a stream that was switched off and on again has a new one, later in text order."""
    shard: str
    """Shard of the table's stream."""
    sequence: int
    """Place in the shard's lineage: 21-40 digits in the stream; compare, never subtract."""
    kind: ChangeKind
    keys: bytes
    """Primary key as canonical DynamoDB JSON, hash attribute first: equal keys have equal bytes."""
    before: bytes | None
    """Item before the change: DynamoDB JSON exactly as the stream gave it; None for an insert."""
    after: bytes | None
    """Item after the change, likewise; None for a remove."""
    time_ms: int
    """ApproximateCreationDateTime in epoch milliseconds (the stream's own grain is one second)."""
    by_ttl: bool = False
    """True when DynamoDB's time-to-live removed the item, not a user."""
    event_id: str = ""
    """The stream's eventID, for reference only."""
    size_bytes: int = 0
    """The stream's SizeBytes, for reference only."""

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """Return which change this is."""
        return self.table, self.epoch, self.shard, self.sequence


class Parked(NamedTuple):
    """A change that waits in quarantine instead of being written: what a log of positions keeps in its place."""

    position: int
    table: str
    epoch: str
    shard: str
    sequence: int
    keys: bytes
    """Primary key as in Change."""
    digest: str
    """The key's digest: what names it in states, objects, logs and metrics."""
    why: str
    """A value of `pipeline.model.progress.Why`."""

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """Return which change this is."""
        return self.table, self.epoch, self.shard, self.sequence


SPAN_MAX = 10_000
"""The most positions one batch covers, so that a log of immutable objects knows how far back an object may reach."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A run of changes of one Kinesis shard, in order, as one topology sees it.

    Positions count the changes of the shard from 1, without a hole, and never change for this topology: a batch that is
    delivered again carries the same numbers, though its borders may lie elsewhere. `first`..`last` is the range the
    batch covers; changes a topology did not ask for are inside the range but not in `changes`, and neither are those in
    `parked`. A sink that keeps every change keeps a placeholder for those; any other may overlook them.

    Changes put through from quarantine come under a shard name of their own, with positions of their own from 1, and
    `asked_by` says who asked for it.
    """

    stream: str
    shard: str
    first: int
    last: int
    changes: tuple[Change, ...]
    positions: Sequence[int]
    parked: tuple[Parked, ...] = ()
    asked_by: str = ""
    parents: tuple[str, ...] = ()
    """The shards of the stream that this one came from. All of theirs was written before this shard began."""
    saved: int = 0
    """Position up to which the topology's checkpoint was stored when the batch was handed out: no owner of the shard
    begins before it any more."""

    def __post_init__(self) -> None:
        assert 1 <= self.first <= self.last, (self.first, self.last)
        assert len(self.changes) == len(self.positions)

    def __iter__(self) -> Iterator[tuple[int, Change]]:
        """Yield (position, change) in order."""
        return zip(self.positions, self.changes, strict=True)

    def entries(self) -> Iterator[tuple[int, "Change | Parked"]]:
        """Yield (position, change or what stands in its place) in order."""
        if not self.parked:
            return iter(self)
        placeholders: list[tuple[int, Change | Parked]] = [(each.position, each) for each in self.parked]
        return iter(sorted([*self, *placeholders], key=lambda entry: entry[0]))

    def __len__(self) -> int:
        """Return the number of changes carried, which may be less than the range covered."""
        return len(self.changes)

    def __bool__(self) -> bool:
        """Return True: a batch without changes still covers a range."""
        return True

    def after(self, position: int) -> "Batch | None":
        """Return what lies above `position`, or None when nothing of the range does."""
        if position < self.first:
            return self
        if position >= self.last:
            return None
        skip = sum(1 for p in self.positions if p <= position)
        parked = tuple(each for each in self.parked if each.position > position)
        return replace(
            self, first=position + 1, changes=self.changes[skip:], positions=self.positions[skip:], parked=parked
        )

    def upto(self, position: int) -> "Batch":
        """Return the part of the range up to and including `position`, which must lie inside it."""
        assert self.first <= position <= self.last
        keep = sum(1 for p in self.positions if p <= position)
        parked = tuple(each for each in self.parked if each.position <= position)
        return replace(self, last=position, changes=self.changes[:keep], positions=self.positions[:keep], parked=parked)

    def without(self, parked: Sequence[Parked]) -> "Batch":
        """Return the same range with some of its changes parked."""
        if not parked:
            return self
        gone = {each.position for each in parked}
        kept = [each for each in self if each[0] not in gone]
        return replace(
            self,
            changes=tuple(change for _, change in kept),
            positions=tuple(position for position, _ in kept),
            parked=tuple(sorted((*self.parked, *parked))),
        )
