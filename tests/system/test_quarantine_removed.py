"""The section [quarantine] is taken out of the configuration while keys are parked: nothing overtakes what waits."""

import asyncio

from pipeline.model.state import Flow, Report
from tests.system.test_isolation import fill
from tests.system.test_quarantine import SHARD, Poison, ask, in_order, saved
from tests.system.world import Host, World


def begin(poison: Poison) -> tuple[World, Host]:
    """Return a world with a quarantine, and its worker."""
    world = World()
    world.with_quarantine()
    world.capture()
    return world, world.worker({"a": world.sink("a", poison), "b": world.sink("b")})


async def replaced(world: World, worker: Host, *, quarantine: bool) -> Host:
    """Stop a worker in order and start another, with the section or without."""
    await worker.drain()
    world.hosts.remove(worker)
    world.quarantine = None
    if quarantine:
        world.with_quarantine()
    worker = world.worker({"a": world.sink("a"), "b": world.sink("b")})
    await world.run(8)
    return worker


def report_of(worker: Host) -> Report:
    """Return how the topology is on the shard of the parked key."""
    assert worker.delivery is not None
    cursors = [each.followers["a"].cursor for each in worker.delivery.deliveries.values()]
    (report,) = [cursor.report for cursor in cursors if cursor.parked and not cursor.ended]
    return report


async def put_back(world: World, worker: Host) -> None:
    """Have the section back, and what is parked put through: all has arrived, in order."""
    await replaced(world, worker, quarantine=True)
    await ask(world)
    await world.run(8)
    assert in_order(world)
    await world.end()


def test_without_the_section_a_topology_with_parked_keys_halts_by_name() -> None:
    """It says so at once, and writes nothing; the others flow; with the section back all is put through in order."""

    async def story() -> None:
        world, worker = begin(Poison("k3"))
        await fill(world, 2)
        await world.run(3)
        worker = await replaced(world, worker, quarantine=False)
        report = report_of(worker)
        assert report.flow is Flow.HALTED
        assert "1 parked key" in report.reason
        assert "[quarantine]" in report.reason
        assert "fanout quarantine redrive --all" in report.hint
        await fill(world, 2)
        await world.run(8)
        assert report.flow is Flow.HALTED
        assert saved(world).position == 40
        assert world.ledger("b").by_key == world.expected()
        await put_back(world, worker)

    asyncio.run(story())


def test_keys_that_a_shard_inherits_halt_it_too() -> None:
    """The child shard that goes on with a parked key halts without the section, and only that one."""

    async def story() -> None:
        world, worker = begin(Poison("k3"))
        await fill(world, 2)
        await world.run(3)
        world.log.split(SHARD)
        worker = await replaced(world, worker, quarantine=False)
        await fill(world, 2)
        await world.run(60)
        assert saved(world).ended
        report = report_of(worker)
        assert (report.flow, "1 parked key" in report.reason) == (Flow.HALTED, True)
        assert world.ledger("b").by_key == world.expected()
        await put_back(world, worker)

    asyncio.run(story())
