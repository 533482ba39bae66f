"""What may have changed in a gap is found page by page, and nothing else."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.testing.fakes import FakeItemStore, FakeTable, ManualClock
from pipeline.verification.healing import ChangedRows, Place

KEYS = st.integers(0, 30)
ITEMS = st.dictionaries(KEYS, st.integers(0, 3))


def table_of(items: dict[int, int], name: str = "orders", spelling: str = "{}") -> FakeTable:
    """Return a table with items of a number each."""
    table = FakeTable(name, ManualClock())
    for key, number in items.items():
        table.preload({"pk": {"S": f"k{key}"}, "n": {"N": spelling.format(number)}})
    return table


def changed(source: FakeTable, *copies: FakeTable, segments: int = 1, rows_max: int = 3) -> dict[bytes, bytes | None]:
    """Return what a reader finds, page by page."""

    def place(table: FakeTable) -> Place:
        return Place(table.reader(), FakeItemStore(table))

    async def read() -> dict[bytes, bytes | None]:
        reader = ChangedRows(place(source), [place(each) for each in copies])
        found: dict[bytes, bytes | None] = {}
        for segment in range(segments):
            start: bytes | None = None
            while True:
                page = await reader.page(segment, segments, start, rows_max)
                found.update(page.rows)
                if page.next is None:
                    break
                start = page.next
        return found

    return asyncio.run(read())


@given(source=ITEMS, copy=ITEMS, segments=st.integers(1, 3), rows_max=st.integers(1, 5))
def test_what_differs_is_found_and_nothing_else(
    source: dict[int, int], copy: dict[int, int], segments: int, rows_max: int
) -> None:
    """Changed, missing and left-over items are found, in however many segments and pages; equal ones are left out."""
    here, there = table_of(source), table_of(copy, "replica")
    found = changed(here, there, segments=segments, rows_max=rows_max)
    differ = {key for key in source.keys() | copy.keys() if source.get(key) != copy.get(key)}
    assert found.keys() == {b'{"pk":{"S":"k%d"}}' % key for key in differ}
    for keys, image in found.items():
        assert image == here.items.get(keys)


def test_another_spelling_is_no_change() -> None:
    """Items that are equal by value are left out: numbers, sets, and what a global table wrote."""
    here, there = table_of({1: 1}), table_of({1: 1}, "replica", spelling="{}.0")
    assert changed(here, there) == {}
    here.preload({"pk": {"S": "g"}, "s": {"SS": ["a", "b"]}})
    there.preload({"pk": {"S": "g"}, "s": {"SS": ["b", "a"]}, "aws:rep:deleting": {"BOOL": False}})
    assert changed(here, there) == {}


def test_every_copy_counts() -> None:
    """An item that one of two copies lacks is found, and so is one that only the second has."""
    here, first, second = table_of({1: 1, 2: 2}), table_of({1: 1, 2: 2}, "first"), table_of({1: 1, 3: 3}, "second")
    assert changed(here, first, second) == {
        b'{"pk":{"S":"k2"}}': here.items[b'{"pk":{"S":"k2"}}'],
        b'{"pk":{"S":"k3"}}': None,
    }


def test_without_a_copy_all_is_read() -> None:
    """Nothing tells what changed: every item is brought as it is."""
    here = table_of({1: 1, 2: 2, 3: 3, 4: 4})
    assert changed(here) == here.items


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_items_are_asked_for_in_groups(count: int) -> None:
    """However many rows a page has, no call asks for more items than DynamoDB returns at once."""
    items = dict.fromkeys(range(count), 1)
    there: Any = table_of(items, "replica")
    assert changed(table_of(items), there, rows_max=1_000) == {}
