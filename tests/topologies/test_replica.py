"""The replica: what the contract cannot ask of every sink."""

import asyncio
from collections.abc import Iterable, Sequence

import orjson
import pytest

from pipeline.model.change import Batch
from pipeline.model.errors import Corrupt, Misconfigured, Rejected, RetryLater
from pipeline.ports import ItemWrite
from pipeline.testing.changes import EPOCH, SHARD, STREAM, batch, batches, history, put, remove
from pipeline.testing.context import PIPELINE, SOURCE_REGION, TABLES, Stores
from pipeline.testing.fakes import FakeItemStore, FakeTable
from pipeline.testing.faults import Faults
from pipeline.wire.positions import Positions
from topologies import replica
from topologies.replica import Mode, Replica, Settings

REGION = "eu-west-1"
POSITIONS = Settings(REGION).positions_table
ROW = (POSITIONS, f"r/{PIPELINE}/{SHARD}")


def stores() -> Stores:
    """Return stores with the table of positions."""
    return Stores({**TABLES, POSITIONS: ("row",)})


def tables() -> Iterable[FakeTable]:
    """Return empty tables of the replica's region."""
    return stores().items(REGION).tables.values()


def sink(world: Stores, faults: Faults | None = None, *, mode: Mode = "exact") -> Replica:
    """Return a replica sink called r."""
    return Replica(Settings(REGION, mode=mode), world.context(faults, "r"))


def test_exact_needs_one_transaction_for_98_items() -> None:
    """A batch of 250 items is written in three transactions, each moving the row to its own end."""
    world, faults = stores(), Faults()
    changes = history([f"item-{n}" for n in range(250)])
    asyncio.run(sink(world, faults).write(batch(changes, 1, 250)))
    assert faults.total == 4, "one read of the row, three transactions"
    assert world.items(REGION).positions[ROW] == 250


def test_exact_cuts_transactions_by_bytes() -> None:
    """Large items go into several transactions, each below what DynamoDB takes."""
    world, faults = stores(), Faults()
    changes = [put(f"item-{n}", n, {"t": {"S": "x" * 399_000}}) for n in range(1, 21)]
    asyncio.run(sink(world, faults).write(batch(changes, 1, 20)))
    assert faults.total == 1 + 3


def test_one_item_changed_often_is_written_once() -> None:
    """A thousand changes of one item are one write, in every mode."""
    for mode, calls in zip(replica.MODES, (2, 1, 1), strict=True):
        faults = Faults()
        asyncio.run(sink(stores(), faults, mode=mode).write(batch(history(["a"] * 1000), 1, 1000)))
        assert faults.total == calls


def test_a_range_without_changes_moves_the_row() -> None:
    """When all changes of a range were filtered out, the next batch still follows the row."""
    world, changes = stores(), history(["a"] * 9)
    asyncio.run(sink(world).write(batch(changes, 1, 5, without=range(1, 6))))
    assert world.items(REGION).positions[ROW] == 5
    asyncio.run(sink(world).write(batch(changes, 6, 9)))
    assert world.items(REGION).positions[ROW] == 9


@pytest.mark.fault("E5")
def test_a_row_behind_the_batch_stops_the_shard() -> None:
    """A row below the batch means that positions were lost: nothing is written, and the hint says what to do."""
    world, changes = stores(), history(["a"] * 9)
    with pytest.raises(Corrupt, match="is at 0, the batch starts at 4") as caught:
        asyncio.run(sink(world).write(batch(changes, 4, 9)))
    assert "Put back its rows" in caught.value.hint
    assert world.items(REGION).tables["orders"].items == {}


@pytest.mark.fault("E5")
def test_positions_that_were_never_delivered_stop_the_shard() -> None:
    """A sink that is given positions above a hole stops, though it knows where the row is."""
    target, changes = sink(stores()), history(["a"] * 9)
    asyncio.run(target.write(batch(changes, 1, 3)))
    with pytest.raises(Corrupt, match="is at 3, the batch starts at 5"):
        asyncio.run(target.write(batch(changes, 5, 9)))


def test_a_row_that_refuses_but_has_not_moved_is_tried_later() -> None:
    """A transaction that was refused though the row did not move is a matter for later, not an endless loop."""

    class Busy(FakeItemStore):
        async def transact(self, *_: object, **__: object) -> bool:
            return False

    positions = Positions(Busy(*tables()), POSITIONS, "r")
    with pytest.raises(RetryLater):
        asyncio.run(replica.write_exact(positions, batch(history(["a"]), 1, 1), {"orders": "orders"}))


@pytest.mark.fault("R5")
@pytest.mark.parametrize("mode", replica.MODES)
def test_an_item_that_can_never_be_written_is_named(mode: Mode) -> None:
    """Rejected names the position of the change, and nothing above it is passed by."""
    world = stores()
    changes = [put("a", 1), put("b", 2), put("big", 3, {"t": {"S": "x" * 500_000}}), put("c", 4)]
    with pytest.raises(Rejected) as caught:
        asyncio.run(sink(world, mode=mode).write(batch(changes, 1, 4)))
    assert list(caught.value.positions) == [3]
    assert world.items(REGION).positions.get(ROW, 0) == 0


@pytest.mark.parametrize("mode", replica.MODES)
def test_a_batch_is_written_without_what_was_refused(mode: Mode) -> None:
    """After the refused change was parked, the batch comes again without it, and is written."""
    world = stores()
    target = sink(world, mode=mode)
    changes = [put("a", 1), put("big", 2, {"t": {"S": "x" * 500_000}}), put("c", 3)]
    with pytest.raises(Rejected):
        asyncio.run(target.write(batch(changes, 1, 3)))
    asyncio.run(target.write(batch(changes, 1, 3, without=[2])))
    assert len(world.items(REGION).tables["orders"].items) == 2


@pytest.mark.fault("R3")
def test_guarded_leaves_tombstones_that_expire() -> None:
    """A delete leaves keys, version, a mark, and a time to live of seven days after the change."""
    world = stores()
    change = remove("a", 1)
    asyncio.run(sink(world, mode="guarded").write(batch([change], 1, 1)))
    assert orjson.loads(world.items(REGION).tables["orders"].items[change.keys]) == {
        "id": {"S": "a"},
        "fanout_version": {"S": f"{EPOCH}/{change.sequence:040d}"},
        "fanout_deleted": {"BOOL": True},
        "fanout_expires": {"N": str(1_700_000_000 + 7 * 24 * 3600)},
    }


def test_guarded_refuses_items_that_have_its_attribute() -> None:
    """A guarded replica of a guarded replica would mix two versions: such items are refused, mentions are not."""
    world = stores()
    changes = [put("a", 1, {"fanout_version": {"S": "1"}}), put("b", 2, {"t": {"S": "fanout_version"}})]
    with pytest.raises(Rejected) as caught:
        asyncio.run(sink(world, mode="guarded").write(batch(changes, 1, 2)))
    assert list(caught.value.positions) == [1]
    assert len(world.items(REGION).tables["orders"].items) == 1


def test_guarded_versions_grow_over_streams_of_different_length() -> None:
    """A sequence of more digits, and a newer stream, are newer."""
    older = put("a", 1)._replace(sequence=9 * 10**20)
    assert replica.version_of(older) < replica.version_of(older._replace(sequence=10**21))
    assert replica.version_of(older) < replica.version_of(older._replace(epoch="2027", sequence=1))


class Throttled(FakeItemStore):
    """Accepts some writes of a call and leaves the rest."""

    accepted = 1

    async def write_batch(self, writes: Sequence[ItemWrite]) -> tuple[ItemWrite, ...]:
        """Apply the first few."""
        await super().write_batch(writes[: self.accepted])
        return tuple(writes[self.accepted :])


@pytest.mark.fault("R1")
def test_economy_writes_what_was_left_first() -> None:
    """What a call left unprocessed goes into the next call, until all is written."""
    items = Throttled(*tables())
    changes = history([f"item-{n}" for n in range(60)])
    last = replica.last_changes(batch(changes, 1, 60))
    asyncio.run(replica.write_economy(items, last, {"orders": "orders"}))
    assert len(items.tables["orders"].items) == 60


def test_economy_without_progress_is_tried_later() -> None:
    """A table that accepts nothing is a matter for later."""
    items = Throttled(*tables())
    items.accepted = 0
    with pytest.raises(RetryLater):
        asyncio.run(replica.write_economy(items, [(1, put("a", 1))], {"orders": "orders"}))


def opened(world: Stores, region: str = REGION, table: str = "", mode: Mode = "exact") -> None:
    """Open a sink."""
    asyncio.run(Replica(Settings(region, table, mode), world.context(name="r")).open())


@pytest.mark.fault("O2")
def test_settings_that_cannot_work_are_refused() -> None:
    """Each wrong setting is named before anything is written."""
    with pytest.raises(Misconfigured, match="cannot replicate 2"):
        opened(stores(), table="copy")
    with pytest.raises(Misconfigured, match="its own replica"):
        opened(stores(), region=SOURCE_REGION)
    with pytest.raises(Misconfigured, match=POSITIONS):
        opened(Stores())
    opened(Stores(), mode="guarded")
    opened(stores())


@pytest.mark.fault("R5")
def test_another_key_schema_is_refused() -> None:
    """A replica whose keys are not those of its source is refused."""
    world = stores()
    world.items(REGION).tables["lines"].keys = {"line": "S", "order": "S"}
    with pytest.raises(Misconfigured, match="table lines has keys"):
        opened(world)


def test_two_tables_do_not_mix() -> None:
    """Items with equal keys in two tables go to two replicas."""
    world = Stores({**TABLES, "lines": ("id",), POSITIONS: ("row",)})
    here, there = put("a", 1), put("a", 2)._replace(table="lines")
    asyncio.run(sink(world).write(Batch(STREAM, SHARD, 1, 2, (here, there), (1, 2))))
    images = world.items(REGION).images
    assert (images["orders", here.keys], images["lines", there.keys]) == (here.after, there.after)


def test_two_topologies_keep_rows_of_their_own() -> None:
    """Two replicas of one stream with one table of positions do not see each other's row."""
    world, changes = stores(), history(["a"] * 4)
    for name in ("r", "s"):
        target = Replica(Settings(REGION, positions_table=POSITIONS), world.context(name=name))
        for each in batches(changes, 2):
            asyncio.run(target.write(each))
    assert len(world.items(REGION).positions) == 2
