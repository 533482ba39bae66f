"""A table stream whose clock jumps, so that its iterators expire: real ones, of DynamoDB Local.

The pipeline's own processes cannot be run so: libfaketime makes time.sleep of CPython 3.11 fail after a jump.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.local.child import Unavailable
from pipeline.local.dynamodb_local import dynamodb_local
from tests.blackbox.stack import eventually
from tests.blackbox.workload import Workload
from tests.nemesis.campaign import settle
from tests.nemesis.conftest import Scene
from tests.nemesis.servers import WrongClock
from tests.nemesis.verdict import judged
from tests.nemesis.watch import Lookout

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(240), pytest.mark.slow]

ITERATOR_SECONDS = 15 * 60.0
CLOCK_SECONDS = 1.5
"""libfaketime looks every second whether the clock has jumped."""
CHANGES, PER_SECOND = 500, 80.0
EXPIRED_SECONDS, SETTLED_SECONDS = 30.0, 60.0


@pytest.mark.fault("D1")
def test_an_expired_iterator_loses_and_repeats_nothing(scene_of: Callable[..., Scene], tmp_path: Path) -> None:
    """Sixteen minutes pass at once, amid the writing: the capture goes on behind its last change, all is sound."""
    try:
        clock = WrongClock(tmp_path / "clock")
    except Unavailable as error:
        pytest.skip(f"{error}; {error.hint}")
    with dynamodb_local(tmp_path, environment=clock.variables) as server:
        urls = dict.fromkeys(("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"), server.url)
        stack, proxy, fleet = scene_of(shards=2, captures=1, workers=1, **urls)
        lookout, workload = Lookout(stack), Workload(stack, changes=CHANGES, keys=100, per_second=PER_SECOND)
        log = fleet.members["capture-0"].service.log
        fleet.start()
        lookout.start()
        workload.start()
        try:
            eventually("it is captured", EXPIRED_SECONDS, fleet.readers)
            fleet.hit("capture-0", "STOP")  # it holds an iterator while the time passes
            clock.jump(ITERATOR_SECONDS + 60)
            time.sleep(CLOCK_SECONDS)
            fleet.back("capture-0")
            eventually("an iterator expired", EXPIRED_SECONDS, lambda: "ExpiredIterator" in log.read_text(), 0.3)
            workload.finish()
            settle(stack, fleet, CHANGES, SETTLED_SECONDS)
        finally:
            workload.stop()
            lookout.stop()
        fleet.end()
        outcome = judged(stack, workload, lookout, fleet, proxy.reads)
    assert outcome.sound, (outcome.sinks, outcome.complaints, outcome.regressed)
