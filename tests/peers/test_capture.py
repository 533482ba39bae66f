"""What others got wrong when they read a table's stream."""

import asyncio
from collections.abc import Sequence

import orjson
import pytest

from pipeline.aws.session import Aws
from pipeline.aws.streams import DynamoDBTableStream
from pipeline.coordination.leases import SHARD_END
from pipeline.model.errors import RetryLater
from pipeline.testing import table as fake_table
from pipeline.testing.fakes import FakeTableStream
from pipeline.wiring.core import capture_of
from tests.system.world import Host, World, item
from tests.unit.aws.canned import Canned

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000"
SHARD = "shardId-00000001414576573621-"


def write(world: World, *versions: int, keys: int = 6, table: int = 0) -> None:
    """Write versions of a few items."""
    for version in versions:
        for key in range(keys):
            world.tables[table].put(item(key, version))


def stream_of(host: Host, table: int = 0) -> FakeTableStream:
    """Return the stream a host reads a table through."""
    stream = host.captures[table]._stream
    assert isinstance(stream, FakeTableStream)
    return stream


def finished(world: World, shard: str) -> bool:
    """Return True when the lease of a table's shard says that it was read to its end."""
    rows = [row for row in world.store.rows.values() if row.fields.get("shardId") == shard]
    return any(row.fields.get("checkpoint") == SHARD_END for row in rows)


async def arrived(world: World, seconds: float = 10) -> None:
    """Expect every change of every item at the sink, in order."""
    await world.run(seconds)
    assert world.ledger("a").by_key == world.expected()
    await world.end()


@pytest.mark.fault("D8")
def test_peer_01_the_last_page_of_a_closed_shard_is_not_dropped() -> None:
    """Others return at NextShardIterator = null before that page's records (teleport#53795); ours takes them."""

    async def story() -> None:
        world = World()
        write(world, 1, 2)
        world.tables[0].roll()
        world.capture()
        await world.run(3)
        world.log.split("shardId-000000000000")
        world.worker({"a": world.sink("a")})
        await arrived(world)

    asyncio.run(story())


def test_peer_02_every_page_of_the_shard_listing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others read the first 100 shards of DescribeStream (redpanda#4489, camel#24861); ours asks to the last page."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "x")

    def page(first: int, last: str) -> tuple[int, object]:
        shards = [{"ShardId": f"{SHARD}{n:06d}"} for n in range(first, first + 100)]
        more = {"LastEvaluatedShardId": last} if last else {}
        return 200, {"StreamDescription": {"Shards": shards, **more}}

    with Aws() as aws:
        caller = aws.streams("us-east-1")
        canned = Canned(caller.client, page(0, f"{SHARD}000099"), page(100, f"{SHARD}000199"), page(200, ""))
        stream = DynamoDBTableStream(caller, table="t", arn=ARN, epoch="e", hash_attribute="pk")
        assert len(asyncio.run(stream.shards())) == 300
    starts = [orjson.loads(body).get("ExclusiveStartShardId") for body in canned.bodies]
    assert starts == [None, f"{SHARD}000099", f"{SHARD}000199"]


@pytest.mark.fault("D1")
def test_peer_03_an_iterator_that_is_too_old_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others ask with an iterator older than 15 minutes for ever (redpanda#4545); ours takes one from where it was."""
    monkeypatch.setattr(fake_table, "ITERATOR_SECONDS", 2.0)

    async def story() -> None:
        world = World()
        write(world, 1)
        host = world.capture()
        world.worker({"a": world.sink("a")})
        await world.run(2)
        blocked = [1]

        async def hang() -> None:
            if blocked[0]:
                blocked[0] = 0
                await world.clock.sleep(10)

        stream_of(host).faults.pause = hang
        write(world, 2)
        await world.run(20)
        write(world, 3)
        await arrived(world)
        assert stream_of(host).faults.calls["iterator"] in {2, 3}

    asyncio.run(story())


def test_peer_04_a_child_shard_is_read_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others apply LATEST to shards that appear later (redpanda#4687); ours reads each from its first record."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "x")

    async def story() -> None:
        world = World()
        world.capture()
        world.worker({"a": world.sink("a")})
        await world.run(2)
        world.tables[0].children_unlisted = 4
        write(world, 1)
        world.tables[0].roll()
        write(world, 2, 3)
        await arrived(world, 15)

    asyncio.run(story())
    with Aws() as aws:
        caller = aws.streams("us-east-1")
        canned = Canned(caller.client, (200, {"ShardIterator": "i"}))
        stream = DynamoDBTableStream(caller, table="t", arn=ARN, epoch="e", hash_attribute="pk")
        asyncio.run(stream.iterator(f"{SHARD}000001", None))
    assert orjson.loads(canned.bodies[0])["ShardIteratorType"] == "TRIM_HORIZON"


@pytest.mark.fault("D2")
def test_peer_05_a_shard_that_is_gone_is_said_once_and_not_asked_for_ever() -> None:
    """Others retry a deleted shard without end (redpanda#4722, data-prepper#4401); ours says so and goes on."""

    async def story() -> None:
        world = World(tables=2)
        worker = world.worker({"a": world.sink("a")})
        first = world.capture()
        write(world, 1)
        await world.run(3)
        await world.kill(first)
        write(world, 2)
        world.tables[0].roll()
        world.tables[0].trim(10**40)
        again = world.capture()
        await world.run(10)
        write(world, 1, 2, table=1)
        asked = dict(stream_of(again).faults.calls)
        await world.run(20)
        assert "gone before it was read" in again.captures[0].problem
        late = stream_of(again).faults.calls
        assert late.get("read", 0) - asked.get("read", 0) == 0
        assert late["shards"] - asked["shards"] <= 25, "one look a round"
        there = {change.table for change in world.ledger("a").by_place.values() if change.table == "t1"}
        assert there == {"t1"}
        assert worker.delivery is not None
        await world.end()

    asyncio.run(story())


@pytest.mark.parametrize("seconds", [0.3, 0.5, 0.8, 1.2])
def test_peer_06_a_closed_shard_is_done_only_when_all_of_it_is(seconds: float) -> None:
    """Others mark a closed shard as done when half of it was read (estuary/connectors#3418); ours at its end."""

    async def story() -> None:
        world = World()
        write(world, *range(20))
        (parent,) = world.tables[0]._streams[world.tables[0].epoch]
        world.tables[0].roll()
        host = world.capture()
        stream_of(host).page_changes_max = 3
        await world.run(seconds)
        assert not finished(world, parent)
        await world.kill(host)
        world.capture()
        world.worker({"a": world.sink("a")})
        await arrived(world)
        assert finished(world, parent)

    asyncio.run(story())


class Stubborn(FakeTableStream):
    """A stream of which some shards cannot be read."""

    closed_to_us: Sequence[str] = ()

    async def iterator(self, shard: str, after: int | None) -> str:
        """Refuse some."""
        if shard in self.closed_to_us:
            raise RetryLater("not now")
        return await super().iterator(shard, after)


def test_peer_07_one_shard_that_cannot_be_read_holds_up_no_other() -> None:
    """Others begin only when every shard answers (redpanda#4737); ours reads what can be read, and the rest later."""

    async def story() -> None:
        world = World()
        children = world.tables[0].split()
        write(world, 1, 2, keys=12)
        stream = Stubborn(world.tables[0], world.tables[0].epoch, world.clock)
        stream.closed_to_us = children[:1]
        world._host([capture_of(world._around(), stream, world.packing)], None, {})
        world.worker({"a": world.sink("a")})
        await world.run(10)
        came = {change.shard for change in world.ledger("a").by_place.values()}
        assert came == {children[1]}
        stream.closed_to_us = ()
        await arrived(world, 40)

    asyncio.run(story())


@pytest.mark.fault("D4")
def test_peer_08_a_child_waits_for_its_parent() -> None:
    """Others read parent and child side by side (artie-labs/reader#422); ours keeps an item's order over the roll."""

    async def story() -> None:
        world = World()
        for round_ in range(4):
            write(world, *range(3 * round_, 3 * round_ + 3))
            (world.tables[0].split if round_ % 2 else world.tables[0].roll)()
        host = world.capture()
        stream_of(host).page_changes_max = 2
        world.worker({"a": world.sink("a")})
        await arrived(world, 30)

    asyncio.run(story())


@pytest.mark.fault("D3")
def test_peer_09_a_parent_that_was_trimmed_is_not_waited_for() -> None:
    """Others wait for ever for a parent that is gone (spanner-migration-tool#347); ours begins after a few listings."""

    async def story() -> None:
        world = World()
        write(world, 1)
        world.tables[0].roll()
        world.tables[0].trim(10**40)
        write(world, 2)
        world.capture()
        world.worker({"a": world.sink("a")})
        await arrived(world, 10)
        assert len(world.ledger("a").by_place) == 6

    asyncio.run(story())
