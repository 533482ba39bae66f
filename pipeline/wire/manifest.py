"""What names the parts of a snapshot, version 1, and what says that the archive before a snapshot was pruned.

Both are one JSON line with its SHA-256 on a second one. A manifest is stored after all its parts, under a name that
only its moment decides: so of two who make the snapshot of one moment, one is first. A part has its hash in its name.
"""

import datetime as dt
import re
from typing import Final, NamedTuple

import msgspec

from pipeline.model.errors import Corrupt
from pipeline.wire.json import UNREADABLE
from pipeline.wire.packed import Link, damaged, sha256

FORMAT: Final = "fanout-snapshot"
PRUNED_FORMAT: Final = "fanout-pruned"
VERSION: Final = 1
FOLDER: Final = "snapshots/"
PARTS_FOLDER: Final = "snapshot-parts/"
PRUNED_FOLDER: Final = "pruned/"
_STAMP: Final = "%Y-%m-%dT%H%M%SZ"
_NAME: Final = re.compile(r"(?:snapshots|pruned)/(\d{4}-\d\d-\d\dT\d{6}Z)\.(?:snapshot|pruned)")
_PART: Final = re.compile(r"snapshot-parts/(\d{4}-\d\d-\d\dT\d{6}Z)/[A-Za-z0-9_.-]+/\d{6}-[0-9a-f]{16}\.part")


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A part as its manifest names it."""

    name: str
    sha256: str
    size_bytes: int
    items: int
    first: int
    """The ranges its items fall into, both included."""
    last: int


class Table(msgspec.Struct, frozen=True):
    """What a snapshot has of one table."""

    table: str
    keys: tuple[tuple[str, str], ...]
    """Key attributes and their types, hash attribute first; empty when nothing tells."""
    first_ms: int
    """Creation time of the table's oldest change; 0 when there is none."""
    items: int
    removed: int
    """Items that are not there any more, but were a while ago."""
    incomplete: int
    """Items with a change in quarantine."""
    parts: tuple[Part, ...]
    gaps: tuple[msgspec.Raw, ...] = ()
    """The marks of its gaps, as images."""


class End(msgspec.Struct, frozen=True, array_like=True):
    """Up to where the segments of a shard are in the snapshot."""

    shard: str
    """`<stream>/<shard>`."""
    last: int
    name: str
    seal: str


class Manifest(msgspec.Struct, frozen=True):
    """A snapshot: the state of every table after all segments up to `ends`, none of which reaches beyond `at_ms`."""

    format: str
    version: int
    at_ms: int
    """The end of its second: every change of it was created before."""
    previous: str
    """Name of the manifest it was made from; empty when it was made from segments alone."""
    previous_seal: str
    ends: tuple[End, ...]
    tables: tuple[Table, ...]

    @property
    def links(self) -> dict[str, Link]:
        """Return the last segment of each shard that need not be read any more."""
        return _links(self.ends)

    def table(self, name: str) -> Table | None:
        """Return what it has of a table, None when that had no change yet."""
        return next((each for each in self.tables if each.table == name), None)


class Pruned(msgspec.Struct, frozen=True):
    """What is before a snapshot is gone, or is about to go, on purpose."""

    format: str
    version: int
    at_ms: int
    snapshot: str
    seal: str
    ends: tuple[End, ...]
    """Up to where its segments are not needed any more; the last one of each shard is kept."""

    @property
    def links(self) -> dict[str, Link]:
        """Return the last segment of each shard that need not be read any more."""
        return _links(self.ends)


class Sealed(NamedTuple):
    """A manifest as it is stored."""

    manifest: Manifest
    seal: str


def _links(ends: tuple[End, ...]) -> dict[str, Link]:
    return {end.shard: Link(end.last, end.name, end.seal) for end in ends}


_manifest = msgspec.json.Decoder(Manifest)
_pruned = msgspec.json.Decoder(Pruned)


def stamp(at_ms: int) -> str:
    """Return the moment as a name: the last second that is in it."""
    return dt.datetime.fromtimestamp(at_ms // 1000 - 1, dt.UTC).strftime(_STAMP)


def name_of(at_ms: int) -> str:
    """Return the name of the manifest of a moment; names sort like moments."""
    return f"{FOLDER}{stamp(at_ms)}.snapshot"


def pruned_name(at_ms: int) -> str:
    """Return the name of the record that all before a snapshot was pruned."""
    return f"{PRUNED_FOLDER}{stamp(at_ms)}.pruned"


def part_name(at_ms: int, table: str, number: int, seal: str) -> str:
    """Return the name of a part of a table."""
    return f"{PARTS_FOLDER}{stamp(at_ms)}/{table}/{number:06d}-{seal[:16]}.part"


def moment_of(name: str) -> int:
    """Return the moment in the name of a manifest or of a record of pruning, 0 when it is no such name."""
    return _moment(_NAME.fullmatch(name))


def moment_of_part(name: str) -> int:
    """Return the moment in the name of a part, 0 when it is no such name."""
    return _moment(_PART.fullmatch(name))


def encode(found: Manifest | Pruned) -> bytes:
    """Return a manifest, or a record of pruning, as it is stored. Equal input gives equal bytes."""
    line = msgspec.json.encode(found)
    return b"%b\n%b\n" % (line, sha256(line).encode())


def decode(name: str, data: bytes) -> Sealed:
    """Return a stored manifest. Raises Corrupt, naming the object, for anything `encode` does not write."""
    line, seal = _unsealed(name, data)
    try:
        manifest = _manifest.decode(line)
    except UNREADABLE as error:
        raise damaged(name, "it is no manifest") from error
    _must_be(name, (manifest.format, manifest.version), FORMAT)
    if name_of(manifest.at_ms) != name:
        raise damaged(name, "it was stored under another name")
    return Sealed(manifest, seal)


def decode_pruned(name: str, data: bytes) -> Pruned:
    """Return a stored record of pruning. Raises Corrupt, naming the object."""
    line, _ = _unsealed(name, data)
    try:
        record = _pruned.decode(line)
    except UNREADABLE as error:
        raise damaged(name, "it is no record of pruning") from error
    _must_be(name, (record.format, record.version), PRUNED_FORMAT)
    return record


def _unsealed(name: str, data: bytes) -> tuple[bytes, str]:
    line, _, rest = data.partition(b"\n")
    seal = sha256(line)
    if rest != seal.encode() + b"\n":
        raise damaged(name, "it does not fit its hash")
    return line, seal


def _must_be(name: str, found: tuple[str, int], wanted: str) -> None:
    if found != (wanted, VERSION):
        raise Corrupt(
            f"object {name} is {found[0]} version {found[1]}, not {wanted} {VERSION}",
            hint="was it written by a newer version? Upgrade first.",
        )


def _moment(found: re.Match[str] | None) -> int:
    if found is None:
        return 0
    try:
        return round(dt.datetime.strptime(found[1], _STAMP).replace(tzinfo=dt.UTC).timestamp()) * 1000 + 1000
    except ValueError:
        return 0
