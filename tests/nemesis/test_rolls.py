"""Shards of the table's stream that roll, and iterators that expire: DynamoDB Local's clock runs a thousandfold."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.local.child import Unavailable
from pipeline.local.dynamodb_local import dynamodb_local
from tests.blackbox.stack import eventually
from tests.blackbox.workload import Workload
from tests.nemesis.campaign import settle
from tests.nemesis.conftest import Scene
from tests.nemesis.servers import racing
from tests.nemesis.verdict import judged, source_shards
from tests.nemesis.watch import Lookout

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(240)]

SPEED = 1000
"""A shard rolls every 14 s instead of every four hours, an iterator lives for 0.9 s instead of 15 minutes."""
CHANGES, PER_SECOND = 1_000, 60.0
SETTLED_SECONDS = 60.0
"""Less than the 86 s a change is kept at this speed."""


@pytest.mark.fault("D1", "D4")
def test_a_stream_that_rolls_is_captured_whole(scene_of: Callable[..., Scene], tmp_path: Path) -> None:
    """While shards end and others begin every change arrives once, in order."""
    try:
        server = dynamodb_local(tmp_path, environment=racing(SPEED))
    except Unavailable as error:
        pytest.skip(str(error))
    with server:
        urls = dict.fromkeys(("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"), server.url)
        stack, proxy, fleet = scene_of(shards=2, captures=1, workers=1, **urls)
        lookout, workload = Lookout(stack), Workload(stack, changes=CHANGES, keys=100, per_second=PER_SECOND)
        fleet.start()
        lookout.start()
        workload.start()
        try:
            eventually("a shard has rolled", 60, lambda: source_shards(stack) > 1, 0.5)
            workload.finish()
            settle(stack, fleet, CHANGES, SETTLED_SECONDS)
        finally:
            workload.stop()
            lookout.stop()
        fleet.end()
        outcome = judged(stack, workload, lookout, fleet, proxy.reads)
    assert outcome.sound, (outcome.sinks, outcome.complaints, outcome.regressed)
    log = fleet.members["capture-0"].service.log.read_text()
    assert "ExpiredIteratorException" in log
