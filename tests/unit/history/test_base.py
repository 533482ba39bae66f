"""Reading from a snapshot: damage stops it by name, and what is kept decides like what it was made of."""

import asyncio
from collections.abc import Callable

import pytest

from pipeline.history.compact import REMOVED_KEPT_MS
from pipeline.history.fold import fold
from pipeline.history.keys import Scope
from pipeline.history.trace import NOW
from pipeline.model.change import Batch, Change, ChangeKind, Parked
from pipeline.model.errors import Corrupt
from pipeline.testing.changes import EPOCH, STREAM, batches, history, image, put, remove
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import manifest, segment
from pipeline.wire.rangelog import RangeLog
from tests.compacted import compacted, traces_from

END_MS = 1_700_000_001_000
"""The second after that of all changes here."""
LATER_MS = END_MS + 60_000
NAME = manifest.name_of(END_MS)
KEYS = b'{"id":{"S":"a"}}'


async def archived(*given: Batch) -> FakeObjectStore:
    """Return the archive of some batches."""
    objects = FakeObjectStore()
    log = RangeLog(objects, segment.SegmentForm())
    for each in given:
        await log.append(each)
    return objects


def in_shard(shard: str, *changes: Change, first: int = 1, asked_by: str = "") -> Batch:
    """Return changes as a batch of a Kinesis shard."""
    last = first + len(changes) - 1
    return Batch(STREAM, shard, first, last, changes, range(first, last + 1), asked_by=asked_by)


def row(key: str, number: int, *, time_ms: int = END_MS - 500) -> Change:
    """Return a row that a reader of the table found."""
    found = image(key, v={"N": str(number)})
    return Change("orders", EPOCH, "snapshot-x-0", number, ChangeKind.SNAPSHOT, KEYS, None, found, time_ms)


async def now_of(objects: FakeObjectStore, at_ms: int = LATER_MS) -> dict[bytes, bytes | None]:
    """Return what each item is, read from the last snapshot."""
    traces, _ = await traces_from(objects, Scope("orders"), (at_ms,))
    return {trace.keys: trace.state(NOW) async for trace in traces.each()}


def part_of(objects: FakeObjectStore) -> str:
    """Return the name of the first part."""
    return min(name for name in objects.objects if name.startswith(manifest.PARTS_FOLDER))


def flip(objects: FakeObjectStore, name: str) -> None:
    """Change one bit of an object."""
    data = bytearray(objects.objects[name])
    data[len(data) // 2] ^= 4
    objects.objects[name] = bytes(data)


DAMAGES: dict[str, tuple[Callable[[FakeObjectStore], object], str]] = {
    "part missing": (lambda objects: objects.objects.pop(part_of(objects)), "is missing: it is a part of snapshot"),
    "part cut": (lambda objects: objects.objects.update({part_of(objects): b"x"}), "does not fit the hash in snapshot"),
    "part flipped": (lambda objects: flip(objects, part_of(objects)), "does not fit the hash in snapshot"),
    "manifest flipped": (lambda objects: flip(objects, NAME), f"object {NAME} is damaged: it does not fit its hash"),
    "manifest cut": (lambda objects: objects.objects.update({NAME: b"{}"}), f"object {NAME} is damaged"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_snapshot_stops_the_reading_by_name(kind: str) -> None:
    """Nothing is made of a snapshot that is not what was written; the error names the object and the remedy."""

    async def story() -> None:
        objects = await archived(*batches(history(["a", "b", "c", "-b"]), 2))
        await compacted(objects, END_MS)
        damage, reason = DAMAGES[kind]
        damage(objects)
        with pytest.raises(Corrupt, match=reason) as caught:
            await now_of(objects)
        assert "version or a copy of the bucket" in caught.value.hint

    asyncio.run(story())


def test_a_snapshot_of_another_archive_is_named() -> None:
    """A sound snapshot of another history is refused at the first segment behind it that does not follow."""

    async def story() -> None:
        objects = await archived(*batches(history(["a", "b", "c", "-b"]), 2, 3))
        other = await archived(*batches(history(["z", "y", "x"]), 2))
        await compacted(other, END_MS)
        objects.objects |= {name: data for name, data in other.objects.items() if name.startswith("snapshot")}
        with pytest.raises(Corrupt, match="is not the one that"):
            await now_of(objects)

    asyncio.run(story())


def test_a_row_behind_the_last_change_counts_and_one_before_it_does_not() -> None:
    """A row that was read after changes were lost says what the item is, until its next change; with or without."""

    async def story() -> None:
        for changes, expected in (
            ((put("a", 1), row("a", 7)), 7),
            ((row("a", 7), put("a", 1)), 1),
            ((put("a", 1), row("a", 7), put("a", 2)), 2),
        ):
            objects = await archived(in_shard("s", *changes))
            bare = await now_of(objects)
            await compacted(objects, END_MS)
            assert bare == await now_of(objects) == {KEYS: image("a", v={"N": str(expected)})}

    asyncio.run(story())


def test_an_item_only_a_row_tells_of_was_so_all_the_time() -> None:
    """Nothing happened to it since the archive began, so it is no change when its row comes."""

    async def story() -> None:
        objects = await archived(in_shard("s", put("b", 1), row("a", 7, time_ms=LATER_MS - 1)))
        traces, _ = await traces_from(objects, Scope("orders", keys={KEYS}), (END_MS, LATER_MS))
        (trace,) = [each async for each in traces.each()]
        assert trace.state(0) == trace.state(1) == image("a", v={"N": "7"})
        assert not trace.changed_between(0, 1)

    asyncio.run(story())


def test_quarantine_stays_marked_until_the_change_is_put_through() -> None:
    """An item with a parked change is incomplete in a snapshot too; the change counts where it would have stood."""

    async def story() -> None:
        parked = put("a", 2)
        placeholder = Parked(3, parked.table, parked.epoch, parked.shard, parked.sequence, KEYS, "d", "refused")
        first = Batch(STREAM, "s", 1, 3, (put("a", 1), row("a", 7)), (1, 2), (placeholder,))
        objects = await archived(first)
        made = await compacted(objects, END_MS)
        assert made.tables[0].incomplete == 1
        traces, _ = await traces_from(objects, Scope("orders"), (LATER_MS,))
        assert [trace.incomplete async for trace in traces.each()] == [True]
        assert traces.incomplete == 1
        log = RangeLog(objects, segment.SegmentForm())
        await log.append(in_shard("redriven-1", parked, asked_by="ann"))
        for at_ms in (LATER_MS, 0):
            if at_ms:
                await compacted(objects, END_MS + 1000)
            traces, _ = await traces_from(objects, Scope("orders"), (LATER_MS,))
            (trace,) = [each async for each in traces.each()]
            assert (trace.incomplete, trace.state(NOW)) == (False, parked.after)
        assert await fold(objects) == {("orders", KEYS): parked.after}

    asyncio.run(story())


def test_an_item_that_was_removed_is_forgotten_after_a_while() -> None:
    """A removal is kept as long as an older change of the item could come again, and no longer."""

    async def story() -> None:
        for at_ms, removed in ((END_MS, 1), (END_MS + REMOVED_KEPT_MS, 0)):
            objects = await archived(in_shard("s", put("a", 1), remove("a", 2)))
            made = await compacted(objects, at_ms)
            assert (made.tables[0].items, made.tables[0].removed) == (removed, removed)
            assert (await now_of(objects, at_ms)).get(KEYS) is None

    asyncio.run(story())
