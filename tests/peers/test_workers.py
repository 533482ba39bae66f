"""What others got wrong about leases, restarts and shards that are not found."""

import asyncio

import pytest

from tests.peers.test_capture import arrived, stream_of, write
from tests.system.world import World


def test_peer_15_a_blocked_worker_does_not_work_against_itself() -> None:
    """Others take their own expired lease a second time (bento#1012); ours has one processor on a shard."""

    async def story() -> None:
        world = World()
        until = [0.0]

        async def hang() -> None:
            await world.clock.sleep(max(0.0, until[0] - world.clock.monotonic()))

        host = world.capture()
        world.worker({"a": world.sink("a")})
        world.store.faults.pause = hang
        for version in range(4):
            write(world, version)
            until[0] = world.clock.monotonic() + (5 if version % 2 else 0)
            for _ in range(30):
                await world.run(0.2)
                names = [task.get_name() for task in asyncio.all_tasks() if "shardId" in task.get_name()]
                assert len(names) == len(set(names)), names
        assert len(host.captures[0].captures) == 1
        await arrived(world, 20)

    asyncio.run(story())


@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.6, 0.8, 1.0, 1.4])
def test_peer_16_a_restart_at_a_split_keeps_the_lineage(seconds: float) -> None:
    """Others lose which shard follows which when they restart at a split (flink#193, #198); ours reads it anew."""

    async def story() -> None:
        world = World()
        host = world.capture()
        worker = world.worker({"a": world.sink("a")})
        stream_of(host).page_changes_max = 2
        write(world, *range(10))
        world.tables[0].split()
        world.log.split("shardId-000000000000")
        write(world, *range(10, 20))
        await world.run(seconds)
        await world.kill(host)
        await world.kill(worker)
        write(world, 20)
        stream_of(world.capture()).page_changes_max = 2
        world.worker({"a": world.sink("a")})
        await arrived(world, 30)

    asyncio.run(story())


def test_peer_17_a_child_that_is_not_found_is_looked_for_and_told() -> None:
    """Others sit idle and call themselves healthy (adapter#20, camel#24861); ours says it has nothing, and looks on."""

    async def story() -> None:
        world = World()
        host = world.capture()
        world.worker({"a": world.sink("a")})
        write(world, 1)
        await world.run(2)
        world.tables[0].children_unlisted = 25
        world.tables[0].roll()
        write(world, 2)
        await world.run(12)
        assert "all of it is captured" in host.captures[0].problem
        await arrived(world, 25)
        assert not host.captures[0].problem

    asyncio.run(story())
