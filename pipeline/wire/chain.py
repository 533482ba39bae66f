r"""Audit chains, versions 1 to 3: an entry for a change, each committing to the one before, one chain for each shard.

An object is the header, one line an entry, and a closing line `{"seal": hash}`. The hash of a line is SHA-256 over its
bytes. An entry's `previous` is the hash of the line before it; the first entry's is that of the header, and the header
names the hash that closed the object before. So the chain commits to every range too, also to those without a change.
Version 2 has placeholders, entries of kind PARKED, for changes that wait in quarantine. Version 3 may have, in the
header of a shard's first object, the ends of the chains of the shards it came from: so it commits to all of those.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import orjson

from pipeline.model.change import Batch, Change, ChangeKind, Parked
from pipeline.model.gap import GapRecord
from pipeline.wire.diff import attribute_of, diff
from pipeline.wire.gap import from_image
from pipeline.wire.json import UNREADABLE
from pipeline.wire.packed import (
    Header,
    Identity,
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

PLACEHOLDER = "PARKED"
KIND = Kind("fanout-chain", 3, "chain", ".jsonl.zst")


class Entry(msgspec.Struct, gc=False):
    """What the chain itself needs to know of an entry."""

    position: int
    previous: str
    kind: str = ""
    table: str = ""
    epoch: str = ""
    shard: str = ""
    sequence: str = "0"

    @property
    def is_placeholder(self) -> bool:
        """Return True for an entry that stands for a change in quarantine."""
        return self.kind == PLACEHOLDER

    @property
    def identity(self) -> Identity:
        """Return which change it is about."""
        return self.table, self.epoch, self.shard, int(self.sequence)


class Seal(msgspec.Struct, gc=False):
    """The closing line."""

    seal: str


class Break(NamedTuple):
    """A place where the chain does not hold: between two positions, both included."""

    first: int
    last: int
    reason: str


class Block(NamedTuple):
    """A decoded object of a chain, whose hashes were not checked yet."""

    header: Header
    lines: list[bytes]
    """The header line and the entries."""
    seal: str


_entry = msgspec.json.Decoder(Entry)
_seal = msgspec.json.Decoder(Seal)


class ChainForm:
    """Audit chains as a form of `RangeLog`."""

    kind = KIND

    def __init__(self, actor_attribute: str = "") -> None:
        self._actor_attribute = actor_attribute

    def encode(self, batch: Batch, link: Link) -> tuple[bytes, str]:
        """Return the object that holds `batch` and follows `link`, and the hash that closes it."""
        lines = [header_of(KIND, batch, link)]
        seal = sha256(lines[0])
        for position, each in batch.entries():
            line = self._line(position, each, seal)
            seal = sha256(line)
            lines.append(line)
        lines.append(orjson.dumps({"seal": seal}))
        return pack(lines), seal

    def adopt(self, name: str, data: bytes, batch: Batch) -> tuple[Header, str]:
        """Return header and seal of a stored object. Raises Corrupt when it is broken or differs from `batch`."""
        block = decode(name, data)
        for found in breaks(block):
            raise damaged(name, found.reason)
        entries = [_entry.decode(line) for line in block.lines[1:]]
        shared = range(max(block.header.first, batch.first), min(block.header.last, batch.last) + 1)
        previous = {each.position: each.previous for each in entries}
        stored = zip((each.position for each in entries), block.lines[1:], strict=True)
        delivered = within(batch.entries(), shared)
        excused: frozenset[int] = frozenset()
        if batch.parked or block.header.version > 1:
            excused = placeholders({each.position: (each.identity, each.is_placeholder) for each in entries}, delivered)
        ours = [
            (position, self._line(position, each, previous.get(position, "")))
            for position, each in delivered
            if position not in excused
        ]
        must_agree(name, [pair for pair in within(stored, shared) if pair[0] not in excused], ours)
        return block.header, block.seal

    def _line(self, position: int, each: Change | Parked, previous: str) -> bytes:
        if isinstance(each, Parked):
            return placeholder(position, each, previous)
        return entry(position, each, previous, self._actor_attribute)


def entry(position: int, change: Change, previous: str, actor_attribute: str = "") -> bytes:
    """Return the line of a change: place, hash of the line before, identity, keys, actor, diff, digests of both images.

    `actor` is "ttl" for what time-to-live removed, else the DynamoDB JSON value of `actor_attribute` in the new image,
    or for a removal in the old one: then it names who wrote the item last, not who removed it.
    """
    actor = b'"ttl"' if change.by_ttl else _actor(change, actor_attribute)
    return b"".join(
        (
            b'{"position":%d,"previous":"%b","table":' % (position, previous.encode()),
            orjson.dumps(change.table),
            b',"epoch":',
            orjson.dumps(change.epoch),
            b',"shard":',
            orjson.dumps(change.shard),
            b',"sequence":"%d","kind":"%b","time_ms":%d,"keys":'
            % (change.sequence, change.kind.encode(), change.time_ms),
            change.keys,
            b',"actor":%b,"before":%b,"after":%b,"diff":' % (actor, _digest(change.before), _digest(change.after)),
            diff(change.before, change.after),
            b"}",
        )
    )


def placeholder(position: int, parked: Parked, previous: str) -> bytes:
    """Return the line of a change that waits in quarantine: place, hash of the line before, identity, keys, why."""
    return b"".join(
        (
            b'{"position":%d,"previous":"%b","table":' % (position, previous.encode()),
            orjson.dumps(parked.table),
            b',"epoch":',
            orjson.dumps(parked.epoch),
            b',"shard":',
            orjson.dumps(parked.shard),
            b',"sequence":"%d","kind":"PARKED","keys":%b,"digest":"%b","why":"%b"}'
            % (parked.sequence, parked.keys, parked.digest.encode(), parked.why.encode()),
        )
    )


def placeholders_in(block: Block) -> int:
    """Return how many changes of an object wait in quarantine, or did when it was written."""
    return 0 if block.header.version == 1 else sum(_kind(line) == PLACEHOLDER for line in block.lines[1:])


def end_of(name: str, data: bytes) -> Link:
    """Return a stored object as what follows sees it. Raises Corrupt when its hashes do not fit."""
    block = decode(name, data)
    for found in breaks(block):
        raise damaged(name, found.reason)
    return block.header.link(name, block.seal)


def decode(name: str, data: bytes) -> Block:
    """Return a stored object without checking its hashes. Raises Corrupt, naming it, when it cannot be read at all."""
    header, lines = unpack(KIND, name, data)
    try:
        return Block(header, lines[:-1], _seal.decode(lines[-1]).seal)
    except UNREADABLE as error:
        raise damaged(name, "it does not end with a seal") from error


def breaks(block: Block) -> Iterator[Break]:
    """Yield every place inside one object where a line is not what the next one commits to, or is out of place."""
    header, before, seal = block.header, block.header.first - 1, sha256(block.lines[0])
    if len(block.lines) - 1 != header.count:
        yield Break(header.first, header.last, f"{len(block.lines) - 1} entries instead of {header.count}")
    for line in block.lines[1:]:
        try:
            found = _entry.decode(line)
        except UNREADABLE:
            yield Break(before + 1, header.last, f"the entry after position {before} cannot be read")
            seal = sha256(line)
            continue
        if not before < found.position <= header.last:
            yield Break(found.position, before, f"position {found.position} comes after {before}")
        if found.previous != seal:
            reason = f"the entry at {found.position} does not follow the one at {before}: changed, removed or moved"
            yield Break(min(before, found.position), max(before, found.position), reason)
        before, seal = found.position, sha256(line)
    if block.seal != seal:
        yield Break(before, header.last, f"the end after position {before} was changed or cut")


def loose_lines(block: Block) -> list[int]:
    """Return which lines do not hold the hash of the line before, by number: entries from 1, then the closing one."""
    held = [_previous_of(line) for line in block.lines[1:]] + [block.seal]
    return [number for number, hash_ in enumerate(held, 1) if hash_ != sha256(block.lines[number - 1])]


def position_of(line: bytes) -> int | None:
    """Return the position of an entry, None when the line is none."""
    try:
        return _entry.decode(line).position
    except UNREADABLE:
        return None


def _previous_of(line: bytes) -> str:
    try:
        return _entry.decode(line).previous
    except UNREADABLE:
        return ""


def _kind(line: bytes) -> str:
    try:
        return _entry.decode(line).kind
    except UNREADABLE:
        return ""


def gaps(block: Block) -> Iterator[GapRecord]:
    """Yield the gaps an object tells of, in order, as they stood then. Raises Corrupt."""
    for line in block.lines[1:]:
        if b'"kind":"GAP"' in line and _entry.decode(line).kind == ChangeKind.GAP:
            added = {name: new for name, (_, new) in orjson.loads(line)["diff"].items()}
            yield from_image(orjson.dumps(added), block.header.shard)


def _actor(change: Change, attribute: str) -> bytes:
    if not attribute:
        return b"null"
    return attribute_of(change.after if change.after is not None else change.before, attribute) or b"null"


def _digest(image: bytes | None) -> bytes:
    return b"null" if image is None else b'"%b"' % sha256(image).encode()
