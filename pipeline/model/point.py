"""What is known of one item: the last change of it, and the last row that a reader of the table found.

Both can be joined from pieces in any order, and a piece that comes twice counts once. So it does not matter in which
shard a change lies, or how much of an archive was added up before.
"""

from typing import NamedTuple

Order = tuple[str, int]
"""Epoch and sequence of a change: of two changes of an item, the greater is the later."""
Place = tuple[str, int]
"""`<stream>/<shard>` and position: where something stands in the archive."""


class Point(NamedTuple):
    """An item right after a change; `image` is None when it was removed."""

    order: Order
    place: Place
    time_ms: int
    image: bytes | None


class Row(NamedTuple):
    """An item as a reader of the table found it; `image` is None when it found nothing."""

    place: Place
    time_ms: int
    image: bytes | None


def later(one: Point | None, other: Point | None) -> Point | None:
    """Return the later of two changes of an item; of one that is stored twice, the place it had first."""
    if one is None or other is None:
        return one or other
    if one.order == other.order:
        return one if one.place <= other.place else other
    return one if one.order > other.order else other


def later_row(one: Row | None, other: Row | None) -> Row | None:
    """Return the row that stands later in the archive."""
    if one is None or other is None:
        return one or other
    return one if one.place >= other.place else other
