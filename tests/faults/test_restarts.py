"""Everybody dies at once, and clocks that jump: nothing depends on who is left or on what time it is said to be."""

import pytest

from tests.faults.test_state_table import held, told, write
from tests.system.world import World


@pytest.mark.fault("P5")
def test_all_die_at_once_and_start_on_a_backlog() -> None:
    """All die in one moment; those that start on what was written meanwhile miss and reorder nothing."""

    async def story(world: World) -> None:
        for _ in range(2):
            world.capture()
            world.worker({"a": world.sink("a")})
        for n in range(3):
            write(world, n)
            await world.run(1)
        await world.end()
        for n in range(3, 30):
            write(world, n)
        for _ in range(2):
            world.capture()
            world.worker({"a": world.sink("a")})
        await world.run(60)
        assert world.ledger("a").by_key == world.expected()

    told(story)


@pytest.mark.fault("C2")
@pytest.mark.parametrize("hours", [-30, 30])
def test_a_wall_clock_that_jumps_changes_nothing(hours: int) -> None:
    """The time of day goes on, or back, by more than a day: no lease is lost, and every change arrives once."""

    async def story(world: World) -> None:
        world.capture()
        worker = world.worker({"a": world.sink("a")})
        write(world, 0)
        await world.run(5)
        assert worker.delivery is not None
        before = dict(worker.delivery.deliveries)
        world.clock._wall_ms += hours * 3_600_000
        write(world, 1)
        await world.run(10)
        assert (held(worker), dict(worker.delivery.deliveries)) == (1, before)
        assert world.ledger("a").by_key == world.expected()

    told(story)
