"""What an archive and an audit log must hold at rest."""

from collections.abc import AsyncIterator, Collection
from typing import NamedTuple

import orjson

from pipeline.history.archive import segments
from pipeline.model.change import Parked
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import chain
from tests.simulation.services import ROWS, SourceTable


class Violation(AssertionError):
    """A promise that was broken, by its name."""


class Logged(NamedTuple):
    """An entry of a log: a change, or what stands in its place."""

    shard: str
    key: tuple[str, bytes]
    sequence: int
    is_placeholder: bool


async def archive_entries(archive: FakeObjectStore) -> AsyncIterator[Logged]:
    """Yield what the archive holds, shard by shard."""
    async for each in segments(archive):
        for _, entry in each.batch.entries():
            is_placeholder = isinstance(entry, Parked)
            if entry.shard.startswith(ROWS):
                continue
            yield Logged(each.batch.shard, (entry.table, entry.keys), entry.sequence, is_placeholder)


async def audit_entries(audit: FakeObjectStore) -> AsyncIterator[Logged]:
    """Yield what the audit log holds, shard by shard."""
    async for name in audit.names("chain/"):
        block = chain.decode(name, audit.objects[name])
        for line in block.lines[1:]:
            entry = orjson.loads(line)
            if entry["shard"].startswith(ROWS):
                continue
            key = (entry["table"], orjson.dumps(entry["keys"]))
            yield Logged(block.header.shard, key, int(entry["sequence"]), entry["kind"] == "PARKED")


async def log_at_rest(title: str, tables: Collection[SourceTable], entries: AsyncIterator[Logged]) -> str:
    """Each change stands once in its place, in order, or a placeholder does, and the change was put through."""
    plain: dict[tuple[str, bytes], list[int]] = {}
    placed: dict[tuple[str, bytes], list[int]] = {}
    redriven: dict[tuple[str, bytes], list[int]] = {}
    async for each in entries:
        if each.shard.startswith("redriven-"):
            redriven.setdefault(each.key, []).append(each.sequence)
            continue
        placed.setdefault(each.key, []).append(each.sequence)
        if not each.is_placeholder:
            plain.setdefault(each.key, []).append(each.sequence)
    for found in (placed, redriven):
        if any(sequences != sorted(sequences) for sequences in found.values()):
            raise Violation(f"I2 the {title} holds a key's changes out of order")
        if any(len(sequences) != len(set(sequences)) for sequences in found.values()):
            raise Violation(f"I1 the {title} holds a change twice")
    expected = {(t.name, keys): [c.sequence for c in past] for t in tables for keys, past in t.history.items()}
    if placed != expected:
        return f"I1 the {title} lacks a change"
    for key, sequences in expected.items():
        if set(sequences) - {*plain.get(key, ()), *redriven.get(key, ())}:
            return f"I8 the {title} lacks a change that was parked"
    return ""
