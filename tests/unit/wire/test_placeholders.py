"""Placeholders of parked changes in archive segments and audit chains."""

import asyncio

import pytest

from pipeline.history.fold import fold, fold_known
from pipeline.model.change import Batch, Parked
from pipeline.model.errors import Corrupt, Gap, Rejected
from pipeline.model.progress import Why
from pipeline.testing.changes import STREAM, batch, history
from pipeline.testing.fakes import FakeObjectStore
from pipeline.verification.audit import verify_chain
from pipeline.wire import chain, segment
from pipeline.wire.chain import ChainForm
from pipeline.wire.rangelog import Form, RangeLog
from pipeline.wire.segment import SegmentForm

CHANGES = history(["a", "b", "a", "c", "b"])
WHOLE = batch(CHANGES, 1, 5)
FORMS: list[Form] = [SegmentForm(), ChainForm()]


def parked(*positions: int, whole: Batch = WHOLE) -> Batch:
    """Return the batch with the changes at some positions in quarantine."""
    found = []
    for position, change in whole:
        if position in positions:
            found.append(Parked(position, *change[:4], change.keys, "0" * 24, Why.REFUSED))
    return whole.without(found)


def redriven(*positions: int) -> Batch:
    """Return what is put through later of the changes at some positions."""
    changes = tuple(CHANGES[position - 1] for position in positions)
    return Batch(STREAM, "redriven-0", 1, len(changes), changes, range(1, len(changes) + 1), asked_by="a@b")


def log(form: Form, *given: Batch, objects: FakeObjectStore | None = None) -> FakeObjectStore:
    """Return the store after workers that start anew for each batch."""
    objects = objects or FakeObjectStore()
    for each in given:
        asyncio.run(RangeLog(objects, form).append(each))
    return objects


def test_a_segment_keeps_the_place_of_what_is_parked() -> None:
    """What is parked comes back with its identity, key and reason, beside the changes."""
    (name, data), *_ = log(SegmentForm(), parked(2, 5)).objects.items()
    read = segment.decode(name, data)
    assert (read.batch.parked, list(read.batch)) == (parked(2, 5).parked, list(parked(2, 5)))
    assert (read.header.version, read.header.count) == (2, 5)


def test_a_chain_keeps_the_place_of_what_is_parked() -> None:
    """The chain commits to the placeholder like to any entry, and verification counts it."""
    objects = log(ChainForm(), parked(2, 5), redriven(2, 5))
    report = asyncio.run(verify_chain(objects))
    assert (report.sound, report.entries, report.parked) == (True, 7, 2)
    header = chain.decode(*next(each for each in objects.objects.items() if "redriven" in each[0])).header
    assert header.asked_by == "a@b"


def test_without_placeholders_the_format_stays_version_1() -> None:
    """A reader that knows no placeholders reads on where there are none."""
    objects = log(SegmentForm(), WHOLE)
    assert [segment.decode(*each).header.version for each in objects.objects.items()] == [1]


@pytest.mark.parametrize("form", FORMS)
def test_the_same_parking_again_is_the_same(form: Form) -> None:
    """A successor that parks the same finds its objects stored."""
    objects = log(form, parked(2, 5))
    before = dict(objects.objects)
    log(form, parked(2, 5), objects=objects)
    assert objects.objects == before


@pytest.mark.parametrize("form", FORMS)
def test_a_stored_change_is_more_than_the_placeholder_we_ask_for(form: Form) -> None:
    """An earlier owner wrote the change before it was refused: nothing is to be done."""
    objects = log(form, WHOLE)
    before = dict(objects.objects)
    log(form, parked(2), objects=objects)
    assert objects.objects == before


@pytest.mark.parametrize("form", FORMS)
def test_a_stored_placeholder_does_not_count_as_the_change(form: Form) -> None:
    """An earlier owner parked what we are to write: it is refused by position, so that it is parked again."""
    objects = log(form, parked(2, 5))
    with pytest.raises(Rejected) as caught:
        log(form, WHOLE, objects=objects)
    assert set(caught.value.positions) == {2, 5}


@pytest.mark.parametrize("form", FORMS)
def test_a_placeholder_of_another_change_is_corrupt(form: Form) -> None:
    """Two histories at one place stop the writer."""
    objects = log(form, parked(2))
    other = history(["x", "y", "z", "v", "w"], start=90)
    with pytest.raises(Corrupt):
        log(form, batch(other, 1, 5), objects=objects)
    with pytest.raises(Corrupt):
        log(form, parked(2, whole=batch(other, 1, 5)), objects=objects)


def test_the_archive_says_which_items_are_incomplete() -> None:
    """An item with a change in quarantine is named, not shown as it was before; put through, it is whole again."""
    objects = log(SegmentForm(), parked(2, 5))
    folded = asyncio.run(fold_known(objects))
    assert folded.incomplete == {("orders", CHANGES[1].keys)}
    assert set(folded.images) == {("orders", CHANGES[2].keys), ("orders", CHANGES[3].keys)}
    with pytest.raises(Gap):
        asyncio.run(fold(objects))
    log(SegmentForm(), redriven(2, 5), objects=objects)
    assert asyncio.run(fold(objects))["orders", CHANGES[4].keys] == CHANGES[4].after


def test_a_part_of_a_batch_has_its_part_of_the_placeholders() -> None:
    """However a batch is cut, each placeholder stays at its position."""
    whole = parked(1, 3, 5)
    for border in range(1, 5):
        rest = whole.after(border)
        assert rest is not None
        assert [*whole.upto(border).entries(), *rest.entries()] == list(whole.entries())


@pytest.mark.parametrize("form", FORMS)
def test_a_placeholder_beyond_the_batch_that_found_it_is_seen_by_the_next(form: Form) -> None:
    """An earlier owner's object reaches into the next batch, and has a placeholder there: that change must wait."""
    objects = log(form, parked(2, 5))
    heir = RangeLog(objects, form)
    asyncio.run(heir.append(parked(2).upto(3)))
    rest = WHOLE.after(3)
    assert rest is not None
    with pytest.raises(Rejected) as refused:
        asyncio.run(heir.append(rest))
    assert list(refused.value.positions) == [5]
