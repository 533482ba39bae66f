"""Where an object is not what a root vouches for: the first entry that differs, and what was done to it."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.wire import chain
from pipeline.wire.root import Vouched, mark


class Place(NamedTuple):
    """An entry, by its number in the object from 1 (0: no entry, the object itself), and the positions it may have."""

    entry: int
    first: int
    last: int
    reason: str


def first_difference(block: chain.Block, vouched: Vouched) -> Place:
    """Return where an object differs from the one that was vouched for; its bytes are known to be others."""
    ours, theirs = vouched.each_mark(), [mark(line) for line in block.lines[1:]]
    if ours == theirs:
        entry, reason = _outside_content(block)
        at = entry - 1
    else:
        at = next(
            (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
        )
        entry, reason = at + 1, _what(ours, theirs, at)
    if not entry:
        return Place(0, vouched.first, vouched.last, reason)
    return Place(entry, *_positions(block, vouched, len(ours), at), reason)


def _outside_content(block: chain.Block) -> tuple[int, str]:
    """Return what was changed where every entry's content is as it was: the entry with its hash, or none, and why."""
    broken = chain.loose_lines(block)
    if not broken:
        return 0, "its content is as it was, but its bytes are not: something before was changed and hashed anew"
    first, end = broken[0], len(block.lines)
    if first == end:
        return 0, "its header or its closing line was changed"
    return (first, "its hash of the line before was changed") if first + 1 in broken else (0, "its header was changed")


def _what(ours: Sequence[bytes], theirs: Sequence[bytes], at: int) -> str:
    """Say what was done to the entry at an index."""
    if theirs[at:] == ours[at + 1 :]:
        return "this entry was removed"
    if theirs[at + 1 :] == ours[at:]:
        return "an entry was repeated here" if theirs[at] in ours else "an entry was added here"
    if theirs[at + 1 :] == ours[at + 1 :]:
        return "this entry was changed"
    if sorted(theirs) == sorted(ours):
        return "entries were moved, from here on"
    if at == len(theirs):
        return "the entries from here on were cut off"
    return "the chain was rewritten from this entry on"


def _positions(block: chain.Block, vouched: Vouched, count: int, at: int) -> tuple[int, int]:
    """Return between which positions the entry at an index is: one, where every position has an entry."""
    if count == vouched.last - vouched.first + 1:
        position = min(vouched.first + at, vouched.last)
        return position, position
    before = chain.position_of(block.lines[at]) if at else None
    here = chain.position_of(block.lines[at + 1]) if at + 1 < len(block.lines) else None
    first = vouched.first if before is None else before + 1
    last = vouched.last if here is None else here
    return (first, last) if vouched.first <= first <= last <= vouched.last else (vouched.first, vouched.last)
