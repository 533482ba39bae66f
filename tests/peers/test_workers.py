"""What others got wrong about leases, restarts and shards that are not found."""

import asyncio

import pytest

from tests.peers.test_capture import arrived, write
from tests.system.world import World


def test_peer_15_a_blocked_worker_does_not_work_against_itself() -> None:
    """Others take their own expired lease a second time (bento#1012); ours has one processor on a shard."""

    async def story() -> None:
        world = World()
        blocked = [0]

        async def hang() -> None:
            if blocked[0]:
                blocked[0] -= 1
                await world.clock.sleep(4)

        host = world.capture()
        world.worker({"a": world.sink("a")})
        world.store.faults.pause = hang
        for version in range(8):
            write(world, version)
            blocked[0] = version % 2
            await world.run(3)
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
        write(world, 1, 2)
        await world.run(1)
        world.tables[0].split()
        world.log.split("shardId-000000000000")
        write(world, 3, 4)
        await world.run(seconds)
        await world.kill(host)
        await world.kill(worker)
        write(world, 5)
        world.capture()
        world.worker({"a": world.sink("a")})
        await arrived(world, 15)

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
