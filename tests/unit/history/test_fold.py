"""Reading the archive: all of it or a loud stop, and the state it adds up to."""

import asyncio
from dataclasses import replace

import pytest

from pipeline.history.archive import segments
from pipeline.history.fold import Images, fold
from pipeline.history.reading import Pass
from pipeline.model.change import Batch, Change
from pipeline.model.errors import Corrupt
from pipeline.model.gap import GapCause, GapRecord, GapState
from pipeline.testing.changes import STREAM, batches, history, put, remove
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import segment
from pipeline.wire.gap import to_change
from pipeline.wire.packed import Link
from pipeline.wire.rangelog import RangeLog

CHANGES = history(["a", "b", "a", "-b", "c", "a"])


def archive(*given: Batch) -> FakeObjectStore:
    """Return the archive of some batches."""
    objects = FakeObjectStore()

    async def write() -> None:
        log = RangeLog(objects, segment.SegmentForm())
        for each in given:
            await log.append(each)

    asyncio.run(write())
    return objects


def state(*changes: Change) -> Images:
    """Return what some changes add up to, given in order."""
    newest = {(c.table, c.keys): c.after for c in changes}
    return {item: image for item, image in newest.items() if image is not None}


def in_shard(shard: str, *changes: Change) -> Batch:
    """Return changes as the first batch of a Kinesis shard."""
    return Batch(STREAM, shard, 1, len(changes), changes, range(1, len(changes) + 1))


def test_the_archive_adds_up_to_the_table() -> None:
    """All segments of a shard, applied, give the table."""
    assert asyncio.run(fold(archive(*batches(CHANGES, 2, 4)))) == state(*CHANGES)


def test_an_empty_archive_is_an_empty_table() -> None:
    """Nothing was archived yet: that is no error."""
    assert asyncio.run(fold(FakeObjectStore())) == {}


def test_changes_of_a_key_in_two_shards_count_by_sequence() -> None:
    """After a split, the shard with the newer changes may be listed first: sequence decides, as a number."""
    old, new = put("a", 1)._replace(sequence=9 * 10**20), put("a", 2)._replace(sequence=10**21)
    assert asyncio.run(fold(archive(in_shard("s-1", new), in_shard("s-2", old)))) == state(new)


def test_a_delete_in_another_shard_is_not_undone() -> None:
    """An older put that is read after the delete does not bring the item back."""
    assert asyncio.run(fold(archive(in_shard("s-1", remove("a", 2)), in_shard("s-2", put("a", 1))))) == {}


def test_a_change_in_two_shards_counts_once() -> None:
    """A change that was put into the stream twice, before and after a split, changes nothing."""
    two = archive(in_shard("s-1", *CHANGES), in_shard("s-2", *CHANGES[:3]))
    assert asyncio.run(fold(two)) == state(*CHANGES)


def test_a_newer_stream_of_the_table_wins() -> None:
    """A stream that was switched off and on starts its sequences anew: the label decides first."""
    old, new = put("a", 9), put("a", 1)._replace(epoch="2027-01-01T00:00:00.000")
    assert asyncio.run(fold(archive(in_shard("s-1", new), in_shard("s-2", old)))) == state(new)


@pytest.mark.fault("S5", "S6")
@pytest.mark.parametrize("gone", [1, 3])
def test_a_missing_segment_is_named(gone: int) -> None:
    """A segment that was deleted stops the reading, which says where and what is missing."""
    objects = archive(*batches(CHANGES, 2, 4))
    del objects.objects[segment.KIND.name(STREAM, CHANGES_SHARD, gone)]
    with pytest.raises(Corrupt, match=f"positions {gone} to {gone + 1}"):
        asyncio.run(fold(objects))


@pytest.mark.fault("S5")
def test_a_replaced_segment_is_named() -> None:
    """A sound segment in another's place is not what its successor names."""
    objects = archive(*batches(CHANGES, 2, 4))
    name = segment.KIND.name(STREAM, CHANGES_SHARD, 3)
    link = segment.decode(name, objects.objects[name]).header.previous
    forged = batches((*CHANGES[:2], put("a", 9), *CHANGES[3:]), 2, 4)[1]
    objects.objects[name] = segment.encode(forged, Link(2, link.name, link.seal))
    with pytest.raises(Corrupt, match=name):
        asyncio.run(fold(objects))


@pytest.mark.parametrize("name", ["segments/notes.txt", "segments/changes/shard/00000000000000000001.segment.bak"])
def test_an_object_of_another_hand_is_named(name: str) -> None:
    """What somebody else put among the segments stops the reading by its name, and is not taken for a damaged one."""
    objects = archive(*batches(CHANGES, 2, 4))
    objects.objects[name] = b"not ours"
    with pytest.raises(Corrupt, match=f"object {name} is no segment"):
        asyncio.run(fold(objects))


CHANGES_SHARD = batches(CHANGES)[0].shard


def test_the_mark_of_a_gap_is_no_item() -> None:
    """What tells of lost changes stands in the archive, and nothing is made of it."""
    gap = GapRecord(GapCause.TRIMMED, CHANGES[0].table, "2026", "s", "", "7", "why", noticed_ms=1)
    assert asyncio.run(fold(archive(in_shard("s-1", CHANGES[0], to_change(gap))))) == state(CHANGES[0])


def test_a_reading_tells_of_the_gaps_of_its_table() -> None:
    """Whoever makes something of the archive learns what never reached it, as it was said last."""
    gap = GapRecord(GapCause.TRIMMED, CHANGES[0].table, "2026", "s", "", "7", "why", noticed_ms=1)
    accepted = replace(gap, state=GapState.ACCEPTED, by="ann", decided_ms=2, until="9")
    met, objects = Pass(), archive(in_shard("s-1", to_change(gap), to_change(accepted), CHANGES[0]))

    async def read() -> None:
        async for each in segments(objects):
            met.note(each, CHANGES[0].table)

    asyncio.run(read())
    assert met.gaps == {gap.id: accepted}
    assert met.first_ms == CHANGES[0].time_ms
