"""A change at which the process dies, at every start: it is found across starts, and ends in quarantine or halts."""

import asyncio
import logging
from collections.abc import Mapping

import pytest

from pipeline.delivery.witness import OFFERS_MAX, STARTS_MAX
from pipeline.model.progress import Why
from pipeline.model.state import Flow
from pipeline.plugin import Batch, Sink
from tests.system.test_isolation import fill
from tests.system.test_quarantine import ask, saved
from tests.system.world import Host, World

DEATHS_MAX = STARTS_MAX + 1 + OFFERS_MAX
"""Unmarked starts and one with the batch marked, one with a part of it, and those with the change alone."""


class Killer:
    """A sink's client that takes the process down, as `os._exit` or a crash in C does, at changes of some keys."""

    def __init__(self, world: World, *keys: str, changes: int = 50) -> None:
        self.keys = {f'{{"pk":{{"S":"{key}"}}}}'.encode() for key in keys}
        self.deaths = 0
        self._world = world
        self._changes = changes
        self._struck = False

    def __call__(self, batch: Batch) -> object:
        """Never return when the batch has such a change."""
        return self._die() if any(change.keys in self.keys for change in batch.changes) else None

    async def _die(self) -> None:
        self._struck = True
        await asyncio.Event().wait()

    def worker(self) -> Host:
        """Start a worker: topology `a` may die, `b` is well."""
        return self.worker_of({"a": self._world.sink("a", self), "b": self._world.sink("b")})

    def worker_of(self, sinks: Mapping[str, Sink]) -> Host:
        """Start a worker of these topologies."""
        return self._world.worker(sinks, changes=self._changes)

    async def run(self, host: Host, seconds: float) -> Host:
        """Let time pass; start the worker again whenever it has died. Return the one that lives."""
        for _ in range(round(seconds / 0.1)):
            await self._world.run(0.1)
            if self._struck:
                self._struck = False
                self.deaths += 1
                await self._world.kill(host)
                host = self.worker()
        return host


@pytest.mark.fault("P6")
@pytest.mark.parametrize("changes", [50, 1], ids=["in a batch", "alone"])
def test_a_change_that_kills_every_owner_ends_in_quarantine(changes: int) -> None:
    """After a few deaths the one change is parked as fatal, with no other beside it; everything else arrives once."""

    async def story() -> None:
        world = World()
        world.with_quarantine()
        world.capture()
        killer = Killer(world, "k3", changes=changes)
        host = killer.worker()
        await fill(world, 2)
        await killer.run(host, 120)
        bad = next(iter(killer.keys))
        assert 2 <= killer.deaths <= DEATHS_MAX
        ((_, key),) = saved(world).parked.items()
        expected = world.expected()
        assert (key.why, key.count, key.last[1]) == (Why.FATAL, 2, expected["t0", bad][-1])
        assert world.ledger("b").by_key == expected
        assert world.ledger("a").by_key == {k: v for k, v in expected.items() if k[1] != bad}
        await world.end()

    asyncio.run(story())


class KillerBesideHanging(Killer):
    """Topology `b` is the one that dies; in `a` and `c`, before and behind it, every call hangs."""

    def worker(self) -> Host:
        """Start a worker of the three."""
        sink = self._world.sink
        return self.worker_of({"a": sink("a", self._hang), "b": sink("b", self), "c": sink("c", self._hang)})

    @staticmethod
    async def _hang(_: Batch) -> None:
        await asyncio.Event().wait()


@pytest.mark.fault("P6", "X2")
def test_what_hangs_is_not_taken_for_what_kills() -> None:
    """The guilty change is found after as few deaths as without, and nothing of those that hang beside it is parked."""

    async def story() -> None:
        world = World()
        world.with_quarantine()
        world.capture()
        killer = KillerBesideHanging(world, "k3")
        host = killer.worker()
        await fill(world, 2)
        await killer.run(host, 400)
        assert killer.deaths <= DEATHS_MAX
        assert [key.why for key in saved(world, "b").parked.values()] == [Why.FATAL]
        assert not saved(world, "a").parked
        assert not saved(world, "c").parked
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("P6")
def test_without_a_quarantine_it_halts_by_name_and_lives(caplog: pytest.LogCaptureFixture) -> None:
    """The process stays up, the topology is halted at the change's position, and the other topology goes on."""

    async def story() -> None:
        world = World()
        world.capture()
        killer = Killer(world, "k3")
        host = killer.worker()
        await fill(world, 2)
        host = await killer.run(host, 120)
        assert killer.deaths <= DEATHS_MAX
        delivery = host.only
        report = delivery.reports["a"]
        assert report.flow is Flow.HALTED
        assert f"the process ended {OFFERS_MAX} times while this change of t0 was written" in report.reason
        assert world.ledger("b").by_key == world.expected()
        before = killer.deaths
        await killer.run(host, 60)
        assert killer.deaths == before, "it is not offered again"

        killer.keys.clear()
        await host.drain()
        world.hosts.remove(host)
        await killer.run(killer.worker(), 20)
        assert world.ledger("a").by_key == world.expected(), "mended, stopped in order and started: it is offered anew"
        await world.end()

    with caplog.at_level(logging.ERROR):
        asyncio.run(story())
    assert "position" in caplog.text
    assert '"pk"' not in caplog.text, "named, without its content"


@pytest.mark.fault("P6", "O1")
def test_a_redrive_of_what_kills_is_refused_after_a_few_deaths() -> None:
    """Put through while the plugin is not mended, it kills a few times more, stays parked, and the rest flows."""

    async def story() -> None:
        world = World()
        world.with_quarantine()
        world.capture()
        killer = Killer(world, "k3")
        host = killer.worker()
        await fill(world, 1)
        host = await killer.run(host, 120)
        asking, before = await ask(world), killer.deaths
        host = await killer.run(host, 120)
        await asking.step()
        assert killer.deaths - before == OFFERS_MAX
        ((_, why),) = asking.refused.items()
        assert "the process ended" in why
        await fill(world, 2)
        await killer.run(host, 10)
        assert len(saved(world).parked) == 1
        killer.keys.clear()
        asking = await ask(world)
        await killer.run(host, 20)
        await asking.step()
        assert not asking.refused
        assert world.ledger("a").by_key == world.expected()
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("P6", "P1")
def test_kills_from_outside_blame_no_change() -> None:
    """A worker that is killed a dozen times while it writes anything parks nothing, once it is left alone."""

    async def story() -> None:
        world = World(7)
        world.with_quarantine()
        world.capture()

        async def slow() -> None:
            await world.clock.sleep(1.0)

        for n in range(12):
            await fill(world, 1)
            worker = world.worker({"a": world.sink("a", lambda _: slow())})
            await world.run(3.6 + n % 3)
            await world.kill(worker)
        world.worker({"a": world.sink("a", lambda _: slow())})
        await world.run(60)
        assert not saved(world).parked
        assert world.ledger("a").by_key == world.expected()
        await world.end()

    asyncio.run(story())
