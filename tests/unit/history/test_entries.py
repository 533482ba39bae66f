"""Reading the audit log: the right entries, in order, within bounds, with what each changed."""

import asyncio

import pytest

from pipeline.history.entries import Wanted, changed, row_of, select
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.testing.changes import SHARD, STREAM, batches, put, remove
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import chain
from pipeline.wire.rangelog import RangeLog

BY = {"by": {"S": "ann"}}
CHANGES = (
    put("a", 1, BY)._replace(time_ms=1_000),
    put("b", 2, {"by": {"S": "bob"}})._replace(time_ms=2_000),
    put("a", 3, {"by": {"S": "bob"}}, over=put("a", 1, BY).after)._replace(time_ms=3_000),
    remove("b", 4)._replace(by_ttl=True, time_ms=4_000),
)


def log() -> FakeObjectStore:
    """Return a log of two objects."""
    objects = FakeObjectStore()

    async def write() -> None:
        writer = RangeLog(objects, chain.ChainForm("by"))
        for each in batches(CHANGES, 2):
            await writer.append(each)

    asyncio.run(write())
    return objects


def shown(wanted: Wanted, objects: FakeObjectStore | None = None, entries_max: int = 10) -> list[str]:
    """Return time and actor of the entries that are selected, and how many older ones there are."""
    found = asyncio.run(select(objects or log(), wanted, entries_max, lambda _: None))
    rows = [row_of(each) for each in found.entries]
    return [f"{row['time'][-3:-1]} {row['kind']} {row['actor']}" for row in rows] + ["older"] * found.older


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), ["01 INSERT ann", "02 INSERT bob", "03 MODIFY bob", "04 REMOVE ttl"]),
        (Wanted("orders", key="id=a"), ["01 INSERT ann", "03 MODIFY bob"]),
        (Wanted("orders", key='{"id":"b"}'), ["02 INSERT bob", "04 REMOVE ttl"]),
        (Wanted("orders", key="id=none"), []),
        (Wanted("lines"), []),
        (Wanted(actor="bob"), ["02 INSERT bob", "03 MODIFY bob"]),
        (Wanted(actor="ttl"), ["04 REMOVE ttl"]),
        (Wanted(from_ms=2_000, to_ms=4_000), ["02 INSERT bob", "03 MODIFY bob"]),
        (Wanted(to_ms=2_000), ["01 INSERT ann"]),
    ],
)
def test_what_is_asked_for_is_shown(wanted: Wanted, expected: list[str]) -> None:
    """An item, a time, an actor or all: in the order of time, and nothing else."""
    assert shown(wanted) == expected


def test_memory_is_bounded_and_says_so() -> None:
    """Only the latest are kept; the older ones are counted."""
    assert shown(Wanted(), entries_max=1) == ["04 REMOVE ttl", "older", "older", "older"]


def test_a_row_tells_the_change_and_its_place() -> None:
    """A row has keys, old and new values, the change's identity, and where in the log it is."""
    (first, *_), _ = asyncio.run(select(log(), Wanted(), 10, lambda _: None))
    row = row_of(first)
    assert row["key"] == {"id": {"S": "a"}}
    assert row["changed"]["v"] == {"old": None, "new": {"N": "1"}}
    assert (row["table"], row["sequence"]) == ("orders", str(CHANGES[0].sequence))
    assert (row["object"], row["position"]) == (chain.KIND.name(STREAM, SHARD, 1), 1)


def test_sets_are_compared_as_sets() -> None:
    """Of two sets it is told what came and what went; 1 and 1.0 are one number, and order is none."""
    rows = changed({"tags": [{"NS": ["1", "2"]}, {"NS": ["3", "2.0"]}], "name": [{"S": "x"}, {"SS": ["x"]}]})
    assert (rows["tags"]["added"], rows["tags"]["removed"]) == (["3"], ["1"])
    assert "added" not in rows["name"]


@pytest.mark.parametrize("key", ["pk=a", "id", "{"])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    """A key that is none of the table's is wrong use, with the form it should have."""
    with pytest.raises(Misconfigured):
        shown(Wanted("orders", key=key))


def test_a_key_of_a_table_without_entries_is_refused() -> None:
    """Without an entry nobody can tell the form of a key: that is said, not shown as nothing."""
    with pytest.raises(Misconfigured, match="no entry of that table"):
        shown(Wanted("lines", key="id=a"))


def test_a_broken_object_is_not_shown() -> None:
    """Entries whose hashes do not fit are no answer: the object is named."""
    objects = log()
    name = chain.KIND.name(STREAM, SHARD, 3)
    objects.objects[name] = objects.objects[chain.KIND.name(STREAM, SHARD, 1)]
    with pytest.raises(Corrupt, match=name):
        shown(Wanted(), objects)
