"""What others got wrong between the stream and the destination, and in what they copied."""

import asyncio
import inspect
import re

import orjson
import pytest

from pipeline.plugin import Batch
from pipeline.testing.changes import batch, history, put
from pipeline.testing.context import TABLES, Stores
from pipeline.verification.compare import compare
from tests.peers import test_capture, test_workers
from tests.peers.test_capture import arrived, write
from tests.system.world import World
from topologies import replica

REGION = "eu-west-1"


def replica_of(stores: Stores, mode: replica.Mode) -> replica.Replica:
    """Return a replica's sink."""
    return replica.Replica(replica.Settings(REGION, mode=mode), stores.context())


@pytest.mark.fault("R1")
def test_peer_10_what_a_batch_left_unprocessed_is_written() -> None:
    """Others ignore UnprocessedItems (MBX diff.js, risingwave#25985); ours writes them before write returns."""

    async def story() -> None:
        stores, changes = Stores(), history([f"item-{n}" for n in range(60)])
        stores.leave_unprocessed = 7
        await replica_of(stores, "economy").write(batch(changes, 1, 60))
        assert len(stores.items(REGION).images) == 60

    asyncio.run(story())


def test_peer_11_one_item_is_on_one_way_at_a_time() -> None:
    """Others have many batches under way and reorder an item (flink-connector-aws#1); ours has one to a lane."""

    async def story() -> None:
        world = World()
        world.log.refuses = lambda _: "Throttled" if world.chance.fraction() < 0.3 else None
        world.packing = world.packing.__class__(world.packing.form, 2, 500, "us-east-1")
        under_way = [0]

        async def slow(_: Batch) -> None:
            under_way[0] += 1
            assert under_way[0] == 1, "two batches of a shard at a time"
            await world.clock.sleep(world.chance.fraction())
            under_way[0] -= 1

        write(world, *range(12))
        world.capture()
        world.worker({"a": world.sink("a", slow)}, changes=5)
        await arrived(world, 60)

    asyncio.run(story())


@pytest.mark.fault("X1")
def test_peer_12_a_handler_that_raises_is_given_the_batch_again() -> None:
    """Others log the exception and go on with the next batch (KCL#10); ours offers the same batch until it is taken."""

    async def story() -> None:
        world, left = World(), [2]

        def raising(_: Batch) -> None:
            if left[0]:
                left[0] -= 1
                raise ValueError("a defect")

        world.capture()
        worker = world.worker({"a": world.sink("a", raising)}, changes=5)
        write(world, 1, 2, 3)
        await world.run(10)
        assert worker.delivery is not None
        (delivery,) = worker.delivery.deliveries.values()
        assert (delivery.followers["a"].slot.saved.position, len(world.ledger("a").by_place)) == (0, 0)
        await arrived(world, 80)

    asyncio.run(story())


def test_peer_13_no_timer_moves_a_checkpoint_past_what_is_not_durable() -> None:
    """Others checkpoint by a timer, ahead of the acknowledgement (pulsar#24501); ours follows the sink."""

    async def story() -> None:
        world, hung = World(), [1]

        async def hang(_: Batch) -> None:
            if hung[0]:
                hung[0] = 0
                await world.clock.sleep(30)

        world.capture()
        worker = world.worker({"a": world.sink("a", hang)}, changes=5)
        write(world, 1, 2, 3)
        await world.run(2)
        assert worker.delivery is not None
        (delivery,) = worker.delivery.deliveries.values()
        for _ in range(20):
            await world.run(1)
            assert delivery.followers["a"].slot.saved.position == 0
        await arrived(world, 30)

    asyncio.run(story())


def test_peer_14_the_stream_waits_for_no_copy_of_the_table() -> None:
    """Others read the stream after a copy, too late when that takes a day (data-prepper#7150); ours from the start."""

    async def story() -> None:
        world = World()
        world.tables[0].disable_stream()
        write(world, 0, keys=1_000)
        world.tables[0].enable_stream()
        world.capture()
        world.worker({"a": world.sink("a")})
        await world.run(2)
        write(world, 1)
        await arrived(world, 4)
        assert len(world.ledger("a").by_place) == 6

    asyncio.run(story())


@pytest.mark.fault("D5")
def test_peer_18_more_topologies_are_no_more_readers() -> None:
    """Others have a reader for each consumer, and the third is throttled (teleport#64413); ours reads once for all."""

    async def reads(names: str) -> tuple[int, int]:
        world = World()
        host = world.capture()
        world.worker({name: world.sink(name) for name in names})
        for version in range(5):
            write(world, version)
            await world.run(2)
        for name in names:
            assert world.ledger(name).by_key == world.expected()
        await world.end()
        return world.log.faults.calls["read"], test_capture.stream_of(host).faults.calls["read"]

    one, many = asyncio.run(reads("a")), asyncio.run(reads("abcde"))
    assert many[1] == one[1], "the table's stream has one reader"
    assert many[0] <= one[0] + 1, "and so has each Kinesis shard"


@pytest.mark.parametrize("mode", replica.MODES)
def test_peer_19_what_global_tables_write_for_themselves_is_not_copied(mode: replica.Mode) -> None:
    """Others copy aws:rep:* attributes into old global tables (dynamodb-table-sync#5); ours leaves them out."""

    async def story() -> None:
        marks: dict[str, object] = {
            "aws:rep:deleting": {"BOOL": False},
            "aws:rep:updateregion": {"S": "us-east-1"},
            "aws:rep:updatetime": {"N": "1700000000.000001"},
        }
        stores = Stores({**TABLES, "fanout-positions": ("row",)})
        change = put("a", 1, {**marks, "text": {"S": '"aws:rep:text"'}, "n": {"N": "1.50"}})
        await replica_of(stores, mode).write(batch([change], 1, 1))
        (image,) = stores.items(REGION).images.values()
        written = orjson.loads(image)
        assert not [name for name in written if name.startswith("aws:rep:")]
        assert (written["text"], written["n"]) == ({"S": '"aws:rep:text"'}, {"N": "1.50"})
        source = stores.items("us-east-1")
        assert change.after is not None
        source.tables["orders"].put(change.after)
        ours = stores.items(REGION).scan("orders")
        found = await compare(source.scan("orders"), ours, ["id"], ignore=[replica.VERSION], gone=replica.DELETED)
        assert found.same

    asyncio.run(story())


def test_every_number_has_a_test() -> None:
    """The 19 bugs of the list each have a test that bears its number."""
    names = [name for module in (test_capture, test_workers, inspect.getmodule(replica_of)) for name in dir(module)]
    numbers = {int(found[1]) for name in names if (found := re.match(r"test_peer_(\d\d)_", name))}
    assert numbers == set(range(1, 20))
