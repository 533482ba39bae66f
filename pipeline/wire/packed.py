"""JSON lines under a header in one compressed object: what archive segments and audit chains have in common.

Every object covers a range of positions of one Kinesis shard and names its predecessor, so that the objects of a shard
form one list without a hole.
"""

import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple

import msgspec
import zstandard

from pipeline.model.change import Batch, Change, Parked
from pipeline.model.errors import Corrupt, Misconfigured, Rejected
from pipeline.wire.json import UNREADABLE

COMPRESSED_BYTES_MAX: Final = 64 * 1024 * 1024
EXPANDED_BYTES_MAX: Final = 256 * 1024 * 1024
"""What a reader agrees to hold in memory. There is no limit on the ratio: equal items compress a thousandfold."""

COMPRESSIONS: Final = ("zstd", "gzip")
UNEXPANDABLE: Final = (zlib.error, zstandard.ZstdError, ValueError)
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_LEVEL: Final = 3
_GZIP_LEVEL: Final = 6
_GZIP_BITS: Final = 31
"""zlib's number for "a gzip member"; zlib writes its time as 0, so equal input gives equal bytes."""


_WITHOUT_PLACEHOLDERS: Final = 1
_WITH_PLACEHOLDERS: Final = 2
_WITH_PARENTS: Final = 3


class Kind(NamedTuple):
    """A family of objects: the name of its format, its newest version, and how its objects are named.

    The name does not tell the compression: an object's name must depend on nothing but its first position, or two
    workers with different settings could both store the same range.
    """

    format: str
    version: int
    folder: str
    suffix: str

    def name(self, stream: str, shard: str, first: int) -> str:
        """Return the name of the object that starts at a position; names sort like positions."""
        return f"{self.prefix(stream, shard)}{first:020d}{self.suffix}"

    def prefix(self, stream: str, shard: str) -> str:
        """Return what the names of all objects of a shard start with."""
        return f"{self.folder}/{stream}/{shard}/"

    def owns(self, name: str) -> bool:
        """Return True when a name is one that `name` gives: `<folder>/<stream>/<shard>/<20 digits><suffix>`."""
        form = rf"{self.folder}/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+/[0-9]{{20}}{re.escape(self.suffix)}"
        return re.fullmatch(form, name) is not None

    def first_of(self, name: str) -> int:
        """Return the first position of the object of a name that this kind owns."""
        return int(name.rpartition("/")[2][:20])

    def genesis(self, stream: str, shard: str) -> "Link":
        """Return what the first object of a shard follows."""
        return Link(0, "", sha256(f"{self.format}\0{stream}\0{shard}".encode()))


class ParentEnd(msgspec.Struct, frozen=True):
    """Where the log of a parent shard ends: its last position, and the hash that stands for all of it."""

    shard: str
    last: int
    seal: str


class Link(NamedTuple):
    """An object as its successor sees it: where it ends, its name, and the hash that stands for all up to its end."""

    last: int
    name: str
    seal: str
    parents: tuple[ParentEnd, ...] = ()
    """What a shard's first object commits to beside: the ends of its parents."""


class Previous(msgspec.Struct, frozen=True):
    """The predecessor an object names."""

    name: str
    seal: str


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of an object."""

    format: str
    version: int
    stream: str
    shard: str
    first: int
    last: int
    count: int
    """Number of lines that follow, which may be less than the range covers."""
    previous: Previous
    sources: tuple[tuple[str, str, str], ...] = ()
    """Table, epoch and source shard, referred to by number in the lines."""
    asked_by: str = ""
    """Who had these changes put through from quarantine."""
    parents: tuple[ParentEnd, ...] = ()
    """In a shard's first object: where the shards that it came from end."""

    def link(self, name: str, seal: str) -> Link:
        """Return this object as its successor sees it."""
        return Link(self.last, name, seal)

    def follows(self, link: Link) -> bool:
        """Return True when this object is the successor of `link`."""
        return (self.first, self.previous.name, self.previous.seal) == (link.last + 1, link.name, link.seal)


_header = msgspec.json.Decoder(Header)


def header_of(kind: Kind, batch: Batch, link: Link, sources: tuple[tuple[str, str, str], ...] = ()) -> bytes:
    """Return the header line of the object that holds `batch` and follows `link`.

    An object without placeholders is of version 1, for readers that know no others; one with parents is of version 3.
    """
    assert batch.first == link.last + 1, (batch.first, link)
    version = _WITH_PLACEHOLDERS if batch.parked else _WITHOUT_PLACEHOLDERS
    header = Header(
        kind.format,
        _WITH_PARENTS if link.parents else version,
        batch.stream,
        batch.shard,
        batch.first,
        batch.last,
        len(batch) + len(batch.parked),
        Previous(link.name, link.seal),
        sources,
        batch.asked_by,
        link.parents,
    )
    return msgspec.json.encode(header)


def sha256(data: bytes) -> str:
    """Return the hash in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def pack(lines: Sequence[bytes], compression: str = "zstd") -> bytes:
    """Return lines as one compressed object; equal input gives equal bytes.

    Raises Corrupt when a line holds a line end, which no image of DynamoDB does, and Misconfigured when the object
    would be larger than a reader accepts.
    """
    assert compression in COMPRESSIONS, compression
    body = b"\n".join((*lines, b""))
    if body.count(b"\n") != len(lines):
        raise Corrupt("an image holds a line end", hint="images must be JSON on one line, as DynamoDB gives them")
    if len(body) > EXPANDED_BYTES_MAX:
        raise Misconfigured("a batch is too large for one object", hint="lower batch_bytes_max of this topology")
    if compression == "gzip":
        return zlib.compress(body, _GZIP_LEVEL, _GZIP_BITS)
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress(body)


def unpack(kind: Kind, name: str, data: bytes) -> tuple[Header, list[bytes]]:
    """Return an object's header and all its lines, the header's among them.

    Memory is bounded by EXPANDED_BYTES_MAX. Raises Corrupt, naming the object, for bytes that are not such an object
    or belong under another name.
    """
    try:
        body = expand(data)
        lines = body[:-1].split(b"\n")
        header = _header.decode(lines[0])
    except (*UNEXPANDABLE, *UNREADABLE) as error:
        raise damaged(name, str(error)) from error
    if not body.endswith(b"\n"):
        raise damaged(name, "its last line is cut")
    if header.format != kind.format or not 1 <= header.version <= kind.version:
        raise Corrupt(
            f"object {name} is {header.format} version {header.version}, not {kind.format} {kind.version} or older",
            hint="was it written by a newer version? Upgrade first.",
        )
    if kind.name(header.stream, header.shard, header.first) != name:
        raise Corrupt(
            f"object {name} was stored under another name",
            hint="remove it if it was put there by hand; else restore the object from a version or a copy",
        )
    if not 1 <= header.first <= header.last:
        raise damaged(name, "its range is empty")
    return header, lines


def damaged(name: str, why: str) -> Corrupt:
    """Return the error for an object that is not what was written."""
    return Corrupt(
        f"object {name} is damaged: {why}", hint="restore this object from a version or a copy of the bucket"
    )


Identity = tuple[str, str, str, int]
"""Which change: table, epoch, source shard, sequence."""


def placeholders(
    stored: Mapping[int, tuple[Identity, bool]], ours: Iterable[tuple[int, Change | Parked]]
) -> frozenset[int]:
    """Return the positions where a stored object or we have a placeholder for the change that the other has, too.

    `stored` tells for each position which change is there and whether it is a placeholder. Where the object has the
    change and we park it, it has more than we ask for. Raises Rejected where it has the placeholder and we have the
    change: an earlier owner of the shard parked it, the object cannot be changed, so the change waits in quarantine.
    """
    excused, refused = set(), {}
    for position, entry in ours:
        identity, is_placeholder = stored.get(position, (None, False))
        if entry.identity == identity and (is_placeholder or isinstance(entry, Parked)):
            excused.add(position)
            if not isinstance(entry, Parked):
                refused[position] = "its place in the log was given to a placeholder by an earlier owner of the shard"
    if refused:
        raise Rejected(refused, hint="it is put through by `fanout quarantine redrive`")
    return frozenset(excused)


def within(pairs: Iterable[tuple[int, Any]], shared: range) -> list[tuple[int, Any]]:
    """Return the (position, content) pairs whose position is in a range."""
    return [pair for pair in pairs if pair[0] in shared]


def must_agree(name: str, stored: Sequence[tuple[int, Any]], ours: Sequence[tuple[int, Any]]) -> None:
    """Raise Corrupt when an object holds other changes than were delivered again at the same positions."""
    if stored == ours:
        return
    position = next((a or b)[0] for a, b in zip_longest(stored, ours) if a != b)
    raise Corrupt(
        f"object {name} and the changes delivered again differ at position {position}",
        hint="were this topology's filter or settings changed, or do two pipelines share the prefix? Use a new prefix.",
    )


def expand(data: bytes) -> bytes:
    """Return what `pack` compressed, its last line end included. Raises one of UNEXPANDABLE."""
    if len(data) > COMPRESSED_BYTES_MAX:
        raise ValueError("it is too large")
    if data.startswith(_ZSTD_MAGIC):
        size = zstandard.get_frame_parameters(data).content_size
        if size > EXPANDED_BYTES_MAX:  # an unknown size is the largest number there is
            raise ValueError("it expands to too much")
        return bytes(zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False))
    stream = zlib.decompressobj(_GZIP_BITS)
    body = stream.decompress(data, EXPANDED_BYTES_MAX)
    if not stream.eof or stream.unused_data:
        raise ValueError("it is cut, expands to too much, or has bytes after its end")
    return body
