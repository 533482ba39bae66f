"""Where an object is not what a root vouches for: the first entry that differs, and what was done to it."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.wire import chain
from pipeline.wire.packed import sha256
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
        return Place(0, vouched.first, vouched.last, _outside_entries(block, vouched))
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return Place(at + 1, *_positions(block, vouched, len(ours), at), _what(ours, theirs, at))


def _outside_entries(block: chain.Block, vouched: Vouched) -> str:
    if block.seal != vouched.seal:
        return "its closing line was changed"
    end = sha256(block.lines[-1])
    if end == vouched.seal and len(block.lines) > 1:
        return "its bytes were changed, its entries were not"
    return "its header was changed"


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
