"""Archive segments, versions 1 and 2: one object with all changes of a range of positions, images as they were given.

The first line is a `Header`; every further line is a change as `change_to_json` writes it, with `p`, its position, and
`s`, the number of its source in the header's list, put in front. Version 2 has placeholders for changes that wait in
quarantine: their kind `c` is P, and they have no images, but `d`, the key's digest, and `w`, why.
"""

from typing import NamedTuple

import msgspec

from pipeline.model.change import Batch, Change, Parked
from pipeline.model.errors import Corrupt
from pipeline.wire.json import UNREADABLE, ChangeLine, change_from_line, change_to_json
from pipeline.wire.packed import (
    COMPRESSIONS,
    Header,
    Kind,
    Link,
    damaged,
    header_of,
    must_agree,
    pack,
    placeholders,
    sha256,
    unpack,
    within,
)

__all__ = ["COMPRESSIONS", "KIND", "Segment", "SegmentForm", "SegmentLine", "decode", "encode"]

KIND = Kind("fanout-segment", 2, "segments", ".segment")


class SegmentLine(ChangeLine, kw_only=True, gc=False):
    """A change of a segment: a ChangeLine that knows its place and its source."""

    p: int
    s: int
    d: str = ""
    w: str = ""


PLACEHOLDER = "P"

_line = msgspec.json.Decoder(SegmentLine)


class Segment(NamedTuple):
    """A decoded segment."""

    header: Header
    seal: str
    batch: Batch


class SegmentForm:
    """Segments as a form of `RangeLog`: a segment's seal is the hash of its stored bytes."""

    kind = KIND

    def __init__(self, compression: str = "zstd") -> None:
        self._compression = compression

    def encode(self, batch: Batch, link: Link) -> tuple[bytes, str]:
        """Return the object that holds `batch` and follows `link`, and its seal."""
        data = encode(batch, link, self._compression)
        return data, sha256(data)

    def adopt(self, name: str, data: bytes, batch: Batch) -> tuple[Header, str]:
        """Return header and seal of a stored object. Raises Corrupt when it and `batch` differ where they overlap."""
        segment = decode(name, data)
        shared = range(max(segment.batch.first, batch.first), min(segment.batch.last, batch.last) + 1)
        stored, ours = within(segment.batch.entries(), shared), within(batch.entries(), shared)
        if batch.parked or segment.batch.parked:
            known = {position: (entry.identity, isinstance(entry, Parked)) for position, entry in stored}
            excused = placeholders(known, ours)
            stored, ours = ([pair for pair in pairs if pair[0] not in excused] for pairs in (stored, ours))
        must_agree(name, stored, ours)
        return segment.header, segment.seal


def encode(batch: Batch, link: Link, compression: str = "zstd") -> bytes:
    """Return a batch as a segment that follows `link`. Equal input gives equal bytes."""
    numbers: dict[tuple[str, str, str], int] = {}
    lines = [b""]
    for position, entry in batch.entries():
        source = numbers.setdefault((entry.table, entry.epoch, entry.shard), len(numbers))
        line = _placeholder(entry) if isinstance(entry, Parked) else change_to_json(entry)
        lines.append(b'{"p":%d,"s":%d,%b' % (position, source, line[1:]))
    lines[0] = header_of(KIND, batch, link, tuple(numbers))
    return pack(lines, compression)


def decode(name: str, data: bytes) -> Segment:
    """Return a stored segment. Raises Corrupt, naming the object, for anything `encode` does not write."""
    header, lines = unpack(KIND, name, data)
    if len(lines) - 1 != header.count:
        raise damaged(name, f"it has {len(lines) - 1} changes instead of {header.count}")
    positions: list[int] = []
    changes: list[Change] = []
    parked: list[Parked] = []
    before = header.first - 1
    try:
        for raw in lines[1:]:
            line = _line.decode(raw)
            if not before < line.p <= header.last or line.s < 0:
                raise damaged(name, f"position {line.p} is out of place")
            before = line.p
            if line.c == PLACEHOLDER:
                source = header.sources[line.s]
                parked.append(Parked(line.p, *source, int(line.q), bytes(line.k), line.d, line.w))
                continue
            positions.append(line.p)
            changes.append(change_from_line(line, *header.sources[line.s]))
    except (*UNREADABLE, IndexError, Corrupt) as error:
        raise damaged(name, f"the change after position {before} cannot be read") from error
    batch = Batch(
        header.stream,
        header.shard,
        header.first,
        header.last,
        tuple(changes),
        positions,
        tuple(parked),
        header.asked_by,
    )
    return Segment(header, sha256(data), batch)


def _placeholder(parked: Parked) -> bytes:
    digest, why = parked.digest.encode(), parked.why.encode()
    return b'{"q":"%d","c":"P","k":%b,"d":"%b","w":"%b"}' % (parked.sequence, parked.keys, digest, why)
