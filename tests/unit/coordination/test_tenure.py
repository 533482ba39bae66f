"""A processor works for one tenure of its lease, and no longer."""

import asyncio

from pipeline.coordination.crew import Crew
from pipeline.coordination.leases import Leases
from pipeline.model.state import Report
from pipeline.testing.clock import ManualClock, SeededChance
from pipeline.testing.fakes import FakeStateStore


class Idle:
    """A processor that lives and does nothing."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.reports = {"idle": Report()}

    @property
    def moved_at(self) -> float:
        """Return now: it is always alive."""
        return self._clock.monotonic()

    async def run(self) -> None:
        """Work without end."""
        await asyncio.Event().wait()


def test_a_lease_lost_and_taken_back_in_one_step_has_a_new_processor() -> None:
    """Between two of our steps somebody had the shard and gave it back: we begin anew, from what was saved last."""

    async def story() -> None:
        clock, store = ManualClock(), FakeStateStore()
        leases = Leases(store, clock, owner="a", group="g", lease_seconds=10)
        crew = Crew(leases, clock, SeededChance(1), 10, lambda _: Idle(clock))
        await crew.step(["s"], lambda *_: True)
        first = crew.processors["s"]
        await crew.step(["s"], lambda *_: True)
        assert crew.processors["s"] is first, "a renewal is no new tenure"
        row = store.rows["g:s"]
        given_back = {name: value for name, value in row.fields.items() if name != "leaseOwner"}
        store.rows["g:s"] = row._replace(version=row.version + 5, fields=given_back)
        await crew.step(["s"], lambda *_: True)
        assert crew.processors["s"] is not first
        await crew.release_all()

    asyncio.run(story())
