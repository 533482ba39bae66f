"""What happened to one item: every change of it that the archive has, in order."""

from collections import deque
from collections.abc import AsyncIterator
from operator import attrgetter
from typing import NamedTuple

from pipeline.model.change import Change, ChangeKind
from pipeline.wire.segment import Segment

CHANGES_MAX = 1_000
"""How many changes of an item are kept, the latest, unless more are asked for."""


class ItemHistory(NamedTuple):
    """The latest changes of an item, oldest first, and how many older ones there are."""

    changes: tuple[Change, ...]
    older: int


async def history_of(
    segments: AsyncIterator[Segment], table: str, keys: bytes, *, changes_max: int = CHANGES_MAX
) -> ItemHistory:
    """Return the changes of one item in the order of the stream, each once. Memory is twice `changes_max` changes."""
    found: dict[tuple[str, int], Change] = {}
    older = 0
    async for each in segments:
        for change in each.batch.changes:
            if change.keys == keys and change.table == table:
                found[change.epoch, change.sequence] = change
        if len(found) > 2 * changes_max:
            older += _forget(found, changes_max)
    older += _forget(found, changes_max)
    return ItemHistory(tuple(sorted(found.values(), key=attrgetter("epoch", "sequence"))), older)


def _forget(found: dict[tuple[str, int], Change], keep: int) -> int:
    """Drop the oldest changes; return how many."""
    surplus = deque(sorted(found)[: max(0, len(found) - keep)])
    for order in surplus:
        del found[order]
    return len(surplus)


async def schema_keys(segments: AsyncIterator[Segment], table: str) -> bytes | None:
    """Return the canonical keys of some item of a table, None when the archive has no change of it."""
    async for each in segments:
        for change in each.batch.changes:
            if change.table == table and change.kind is not ChangeKind.GAP:
                return change.keys
    return None
