"""What a comparison of a table with its replica says while it waits, and when it waits in vain."""

import asyncio

import pytest

from pipeline.verification.judge import Finding, Kind
from tests.verification_world import ReplicaWorld

LONG_SECONDS = 70.0


async def compare(world: ReplicaWorld) -> tuple[list[Finding], float]:
    """Compare all of the table; return what was found, and how long it took."""

    async def all_of_it() -> list[Finding]:
        return [each async for each in world.verification().parts(0, 0, 1)]

    began = world.clock.monotonic()
    task = asyncio.ensure_future(all_of_it())
    while not task.done() and world.clock.monotonic() - began < 400:
        await world.run(1)
    return task.result(), world.clock.monotonic() - began


def test_a_halted_replica_is_named_and_not_waited_for_long(caplog: pytest.LogCaptureFixture) -> None:
    """Verify says while it waits that the replica is halted, ends within about a minute, and reports the reason."""

    async def story() -> None:
        world = ReplicaWorld(1, "exact")
        world.start()
        await world.run(5)
        world.source.put({"pk": {"S": "refused"}})
        await world.run(10)
        with caplog.at_level("INFO", logger="pipeline.verification"):
            found, seconds = await compare(world)
        await world.end()
        assert [each.kind for each in found] == [Kind.UNDECIDED]
        assert "the topology there: halted (" in found[0].why
        assert "too large" in found[0].why
        assert seconds < LONG_SECONDS
        assert any("waits, for at most" in line and "halted" in line for line in caplog.messages)

    asyncio.run(story())


def test_a_replica_that_nobody_works_on_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """Where no worker runs, verify says so while it waits and in its report."""

    async def story() -> None:
        world = ReplicaWorld(1, "exact")
        world.start()
        await world.run(5)
        await world.hosts[1].drain()
        world.hosts.pop()
        world.source.put({"pk": {"S": "late"}})
        await world.run(10)
        with caplog.at_level("INFO", logger="pipeline.verification"):
            found, _ = await compare(world)
        await world.end()
        assert "the topology there: nobody works on it" in found[0].why
        assert any("nobody works on it" in line for line in caplog.messages)

    asyncio.run(story())
