"""DescribeStream gives no answer while a shard ends."""

import asyncio

import pytest

from pipeline.coordination.leases import SHARD_END
from pipeline.model.errors import RetryLater
from pipeline.model.shard import Shard
from tests.system.world import LEASE_SECONDS, World, item


@pytest.mark.fault("D4")
def test_a_listing_that_does_not_come_stops_no_capture() -> None:
    """A shard that ends meanwhile is marked as read, the others' captures go on, and its child follows once listed."""

    async def story() -> None:
        world = World()
        table = world.tables[0]
        (first,) = table._streams[table.epoch]
        table.split(first)
        host = world.capture()
        await world.run(8)
        capture = host.captures[0]
        rolled, other = sorted(capture.captures)
        working = capture.captures[other]
        calls = vars(capture._stream)

        async def throttled(parent: str | None = None) -> tuple[Shard, ...]:
            raise RetryLater("DescribeStream is throttled")

        calls["shards"] = throttled
        table.roll(rolled)
        for _ in range(10):
            await world.run(LEASE_SECONDS / 2)
            assert capture.captures[other] is working
            assert "throttled" in capture.problem
        assert world.store.rows[capture._leases.key(rolled)].fields["checkpoint"] == SHARD_END
        assert set(capture.captures) == {other}
        del calls["shards"]
        await world.run(5)
        assert len(capture.captures) == 2
        for key in range(20):
            table.put(item(key, 0))
        await world.run(5)
        assert sum(each.report.changes for each in capture.captures.values()) == len(world.expected()) == 20
        await world.end()

    asyncio.run(story())
