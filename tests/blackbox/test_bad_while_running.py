"""What goes wrong while the pipeline runs: the part concerned halts and says so, the rest flows, nothing is skipped."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.blackbox import ends
from tests.blackbox.history import Write, judge
from tests.blackbox.proxy import Door
from tests.blackbox.stack import Service, Stack, eventually
from tests.blackbox.test_plugin import PLUGIN, install
from tests.blackbox.workload import Workload

pytestmark = pytest.mark.emulator

CHANGES, MORE = 500, 250
SEEN_SECONDS = 20.0
MENDED_SECONDS = 60.0
"""A halted part looks every 30 s whether somebody has mended what stopped it."""


class World(NamedTuple):
    """A running pipeline with the first changes through."""

    stack: Stack
    door: Door
    service: Service
    home: Any
    journal: list[Write]
    files: Any

    def write(self, prefix: str, changes: int = MORE) -> list[Write]:
        """Write more changes and return all so far."""
        workload = Workload(self.stack, changes=changes, keys=60, prefix=prefix)
        workload.start()
        self.journal.extend(workload.finish())
        return self.journal

    def arrived(self) -> int:
        """Return how many changes the plugin has."""
        return len(ends.listed(self.files))


@pytest.fixture
def world(stack_of: Callable[..., Stack]) -> Iterator[World]:
    """Two tables, two shards, the plugin of the other tests."""
    stack = stack_of(tables=2)
    files = install(stack, "lines", PLUGIN)
    config = stack.write(stack.sections({"lines": {"path": str(files)}}))
    stack.create(config, shards=2)
    with Door(stack.environment["AWS_ENDPOINT_URL_KINESIS"]) as door:
        service = stack.service("run", config, "run", AWS_ENDPOINT_URL_KINESIS=door.url).start()
        world = World(stack, door, service, stack.client("dynamodb"), [], files)
        world.write("first", CHANGES)
        eventually("the first changes are through", 40, lambda: ends.settled(stack, world.home, "lines") == CHANGES)
        yield world
        service.kill()


def halted(part: dict[str, Any]) -> bool:
    """Return True for a part of the status page that is halted, with a reason."""
    return part["flow"] == "halted" and bool(part["reason"])


@pytest.mark.fault("K10")
def test_a_foreign_record_halts_its_shard_alone(world: World) -> None:
    """A record that is not ours is not skipped: its shard halts before it, visibly, and the other shard flows."""
    kinesis = world.stack.client("kinesis")
    answer = kinesis.put_record(StreamName=world.stack.stream, Data=b"not one of ours", PartitionKey="anybody")
    bad = answer["ShardId"]
    (good,) = (
        each["ShardId"]
        for each in kinesis.list_shards(StreamName=world.stack.stream)["Shards"]
        if each["ShardId"] != bad
    )

    def shard(name: str) -> Any:
        return world.service.status()["delivery"]["shards"][name]

    eventually("the shard is halted", SEEN_SECONDS, lambda: halted(shard(bad)["reading"]))
    assert shard(bad)["reading"]["hint"]
    assert any(bad in part for part in world.service.health()["halted"]), "the health page tells it, too"
    before = shard(bad)["topologies"]["lines"]["position"]
    journal = world.write("more")
    eventually(
        "the other shard flows",
        SEEN_SECONDS,
        lambda: shard(good)["topologies"]["lines"]["changes"] > 0 and world.arrived() > CHANGES,
    )
    assert shard(good)["reading"]["flow"] == "flowing"
    assert shard(bad)["topologies"]["lines"]["position"] == before
    verdict = judge(journal, ends.listed(world.files))
    assert verdict.lost, "what is behind the foreign record waits"
    assert (verdict.phantom, verdict.duplicated, verdict.reordered) == ([], [], [])


@pytest.mark.fault("G2")
def test_a_missing_permission_halts_and_mends(world: World) -> None:
    """While an action is denied nothing is lost: the halt names the action to allow, and ends when it is allowed."""
    world.door.refused["PutRecords"] = "AccessDeniedException"
    journal = world.write("denied")

    def captures() -> list[Any]:
        return [part for each in world.service.status()["captures"].values() for part in each["shards"].values()]

    eventually("both captures are halted", SEEN_SECONDS, lambda: len(captures()) == 2 and all(map(halted, captures())))
    assert all("kinesis:PutRecords" in part["hint"] for part in captures())
    assert len(world.service.health()["halted"]) == 2
    assert world.arrived() == CHANGES
    del world.door.refused["PutRecords"]
    eventually("all changes are through", MENDED_SECONDS, lambda: world.arrived() >= len(journal))
    verdict = judge(journal, ends.listed(world.files))
    assert verdict.sound, verdict


@pytest.mark.fault("D7")
def test_a_deleted_table_stops_its_own_capture_alone(world: World) -> None:
    """A table deleted while it is captured: what was read arrives, the halt says so, the other table flows on."""
    gone, left = world.stack.tables
    world.home.delete_table(TableName=gone)

    def capture(table: str) -> Any:
        return world.service.status()["captures"][table]

    eventually(
        "the capture tells",
        SEEN_SECONDS,
        lambda: capture(gone)["problem"] or any(map(halted, capture(gone)["shards"].values())),
    )
    world.stack.tables.remove(gone)
    journal = world.write("after")
    eventually("the other table flows", SEEN_SECONDS, lambda: world.arrived() == len(journal))
    assert not capture(left)["problem"]
    assert judge(journal, ends.listed(world.files)).sound
    health = world.service.health()
    assert any(gone in part for part in health["problems"] + health["halted"])
