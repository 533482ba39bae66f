"""A copy of every source table in tables of one region, kept in one of three ways; the mode decides cost and promise.

`exact`    transactions that move a position row together with the items: once, fenced against an old owner, clean items
`guarded`  each item carries the version of its last change: never older, one attribute more, deletes leave a tombstone
`economy`  plain batches: converges; an old owner that still writes may leave a stale item until its next change
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import orjson

from pipeline.plugin import (
    Batch,
    Change,
    ChangeKind,
    Context,
    ItemStore,
    ItemWrite,
    Mirror,
    Misconfigured,
    Positions,
    Rejected,
    RetryLater,
    Topology,
)

Mode = Literal["exact", "guarded", "economy"]
MODES: tuple[Mode, ...] = get_args(Mode)
TRANSACTION_ITEMS_MAX = 98
"""DynamoDB takes 100 actions; the position row is one, and what was left out beside it another."""
TRANSACTION_BYTES_MAX = 3_500_000
"""DynamoDB takes 4 MB; JSON is never shorter than what it counts, and keys and names of tables come on top."""
BATCH_ITEMS_MAX = 25
PARALLEL_MAX = 32
"""How many conditional puts, all of different items, are on the way at once in mode guarded."""
TOMBSTONE_SECONDS = 7 * 24 * 3600
"""How long a delete is remembered in mode guarded: longer than changes stay readable in the streams by default."""

GLOBAL_TABLE_MARK = "aws:rep:"
"""What the attributes start with that global tables of version 2017.11.29 write into items for themselves."""
VERSION = "fanout_version"
DELETED = "fanout_deleted"
EXPIRES = "fanout_expires"
BEFORE_ALL = "0"
"""The version of a row read from the source: below every label of a stream, which begins with a year."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The keys of `[topologies.replica]`."""

    region: str
    """Region of the replica."""
    table: str = ""
    """Name of the replica of the one source table; empty: replicas are named like their sources."""
    mode: Mode = "exact"
    """What the replica costs, and what it promises."""
    positions_table: str = "fanout-positions"
    """Table of the position rows of mode exact, in the region; replicas may share it."""


class Replica:
    """Applies the last change of every item of a batch, in the way the mode says."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._items = context.items(settings.region)
        self._targets = {source: settings.table or source for source in context.tables}
        self._positions = Positions(self._items, settings.positions_table, f"{context.name}/{context.pipeline}")

    async def open(self) -> None:
        """Refuse settings that cannot work, a replica that is its own source, and tables that do not fit together."""
        if self._settings.table and len(self._targets) > 1:
            raise Misconfigured(
                f"table {self._settings.table} cannot replicate {len(self._targets)} source tables",
                hint="leave `table` empty, or give each source table a topology of its own",
            )
        for source, region in self._context.tables.items():
            await self._check(source, region)
        if self._settings.mode == "exact":
            await self._positions.open()

    async def write(self, batch: Batch) -> None:
        """Apply a batch. Rejected names the last change of an item that can never be stored."""
        match self._settings.mode:
            case "exact":
                await write_exact(self._positions, batch, self._targets)
            case "guarded":
                await write_guarded(self._items, guarded_changes(batch), self._targets)
            case _:
                await write_economy(self._items, last_changes(batch), self._targets)

    async def close(self) -> None:
        """Do nothing: what was written is stored."""

    async def _check(self, source: str, region: str) -> None:
        target = self._targets[source]
        if (source, region) == (target, self._settings.region):
            raise Misconfigured(
                f"table {source} would be its own replica", hint="set `region` or `table` of this topology"
            )
        theirs = await self._context.items(region).key_names(source)
        ours = await self._items.key_names(target)
        if theirs != ours:
            raise Misconfigured(
                f"table {target} has keys {ours}, its source {source} has {theirs}",
                hint="create the replica with the key schema of its source",
            )


async def write_exact(positions: Positions, batch: Batch, targets: Mapping[str, str]) -> None:
    """Apply what of the batch lies above the shard's position row, in transactions of up to 98 items that move it.

    A worker that lost the shard finds the row moved, by its successor, and writes nothing. Raises Corrupt when the row
    is below the batch, Rejected for what can never be stored, or was left out by an earlier owner.
    """
    while (rest := batch.after(await positions.at(batch))) is not None:
        part = cut(rest)
        last = last_changes(part)
        try:
            await positions.move(part, [put_or_delete(change, targets) for _, change in last])
        except Rejected as error:
            raise by_position(error, last) from error


async def write_guarded(items: ItemStore, last: "Last", targets: Mapping[str, str]) -> None:
    """Put each item unless the stored one is newer; deletes become tombstones that expire."""
    refused = {position: f"has an attribute {VERSION}" for position, change in last if is_versioned(change)}
    for some in in_groups((each for each in last if each[0] not in refused), PARALLEL_MAX):
        puts = (items.put_newer(guarded(change, targets), VERSION, version_of(change)) for _, change in some)
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        for (position, _), outcome in zip(some, outcomes, strict=True):
            if isinstance(outcome, Rejected):
                refused[position] = next(iter(outcome.positions.values()))
            elif isinstance(outcome, BaseException):
                raise outcome
    if refused:
        raise Rejected(refused)


async def write_economy(items: ItemStore, last: "Last", targets: Mapping[str, str]) -> None:
    """Write plain batches; what a call left unprocessed goes first in the next."""
    left = [put_or_delete(change, targets) for _, change in last]
    at = {(write.table, write.keys): number for write, number in zip(left, last, strict=True)}
    while left:
        some, left = left[:BATCH_ITEMS_MAX], left[BATCH_ITEMS_MAX:]
        try:
            unprocessed = await items.write_batch(some)
        except Rejected as error:
            raise by_position(error, [at[write.table, write.keys] for write in some]) from error
        if len(unprocessed) == len(some):
            raise RetryLater("no item of a batch was accepted", hint="has the replica enough write capacity?")
        left = [*unprocessed, *left]


Last = list[tuple[int, Change]]
"""Changes of different items with their positions."""


def last_changes(batch: Batch) -> Last:
    """Return the last change of every item of the batch, in order."""
    last = {(change.table, change.keys): (position, change) for position, change in batch}
    return sorted(last.values(), key=lambda numbered: numbered[0])


def guarded_changes(batch: Batch) -> Last:
    """Return the last change of every item, and the rows read of items without one: a row yields to any version.

    A row that says "no item" is left out: it would need to know the version of what is there.
    """
    numbered = [each for each in batch if each[1].kind is not ChangeKind.SNAPSHOT]
    last = {(change.table, change.keys): (position, change) for position, change in numbered}
    for position, change in batch:
        if change.kind is ChangeKind.SNAPSHOT and change.after is not None:
            last.setdefault((change.table, change.keys), (position, change))
    return sorted(last.values(), key=lambda each: each[0])


def cut(batch: Batch) -> Batch:
    """Return as much of the batch, from its start, as fits one transaction: at least one change."""
    sizes: dict[tuple[str, bytes], int] = {}
    total, until = 0, batch.first
    for position, change in batch:
        item, size = (change.table, change.keys), len(change.after or change.keys)
        total += size - sizes.get(item, 0)
        sizes[item] = size
        if len(sizes) > 1 and (len(sizes) > TRANSACTION_ITEMS_MAX or total > TRANSACTION_BYTES_MAX):
            return batch.upto(until)
        until = position
    return batch


def put_or_delete(change: Change, targets: Mapping[str, str]) -> ItemWrite:
    """Return the write that brings a change to the replica."""
    return ItemWrite(targets[change.table], change.keys, None if change.after is None else own(change.after))


def own(image: bytes) -> bytes:
    """Return an image without what a global table wrote into it: in another global table it would do harm."""
    if b'"%b' % GLOBAL_TABLE_MARK.encode() not in image:
        return image
    item = orjson.loads(image)
    return orjson.dumps({name: value for name, value in item.items() if not name.startswith(GLOBAL_TABLE_MARK)})


def version_of(change: Change) -> str:
    """Return the text that grows with every change of an item; a row that was read yields to every change."""
    if change.kind is ChangeKind.SNAPSHOT:
        return BEFORE_ALL
    return f"{change.epoch}/{change.sequence:040d}"


def guarded(change: Change, targets: Mapping[str, str]) -> ItemWrite:
    """Return the put of an item with its version, or of the tombstone of a removed one."""
    image = change.keys if change.after is None else own(change.after)
    extra = b',"%b":{"S":"%b"}' % (VERSION.encode(), version_of(change).encode())
    if change.after is None:
        expires = change.time_ms // 1000 + TOMBSTONE_SECONDS
        extra += b',"%b":{"BOOL":true},"%b":{"N":"%d"}' % (DELETED.encode(), EXPIRES.encode(), expires)
    return ItemWrite(targets[change.table], change.keys, image.rstrip()[:-1] + extra + b"}")


def is_versioned(change: Change) -> bool:
    """Return True when the source item has our attribute already: the source is itself a guarded replica."""
    return VERSION.encode() in (change.after or b"") and VERSION in orjson.loads(change.after or b"{}")


def by_position(error: Rejected, written: Last) -> Rejected:
    """Return an error that names positions for one that names places in a list of writes."""
    return Rejected({written[index][0]: reason for index, reason in error.positions.items()}, hint=error.hint)


def in_groups(last: Iterable[tuple[int, Change]], size: int) -> Iterator[Last]:
    """Yield lists of up to `size` changes."""
    items = list(last)
    for start in range(0, len(items), size):
        yield items[start : start + size]


def held(image: bytes) -> bytes | None:
    """Return a stored item without the version of mode guarded; a tombstone is no item."""
    if VERSION.encode() not in image:
        return own(image)
    item = orjson.loads(own(image))
    return None if DELETED in item else orjson.dumps({name: item[name] for name in item if name != VERSION})


def mended(expected: bytes, stored: bytes | None) -> bytes:
    """Return an item under the version that is there: what is above it was not applied yet, and comes."""
    version = orjson.loads(stored or b"{}").get(VERSION, {})
    return orjson.dumps({**orjson.loads(expected), VERSION: version if "S" in version else {"S": BEFORE_ALL}})


def mirror(settings: Settings) -> Mirror:
    """Return what a replica is to have of its source's items."""
    more = (held, mended) if settings.mode == "guarded" else (own, None)
    return Mirror(settings.region, settings.table, own, *more)


topology = Topology("replica", Settings, Replica, ranges=True, mirror=mirror)
