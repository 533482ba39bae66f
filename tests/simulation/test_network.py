"""The simulated network stands between hosts and services: what is on its way belongs to neither."""

import asyncio

from tests.simulation.loop import HOST, Host, SimLoop
from tests.simulation.network import Network


class Service:
    """Takes a note of who seems to be calling."""

    def __init__(self) -> None:
        self.callers: list[Host | None] = []

    async def note(self) -> None:
        """Note it."""
        self.callers.append(HOST.get())


def test_a_request_under_way_outlives_its_host() -> None:
    """A host is killed just after it has sent something: that arrives, and no host's clock counts there."""
    loop, service, host = SimLoop(1), Service(), Host("worker-1", skew_ms=600_000)
    network = Network(loop)
    network.heal()

    async def life() -> None:
        loop.spawn(host, network.call(service.note))
        await asyncio.sleep(0.001)
        loop.kill(host)
        await asyncio.sleep(30)

    loop.run_until_complete(life())
    assert service.callers == [None]
