"""The log of immutable objects: who writes, how often and how cut does not matter; what is stored does."""

import asyncio

import pytest

from pipeline.model.change import SPAN_MAX, Batch
from pipeline.model.errors import Corrupt
from pipeline.testing.changes import SHARD, STREAM, batch, history
from pipeline.testing.fakes import FakeObjectStore
from pipeline.testing.faults import Faults
from pipeline.wire import segment
from pipeline.wire.chain import ChainForm
from pipeline.wire.rangelog import Form, RangeLog
from pipeline.wire.segment import SegmentForm

CHANGES = history(["a", "b"] * 10)
FORMS = [SegmentForm(), SegmentForm("gzip"), ChainForm()]


async def append(objects: FakeObjectStore, form: Form, *ranges: tuple[int, int]) -> None:
    """Append ranges as a worker does that has just started."""
    log = RangeLog(objects, form)
    for first, last in ranges:
        await log.append(batch(CHANGES, first, last))


def stored(*ranges: tuple[int, int], form: Form | None = None) -> FakeObjectStore:
    """Return the store after a worker appended ranges."""
    objects = FakeObjectStore()
    asyncio.run(append(objects, form or SegmentForm(), *ranges))
    return objects


def starts(objects: FakeObjectStore) -> list[int]:
    """Return the first positions of all objects."""
    return [int(name.rpartition("/")[2].partition(".")[0]) for name in sorted(objects.objects)]


@pytest.mark.parametrize("form", FORMS)
def test_a_successor_goes_on_above_what_is_stored(form: Form) -> None:
    """A batch whose start is stored is stored from there on; nothing is stored twice."""
    objects = stored((1, 5), (6, 8), form=form)
    asyncio.run(append(objects, form, (3, 7), (8, 12)))
    assert starts(objects) == [1, 6, 9]


@pytest.mark.fault("E5", "S5")
@pytest.mark.parametrize("form", FORMS)
def test_an_object_of_another_hand_does_not_stop_the_writer(form: Form) -> None:
    """What somebody put beside the log's objects is not taken for its last one; the readers complain of it."""
    objects = stored((1, 5), form=form)
    objects.objects[form.kind.name(STREAM, SHARD, 1) + ".bak"] = b"not ours"
    asyncio.run(append(objects, form, (6, 8)))
    assert form.kind.name(STREAM, SHARD, 6) in objects.objects


@pytest.mark.parametrize("form", FORMS)
def test_a_log_without_its_last_object_has_a_hole(form: Form) -> None:
    """When what lies before the batch is not stored, the log stops, and says which positions are missing."""
    objects = stored((1, 5), (6, 8), form=form)
    del objects.objects[form.kind.name(STREAM, SHARD, 6)]
    with pytest.raises(Corrupt, match="6 to 8") as caught:
        asyncio.run(append(objects, form, (9, 12)))
    assert "state table" in caught.value.hint


@pytest.mark.fault("E5")
@pytest.mark.parametrize("form", FORMS)
def test_positions_that_were_never_delivered_are_a_hole(form: Form) -> None:
    """A worker that is given positions above a hole stops, though it knows the end of the log."""
    with pytest.raises(Corrupt, match="4 to 4"):
        stored((1, 3), (5, 9), form=form)


@pytest.mark.fault("E5")
@pytest.mark.parametrize("form", FORMS)
def test_an_empty_store_is_a_hole_above_position_1(form: Form) -> None:
    """A worker that starts in the middle, on an empty store, stops."""
    with pytest.raises(Corrupt, match="1 to 2"):
        stored((3, 5), form=form)


@pytest.mark.parametrize("form", FORMS)
def test_other_changes_at_stored_positions_stop_the_log(form: Form) -> None:
    """A position that comes again with another change, or without one, is Corrupt: numbering must never shift."""
    objects = stored((1, 5), form=form)
    shifted = Batch(STREAM, SHARD, 3, 8, CHANGES[3:9], range(3, 9))
    filtered = batch(CHANGES, 3, 8, without=[4])
    for wrong in (shifted, filtered):
        with pytest.raises(Corrupt, match="differ at position"):
            asyncio.run(RangeLog(objects, form).append(wrong))
    assert starts(objects) == [1]


def test_another_chain_under_the_same_names_is_found() -> None:
    """An object that does not name its predecessor is not adopted."""
    objects, other = stored((1, 5), (6, 8)), stored((1, 2), (3, 5), (6, 8))
    name = segment.KIND.name(STREAM, SHARD, 6)
    objects.objects[name] = other.objects[name]
    with pytest.raises(Corrupt, match="does not follow"):
        asyncio.run(append(objects, SegmentForm(), (4, 8)))


def test_settings_that_change_do_not_fork_the_log() -> None:
    """Two workers with different compressions compete for the same names, and read each other's objects."""
    objects = stored((1, 5))
    asyncio.run(append(objects, SegmentForm("gzip"), (1, 3), (4, 9)))
    asyncio.run(append(objects, SegmentForm(), (2, 12)))
    assert starts(objects) == [1, 6, 10]


@pytest.mark.fault("S6")
def test_the_far_past_is_not_listed() -> None:
    """A start costs a listing from SPAN_MAX positions back, and one read, however long the log is."""
    last = SPAN_MAX + 10
    objects = FakeObjectStore()

    def empty(first: int, upto: int) -> Batch:
        return Batch(STREAM, SHARD, first, upto, (), ())

    async def run() -> int:
        log = RangeLog(objects, SegmentForm())
        for first in range(1, 10):
            await log.append(empty(first, first))
        await log.append(empty(10, last))
        faults = Faults()
        await RangeLog(objects.behind(faults), SegmentForm()).append(empty(last, last + 1))
        return faults.total

    calls = asyncio.run(run())
    assert starts(objects)[-1] == last + 1
    assert calls == 4, "list, read the last, look for the next, create it"


def test_ranges_longer_than_the_span_are_cut() -> None:
    """No object covers more positions than a later start looks back."""
    objects = FakeObjectStore()
    asyncio.run(RangeLog(objects, SegmentForm()).append(Batch(STREAM, SHARD, 1, 2 * SPAN_MAX + 1, (), ())))
    assert starts(objects) == [1, SPAN_MAX + 1, 2 * SPAN_MAX + 1]


def test_the_longest_object_is_found_from_right_above_it() -> None:
    """A start right above an object of SPAN_MAX positions still finds it."""
    objects = FakeObjectStore()
    for first in (1, SPAN_MAX + 1):
        asyncio.run(RangeLog(objects, SegmentForm()).append(Batch(STREAM, SHARD, first, first + SPAN_MAX - 1, (), ())))
    assert starts(objects) == [1, SPAN_MAX + 1]


def test_steady_writing_costs_one_call_a_batch() -> None:
    """A worker that knows the end of the log makes one create for each batch and nothing else."""
    faults = Faults()

    async def run() -> int:
        log = RangeLog(FakeObjectStore().behind(faults), SegmentForm())
        await log.append(batch(CHANGES, 1, 5))
        before = faults.total
        await log.append(batch(CHANGES, 6, 9))
        await log.append(batch(CHANGES, 10, 12))
        return faults.total - before

    assert asyncio.run(run()) == 2
