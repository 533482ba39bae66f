"""Ten kill -9 and a SIGTERM while 10,000 changes flow: afterwards nothing is lost, doubled, reordered or claimed early.

One run, looked at from every end.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.blackbox import ends
from tests.blackbox.history import Item, Verdict, Write, differences, final, judge
from tests.blackbox.proxy import Door
from tests.blackbox.stack import AWAY, Service, Stack
from tests.blackbox.watch import Watch, arrivals, captures_ahead
from tests.blackbox.workload import Workload
from tests.emulators import Emulators

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(420)]

SEED = int(os.environ.get("BLACKBOX_SEED", "7"))
"""Decides what is written and when each victim is hit."""
CHANGES, KEYS, SHARDS = 10_000, 300, 4
PER_SECOND = 160.0
VICTIMS = ("capture", "one", "two", "capture", "one", "TERM two", "two", "capture", "one", "capture", "two")
"""Ten kills and one SIGTERM, in turn."""
BETWEEN_SECONDS = (0.5, 3.0)
"""How long a victim works before it is hit, and how long it stays away: shorter and longer than its lease."""
SLOW = {"TransactWriteItems": (0.1, 0.6), "PUT": (0.1, 1.5)}
"""How long effects of the workers take, so that kills, checkpoints and looks fall in the middle of them."""
STRAY_SHARE, STRAY_SECONDS = 0.05, 5.0
"""Some effects arrive only when their sender has lost its lease, dead or alive: another worker has done them."""
SETTLED_SECONDS = 240.0
TOPOLOGIES = ("replica", "archive", "audit")


@dataclass
class Run:
    """What is left of the run."""

    stack: Stack
    journal: list[Write]
    watch: Watch
    kills: int
    exits: dict[str, int]
    """Exit codes of SIGTERM, by service."""
    writing: int
    """How many of the hits came while the source was still written."""


@pytest.fixture(scope="module")
def doors(emulators: Emulators) -> Iterator[dict[str, Door]]:
    """Doors that hold back what the workers write, by service."""
    urls = emulators.settings("ministack", "dynamodb-local", "kinesis-local")
    chance, lock = random.Random(SEED), threading.Lock()

    def delay(action: str) -> float:
        with lock:
            if action not in SLOW:
                return 0.0
            return STRAY_SECONDS if chance.random() < STRAY_SHARE else chance.uniform(*SLOW[action])

    with ExitStack() as opened:
        yield {name: opened.enter_context(Door(urls[f"AWS_ENDPOINT_URL_{name}"], delay)) for name in ("DYNAMODB", "S3")}


@pytest.fixture(scope="module")
def run(stack_of: Callable[..., Stack], doors: dict[str, Door]) -> Run:
    """The run."""
    stack = stack_of(tables=2)
    config = stack.write(stack.sections(stack.shipped))
    stack.create(config, SHARDS)
    services = {"capture": stack.service("capture", config, "capture").start()}
    slow = {f"AWS_ENDPOINT_URL_{name}": door.url for name, door in doors.items()}
    services |= {name: stack.service("worker", config, name, **slow).start() for name in ("one", "two")}
    workload, watch = Workload(stack, changes=CHANGES, keys=KEYS, per_second=PER_SECOND, seed=SEED), Watch(stack)
    watch.start()
    workload.start()
    try:
        exits, writing = _torment(services, workload)
        journal = workload.finish()
        _wait_settled(stack, services)
    finally:
        workload.stop()
        watch.stop()
    exits |= {f"{name} at the end": service.terminate() for name, service in services.items()}
    return Run(stack, journal, watch, sum("TERM" not in victim for victim in VICTIMS), exits, writing)


def _torment(services: Mapping[str, Service], workload: Workload) -> tuple[dict[str, int], int]:
    """Hit each victim while it works; return the exit codes of SIGTERM, and how many hits the writing saw."""
    chance, exits, writing = random.Random(SEED), {}, 0
    for victim in VICTIMS:
        name = victim.removeprefix("TERM ")
        service = services[name]
        service.wait_working()
        time.sleep(chance.uniform(*BETWEEN_SECONDS))
        writing += not workload.done
        if name == victim:
            service.kill()
        else:
            exits[name] = service.terminate()
        time.sleep(chance.uniform(*BETWEEN_SECONDS))
        service.start()
    return exits, writing


def _wait_settled(stack: Stack, services: Mapping[str, Service]) -> None:
    """Wait until every topology has saved what was written; after too long, show what each process says of itself."""
    client = stack.client("dynamodb")
    deadline = time.monotonic() + SETTLED_SECONDS
    while time.monotonic() < deadline and any(ends.settled(stack, client, name) < CHANGES for name in TOPOLOGIES):
        time.sleep(1.0)
    lacks = {name: ends.settled(stack, client, name) for name in TOPOLOGIES}
    if set(lacks.values()) != {CHANGES}:
        print(lacks, *(f"{name}: {service.status()}" for name, service in services.items()), sep="\n")


def _items(run: Run, region: str) -> dict[Item, dict[str, Any]]:
    client = run.stack.client("dynamodb", region)
    return {item: row for table in run.stack.tables for item, row in ends.items(client, table).items()}


def _require(verdict: Verdict) -> None:
    assert verdict.sound, verdict
    assert verdict.repeats == 0, "positions are given once, so a repeat is not even stored"


def test_it_was_the_run_that_was_asked_for(run: Run) -> None:
    """10,000 changes of 300 keys, ten kills and a SIGTERM, nearly all of them amid the writing."""
    assert len(run.journal) == CHANGES
    assert len({write.item for write in run.journal}) == KEYS
    assert run.kills == 10
    assert run.writing >= 9


@pytest.mark.fault("P2")
def test_sigterm_ends_in_order(run: Run) -> None:
    """Every process that was asked to end did so with exit code 0."""
    assert run.exits == dict.fromkeys(run.exits, 0)
    assert len(run.exits) == 4


@pytest.mark.fault("P1")
def test_the_replica_equals_the_source(run: Run) -> None:
    """Both tables, item by item and attribute by attribute, and both are what was written last."""
    source = _items(run, "us-east-1")
    assert differences(final(run.journal), ends.numbers(source)) == []
    replica = _items(run, AWAY)
    assert differences(final(run.journal), ends.numbers(replica)) == []
    assert replica == source


@pytest.mark.fault("P1")
def test_the_archive_has_every_change_once_and_in_order(run: Run) -> None:
    """Every (key, number) exactly once and in order, in segments without a hole."""
    _require(judge(run.journal, ends.archived(ends.objects(run.stack, run.stack.archive, "a/"))))


def test_the_audit_log_has_every_change_once_and_in_order(run: Run) -> None:
    """Every (key, number) exactly once and in order."""
    _require(judge(run.journal, ends.audited(ends.objects(run.stack, run.stack.audit, "b/"))))


def test_the_audit_chain_verifies(run: Run) -> None:
    """All hashes of all chains fit, and they cover all changes."""
    report = ends.verified(ends.objects(run.stack, run.stack.audit, "b/"))
    assert report.sound, report.problems
    assert report.entries == CHANGES
    assert len(report.heads) == SHARDS


@pytest.mark.fault("P1")
def test_no_checkpoint_was_ahead_of_its_effect(run: Run) -> None:
    """No sample found a checkpoint whose effect was not there, a checkpoint or a replica's item gone back."""
    assert run.watch.complaints == []
    assert run.watch.samples > 50
    assert run.watch.moves > 100


def test_no_capture_checkpoint_was_ahead_of_kinesis(run: Run) -> None:
    """All a capture checkpoint covered was in Kinesis when it was read."""
    arrived = arrivals(run.stack)
    assert sum(map(len, arrived.values())) == CHANGES
    assert captures_ahead(run.watch.captures, arrived) == []
    assert any(sample.sequence > 0 for sample in run.watch.captures)


def test_everything_settled(run: Run) -> None:
    """Every topology saved that it has settled exactly the changes there are."""
    client = run.stack.client("dynamodb")
    assert {name: ends.settled(run.stack, client, name) for name in TOPOLOGIES} == dict.fromkeys(TOPOLOGIES, CHANGES)
