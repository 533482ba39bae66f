"""What stands beside a position row: what was left out, and how long that is remembered."""

import asyncio
from dataclasses import replace

import pytest

from pipeline.model.change import Batch, Parked
from pipeline.model.errors import Corrupt, Misconfigured, Rejected
from pipeline.testing.changes import batch, history
from pipeline.testing.fakes import FakeItemStore, FakeTable, ManualClock
from pipeline.wire.positions import Positions, after, name_of

TABLE = "fanout-positions"
CHANGES = history(["a", "b", "a", "a", "b", "a"])


def parked(given: Batch, *positions: int) -> Batch:
    """Return a batch with some changes parked."""
    found = [
        Parked(p, c.table, c.epoch, c.shard, c.sequence, c.keys, "0" * 24, "later") for p, c in given if p in positions
    ]
    return given.without(found)


def tables() -> FakeItemStore:
    """Return a store with a table of position rows."""
    return FakeItemStore(FakeTable(TABLE, ManualClock(), keys={"row": "S"}))


def test_a_key_is_left_out_from_its_first_to_its_last_parked_change() -> None:
    """Until a later change of it is written; another key is its own matter."""
    name = name_of(CHANGES[0].table, CHANGES[0].keys)
    some = after({}, parked(batch(CHANGES, 1, 3), 1, 3))
    assert some == {name: (1, 3)}
    more = after(some, parked(batch(CHANGES, 4, 5), 4))
    assert more == {name: (1, 4)}
    assert after(more, batch(CHANGES, 5, 5)) == more
    assert after(more, batch(CHANGES, 6, 6)) == {}


def test_what_a_stored_checkpoint_is_past_is_forgotten() -> None:
    """Keys that were put through and do not change again leave nothing behind: the item would grow without end."""
    changes = history(["a", "b", "c", "c"])
    some = after({}, parked(batch(changes, 1, 2), 1, 2))
    assert list(some.values()) == [(1, 1), (2, 2)]
    assert list(after(some, replace(batch(changes, 3, 3), saved=1)).values()) == [(2, 2)]
    assert list(after(some, replace(parked(batch(changes, 4, 4), 4), saved=3)).values()) == [(4, 4)]


def test_a_refusal_of_what_stands_beside_the_row_is_not_taken_for_one_of_a_change() -> None:
    """The table is named, not a change at a position that the batch does not have."""

    async def story() -> None:
        store = FakeItemStore(FakeTable(TABLE, ManualClock(), keys={"row": "N"}))
        positions, given = Positions(store, TABLE, "r"), parked(batch(CHANGES, 1, 3), 3)
        await positions.at(given)
        with pytest.raises(Misconfigured, match=f"table {TABLE} refuses"):
            await positions.move(given, [])

    asyncio.run(story())


def test_the_next_owner_is_refused_what_was_left_out_and_nothing_else() -> None:
    """A change at a passed position that nobody parked is done; one that was is named; above the row all is new."""

    async def story() -> None:
        store = tables()
        first, second = Positions(store, TABLE, "r"), Positions(store, TABLE, "r")
        given = parked(batch(CHANGES, 1, 3), 3)
        assert await first.at(given) == 0
        await first.move(given, [])
        with pytest.raises(Rejected) as caught:
            await second.at(batch(CHANGES, 1, 6))
        assert list(caught.value.positions) == [3]
        assert await second.at(parked(batch(CHANGES, 1, 6), 3)) == 3

    asyncio.run(story())


def test_a_damaged_memory_stops_the_shard() -> None:
    """What was left out cannot be told: nothing is passed for done."""

    async def story() -> None:
        store = tables()
        first = Positions(store, TABLE, "r")
        given = parked(batch(CHANGES, 1, 3), 3)
        await first.at(given)
        await first.move(given, [])
        (item,) = store.tables[TABLE].items
        store.tables[TABLE].items[item] = b'{"row":{"S":"x"},"spans":{"S":"[1]"}}'
        with pytest.raises(Corrupt, match="is damaged"):
            await Positions(store, TABLE, "r").at(batch(CHANGES, 1, 6))

    asyncio.run(story())
