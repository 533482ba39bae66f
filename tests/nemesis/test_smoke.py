"""A short run of everything the campaigns do: calls go wrong, shards split and merge, processes die, under load."""

import random
import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.blackbox.stack import eventually
from tests.blackbox.workload import Workload
from tests.nemesis.campaign import settle
from tests.nemesis.conftest import Scene
from tests.nemesis.proxy import PASS, Fault, Mode
from tests.nemesis.verdict import judged
from tests.nemesis.watch import Lookout
from tests.nemesis.weather import Reshards

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(240), pytest.mark.slow]

CHANGES, PER_SECOND = 600, 120.0
FAULTS = {
    "DYNAMODB_STREAMS": Fault(Mode.PARTITION),
    "KINESIS": Fault(Mode.LOST_ANSWER, 0.3),
    "DYNAMODB": Fault(Mode.RESET, 0.3),
    "S3": Fault(Mode.UNAVAILABLE, 0.5),
}
FAULT_SECONDS, STRUCK_SECONDS = 0.5, 20.0
SETTLED_SECONDS = 90.0


@pytest.mark.fault("P3", "K4", "N1", "N2", "N4", "S1", "P1", "P2")
def test_nothing_is_lost_or_reordered_while_everything_around_fails(scene_of: Callable[..., Scene]) -> None:
    """Splits, merges, faults of each service, SIGTERM and kill -9, amid 600 changes: all sinks are sound."""
    stack, proxy, fleet = scene_of(shards=3, captures=1, workers=2)
    lookout, workload = Lookout(stack), Workload(stack, changes=CHANGES, keys=100, per_second=PER_SECOND)
    reshards = Reshards(stack.client("kinesis"), stack.stream, random.Random(1))
    fleet.start()
    lookout.start()
    workload.start()
    try:
        for reshard in (reshards.split, reshards.merge, reshards.count):
            eventually("the stream is at rest", 20, reshards.at_rest)
            reshard()
            time.sleep(FAULT_SECONDS)
        fleet.hit("worker-0", "TERM, KILL")
        for service, fault in FAULTS.items():
            fleet.strike(service, fault)
            eventually(f"{service} was struck", STRUCK_SECONDS, partial(fleet.struck, service))
            time.sleep(FAULT_SECONDS)
            fleet.strike(service, PASS)
        fleet.back("worker-0")
        workload.finish()
        settle(stack, fleet, CHANGES, SETTLED_SECONDS)
    finally:
        workload.stop()
        lookout.stop()
    fleet.end()
    outcome = judged(stack, workload, lookout, fleet, proxy.reads)
    assert outcome.sound, (outcome.sinks, outcome.complaints, outcome.regressed)
    assert outcome.changes == CHANGES
    assert reshards.done == {"split": 1, "merge": 1, "UpdateShardCount": 1}
