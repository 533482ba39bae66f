"""Three topologies cost the Kinesis stream no more reads than one: counted in front of the server."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from tests.blackbox import ends
from tests.blackbox.proxy import Door
from tests.blackbox.stack import Service, Stack, eventually
from tests.blackbox.workload import Workload

pytestmark = pytest.mark.emulator

SHARDS = 2
CHANGES, PER_SECOND = 1_500, 125.0
WARM_SECONDS, WINDOW_SECONDS = 1.5, 9.0
SHARE_MAX, CALLS_MORE_MAX = 1.1, 3
"""Polling is timed, so two readers of one shard differ by some calls; a reader for each topology would be threefold."""


@pytest.fixture
def doors() -> Iterator[Callable[[str], Door]]:
    """Return a function that opens a door to an upstream."""
    with ExitStack() as opened:
        yield lambda upstream: opened.enter_context(Door(upstream))


def _reading_all(service: Service) -> bool:
    shards = service.shards()
    return len(shards) == SHARDS and all(shard["reading"]["reads"] for shard in shards.values())


def _has_all(stack: Stack, home: Any, name: str) -> bool:
    return ends.settled(stack, home, name) == CHANGES


@pytest.mark.fault("D5")
def test_three_topologies_read_no_more_than_one(stack_of: Callable[..., Stack], doors: Callable[[str], Door]) -> None:
    """Two workers read the same changes in the same seconds; the one with three topologies makes no more calls."""
    stack = stack_of()
    three = stack.sections(stack.shipped)
    config = stack.write(three)
    stack.create(config, SHARDS)
    files = stack.folder / "files"
    other_state = f"{stack.state}-one"
    alone = {**stack.sections({"folder": {"path": str(files)}}), "state": {"table": other_state}}
    one_config = stack.write(alone, "one.toml")
    assert stack.fanout("setup", "--yes", "-c", str(one_config)).returncode == 0

    upstream = stack.environment["AWS_ENDPOINT_URL_KINESIS"]
    first, second = doors(upstream), doors(upstream)
    stack.service("capture", config, "capture").start()
    one = stack.service("worker", one_config, "one", AWS_ENDPOINT_URL_KINESIS=first.url).start()
    many = stack.service("worker", config, "three", AWS_ENDPOINT_URL_KINESIS=second.url).start()
    for service in (one, many):
        eventually(f"{service.log.stem} reads all shards", 30, partial(_reading_all, service))

    workload = Workload(stack, changes=CHANGES, keys=100, per_second=PER_SECOND)
    workload.start()
    time.sleep(WARM_SECONDS)
    before = [door.calls("GetRecords") for door in (first, second)]
    time.sleep(WINDOW_SECONDS)
    after = [door.calls("GetRecords") for door in (first, second)]
    by_one, by_three = ({s: now[s] - old[s] for s in now} for old, now in zip(before, after, strict=True))
    workload.finish()

    assert len(by_one) == SHARDS
    for shard, calls in by_one.items():
        assert calls >= WINDOW_SECONDS, f"shard {shard} was hardly read: nothing is shown"
        assert by_three[shard] <= calls * SHARE_MAX + CALLS_MORE_MAX, (by_one, by_three)
    home = stack.client("dynamodb")
    for name in stack.shipped:
        eventually(f"{name} has all", 60, partial(_has_all, stack, home, name))
    eventually("the folder has all", 60, lambda: sum(1 for _ in files.rglob("*.json")) == CHANGES)
    print(f"GetRecords in {WINDOW_SECONDS:.0f} s: one topology {by_one}, three {by_three}")
