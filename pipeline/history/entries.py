"""Reading the audit log for people: the entries of an item, of a time or of an actor, and what each changed."""

import heapq
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import orjson

from pipeline.history.keys import KeySchema
from pipeline.history.moment import text_of
from pipeline.model.change import ChangeKind
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.ports import ObjectStore
from pipeline.wire import chain
from pipeline.wire.diff import canonical
from pipeline.wire.json import UNREADABLE
from pipeline.wire.packed import damaged

TTL = "ttl"
"""The actor of what time-to-live removed."""
_SETS = frozenset({"SS", "NS", "BS"})
_NOTHING = msgspec.Raw(b"null")


class Entry(msgspec.Struct, frozen=True):
    """One entry: content stays bytes until it is shown."""

    position: int
    table: str
    epoch: str
    shard: str
    sequence: str
    kind: str
    keys: msgspec.Raw
    time_ms: int = 0
    """0 in the place of a change that waits in quarantine."""
    actor: msgspec.Raw = _NOTHING
    diff: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def order(self) -> tuple[int, str, int]:
        """Return what entries are sorted by: time, then the stream's own order."""
        return self.time_ms, self.epoch, int(self.sequence)


class Found(NamedTuple):
    """An entry and the object it is in."""

    object: str
    entry: Entry


class Selected(NamedTuple):
    """The latest entries that were asked for, oldest first, and how many older ones there are."""

    entries: tuple[Found, ...]
    older: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; empty fields ask for all."""

    table: str = ""
    key: str = ""
    """As people write it; its form is that of the table's keys in the log."""
    from_ms: int | None = None
    to_ms: int | None = None
    """The first millisecond that is not asked for."""
    actor: str = ""

    def of_time(self, entry: Entry) -> bool:
        """Return True for an entry of the time asked for; a change in quarantine has none."""
        if self.from_ms is not None and entry.time_ms < self.from_ms:
            return False
        return self.to_ms is None or 0 < entry.time_ms < self.to_ms or (entry.time_ms == 0 and self.from_ms is None)


_entry = msgspec.json.Decoder(Entry)


async def select(objects: ObjectStore, wanted: Wanted, entries_max: int, progress: Callable[[int], None]) -> Selected:
    """Return the latest entries that are wanted, of a log whose objects are read one by one.

    Memory is `entries_max` entries and one object. `progress` is told how many objects were read. Raises Corrupt when
    an object's hashes do not fit, Misconfigured when the key is not one of the table.
    """
    kept: list[tuple[tuple[int, str, int], int, Found]] = []
    met = older = 0
    async for found in _each(objects, wanted, progress):
        met += 1
        item = (found.entry.order, met, found)
        if len(kept) < entries_max:
            heapq.heappush(kept, item)
        else:
            heapq.heappushpop(kept, item)
            older += 1
    return Selected(tuple(found for *_, found in sorted(kept, key=lambda item: item[:2])), older)


async def _each(objects: ObjectStore, wanted: Wanted, progress: Callable[[int], None]) -> AsyncIterator[Found]:
    keys: bytes | None = None
    number = 0
    async for name in objects.names(f"{chain.KIND.folder}/"):
        if not chain.KIND.owns(name):
            continue
        number += 1
        progress(number)
        for entry in entries_in(name, await objects.read(name) or b""):
            if wanted.table and entry.table != wanted.table:
                continue
            if wanted.key:
                if keys is None and entry.kind != ChangeKind.GAP:
                    keys = KeySchema.of(bytes(entry.keys)).read(wanted.key)
                if keys != bytes(entry.keys):
                    continue
            if wanted.of_time(entry) and (not wanted.actor or actor_of(entry) == wanted.actor):
                yield Found(name, entry)
    if wanted.key and keys is None:
        raise Misconfigured("the log has no entry of that table", hint="is it the right --topology and --table?")


def entries_in(name: str, data: bytes) -> list[Entry]:
    """Return the entries of an object. Raises Corrupt, naming it, when they are not what was written."""
    block = chain.decode(name, data)
    for found in chain.breaks(block):
        raise Corrupt(f"object {name}: {found.reason}", hint="see what was changed: `fanout audit verify`")
    try:
        return [_entry.decode(line) for line in block.lines[1:]]
    except UNREADABLE as error:
        raise damaged(name, "an entry cannot be read") from error


def actor_of(entry: Entry) -> str:
    """Return who made the change as text, "ttl" for time-to-live, "" when nobody was named."""
    told = orjson.loads(bytes(entry.actor))
    if isinstance(told, dict):
        (value,) = told.values()
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    return str(told or "")


def row_of(found: Found) -> dict[str, Any]:
    """Return an entry as a row, with the content of what was changed."""
    entry = found.entry
    return {
        "time": text_of(entry.time_ms) if entry.time_ms else "",
        "kind": entry.kind,
        "table": entry.table,
        "key": orjson.loads(bytes(entry.keys)),
        "actor": actor_of(entry),
        "changed": changed(orjson.loads(bytes(entry.diff))),
        "epoch": entry.epoch,
        "shard": entry.shard,
        "sequence": entry.sequence,
        "object": found.object,
        "position": entry.position,
    }


def changed(diff: Mapping[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Return by attribute the old and the new value, and of two sets what came and what went."""
    rows = {}
    for attribute, (old, new) in diff.items():
        row: dict[str, Any] = {"old": old, "new": new}
        kinds = [next(iter(value)) if isinstance(value, dict) and value else "" for value in (old, new)]
        if kinds[0] == kinds[1] and kinds[0] in _SETS:
            before, after = ({_spelt(kinds[0], each): each for each in value[kinds[0]]} for value in (old, new))
            row["added"] = [each for spelt, each in after.items() if spelt not in before]
            row["removed"] = [each for spelt, each in before.items() if spelt not in after]
        rows[attribute] = row
    return rows


def _spelt(kind: str, member: str) -> str:
    """Return a set's member in its one spelling: 1 and 1.0 are one number."""
    return str(canonical({kind[0]: member})[1])
