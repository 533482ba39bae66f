"""The Kinesis stream is changed, or is away for a while: nothing is passed by, and all go on by themselves."""

import asyncio

import pytest

from pipeline.model.errors import Misconfigured, PipelineError, RetryLater
from pipeline.model.state import Flow
from tests.system.world import World, item

ITEMS = 20
AWAY_SECONDS = 90.0
BACK_SECONDS = 60.0
"""What a person has to mend is looked at again every 30 s."""


@pytest.mark.fault("K8")
@pytest.mark.parametrize(
    ("error", "flow"),
    [
        (RetryLater("the stream is being changed"), Flow.RETRYING),
        (Misconfigured("there is no such stream", hint="create it"), Flow.HALTED),
    ],
)
def test_a_stream_that_is_away_is_waited_for(error: PipelineError, flow: Flow) -> None:
    """Capture and delivery say why they wait; once the stream is back all arrives, once and in order."""

    async def story() -> None:
        world = World()
        ledger, table = world.ledger("ledger"), world.tables[0]
        hosts = [world.capture(), world.worker({"ledger": world.sink("ledger")})]
        for number in range(ITEMS):
            table.put(item(number, 0))
        await world.run(5)
        assert len(ledger.by_place) == ITEMS
        world.log.faults.decide = lambda _call, when: error if when == "before" else None
        for number in range(ITEMS):
            table.put(item(number, 1))
        await world.run(AWAY_SECONDS)
        (capture,) = hosts[0].captures[0].captures.values()
        assert capture.report.flow is flow
        assert error.reason in capture.report.reason
        assert hosts[1].delivery is not None
        assert error.reason in hosts[1].delivery.problem, "its listing fails too"
        assert len(ledger.by_place) == ITEMS
        world.log.faults.decide = None
        await world.run(BACK_SECONDS)
        assert ledger.by_key == world.expected()
        await world.end()

    asyncio.run(story())
