"""What a topology wants of a shard, and in what portions."""

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.model.change import SPAN_MAX, Change, ChangeKind
from pipeline.wire.record import RECORD_CHANGES_MAX

SPAN_POSITIONS_MAX = SPAN_MAX - RECORD_CHANGES_MAX
"""A range of positions is handed over at this length even if nothing in it is wanted: a sink may rely on a bound."""


@dataclass(frozen=True, slots=True)
class Appetite:
    """How a topology likes its batches, and which tables it wants."""

    batch_changes_max: int
    batch_bytes_max: int
    linger_seconds: float
    tables: Collection[str]
    gaps: bool = False
    """Whether changes of kind GAP are wanted."""
    topology: str = ""
    """Whose appetite this is: rows read from a table may be meant for some topologies only."""
    ranges: bool = False
    """Whether ranges without changes are wanted."""

    def __post_init__(self) -> None:
        assert 1 <= self.batch_changes_max <= SPAN_POSITIONS_MAX

    def wants(self, change: Change) -> bool:
        """Return True for a change that is to be written."""
        return change.table in self.tables and (change.kind is not ChangeKind.GAP or self.gaps)
