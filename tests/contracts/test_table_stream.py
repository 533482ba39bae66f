"""The contract of TableStream, on the fake and on emulators."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, Protocol

import boto3
import orjson
import pytest

from pipeline.aws.clock import SystemClock
from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.session import CONTROL, Aws
from pipeline.aws.streams import DynamoDBTableStream
from pipeline.aws.tables import KeyAttribute, Tables
from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Gap
from pipeline.ports import ItemWrite, TableStream
from pipeline.testing.fakes import FakeTable, ManualClock

REGION = "us-east-1"
KEYS = (KeyAttribute("pk", "S"), KeyAttribute("a_sort", "N"))
Run = Callable[[Any], Any]


class World(Protocol):
    """A table one can write to, and its stream."""

    stream: TableStream

    def put(self, item: dict[str, Any]) -> None:
        """Write an item."""

    def delete(self, keys: dict[str, Any]) -> None:
        """Remove an item."""

    def transact(self, *items: dict[str, Any], gone: dict[str, Any]) -> None:
        """Write items and remove one, in one transaction."""

    def switch_off(self) -> None:
        """Switch the stream off."""

    def switch_on(self) -> object:
        """Switch it on again."""

    def no_such_stream(self) -> TableStream:
        """Return a reader of a stream that is not there."""


class FakeWorld:
    """The fake."""

    def __init__(self, name: str) -> None:
        self._clock = ManualClock()
        self._table = FakeTable(name, self._clock, keys={key.name: key.type for key in KEYS})
        self.stream: TableStream = self._table.stream()
        self.put = self._table.put
        self.delete = self._table.delete
        self.switch_off = self._table.disable_stream
        self.switch_on = self._table.enable_stream

    def transact(self, *items: dict[str, Any], gone: dict[str, Any]) -> None:
        """Do it one by one: nobody can tell, for the stream says nothing of transactions."""
        for item in items:
            self._table.put(item)
        self._table.delete(gone)

    def no_such_stream(self) -> TableStream:
        """Return a reader of a forgotten stream."""
        other = FakeTable("other", self._clock)
        reader = other.stream()
        other.forget_stream(other.epoch)
        return reader


class EmulatedWorld:
    """The adapter on an emulator."""

    def __init__(self, aws: Aws, name: str, run: Run) -> None:
        self._aws = aws
        self._run = run
        self._items = DynamoDBItemStore(aws, REGION, SystemClock())
        self._tables = Tables(aws.dynamodb(REGION, CONTROL), SystemClock())
        self._table = run(self._tables.create(name, KEYS, stream=True))
        self.stream: TableStream = self._reader(self._table.stream_arn)

    def _reader(self, arn: str) -> TableStream:
        return DynamoDBTableStream.of(self._aws.streams(REGION), replace(self._table, stream_arn=arn), self._tables)

    def put(self, item: dict[str, Any]) -> None:
        """Write an item."""
        keys = orjson.dumps({key.name: item[key.name] for key in KEYS})
        assert self._run(self._items.write_batch([ItemWrite(self._table.name, keys, orjson.dumps(item))])) == ()

    def delete(self, keys: dict[str, Any]) -> None:
        """Remove an item."""
        assert self._run(self._items.write_batch([ItemWrite(self._table.name, orjson.dumps(keys), None)])) == ()

    def transact(self, *items: dict[str, Any], gone: dict[str, Any]) -> None:
        """Do it."""
        table = self._table.name
        puts = [{"Put": {"TableName": table, "Item": item}} for item in items]
        client = boto3.client("dynamodb", region_name=REGION)
        with closing(client):
            client.transact_write_items(TransactItems=[*puts, {"Delete": {"TableName": table, "Key": gone}}])

    def switch_off(self) -> None:
        """Switch the stream off."""
        client = self._aws.dynamodb(REGION, CONTROL).client
        client.update_table(TableName=self._table.name, StreamSpecification={"StreamEnabled": False})

    def switch_on(self) -> None:
        """Switch it on again."""
        self._run(self._tables.enable_stream(self._table.name))

    def no_such_stream(self) -> TableStream:
        """Return a reader of an ARN nobody has."""
        return self._reader(self._table.stream_arn[:-3] + "999")


@pytest.fixture(
    params=["fake", *(pytest.param(n, marks=pytest.mark.emulator) for n in ("dynamodb-local", "ministack"))]
)
def world(request: pytest.FixtureRequest, run: Run, name: str) -> World:
    """Each world in turn."""
    if request.param == "fake":
        return FakeWorld(name)
    return EmulatedWorld(request.getfixturevalue("aws_on")(request.param), name, run)


def _item(key: str, value: int) -> dict[str, Any]:
    return {"pk": {"S": key}, "a_sort": {"N": "1"}, "v": {"N": str(value)}, "b": {"B": "AP8="}}


async def _drain(stream: TableStream, shard: str, after: int | None = None) -> list[Change]:
    iterator: str | None = await stream.iterator(shard, after)
    found: list[Change] = []
    for _ in range(4):
        assert iterator is not None
        page = await stream.read(shard, iterator)
        found += page.changes
        iterator = page.next
        if iterator is None:
            break
    return found


async def _only_shard(stream: TableStream) -> str:
    (shard,) = await stream.shards()
    return shard.id


@pytest.mark.fault("T1", "T2")
def test_every_change_once_in_order_with_both_images(world: World, run: Run) -> None:
    """Insert, modify and remove come in order with exact images; a write that changes nothing leaves no record."""
    keys = {name: value for name, value in _item("a", 0).items() if name in {"pk", "a_sort"}}
    for value in (1, 2, 2):
        world.put(_item("a", value))
    world.delete(keys)
    world.delete(keys)
    changes = run(_drain_all(world.stream))
    assert [c.kind for c in changes] == [ChangeKind.INSERT, ChangeKind.MODIFY, ChangeKind.REMOVE]
    seen = [
        tuple(None if image is None else orjson.loads(image)["v"]["N"] for image in (c.before, c.after))
        for c in changes
    ]
    assert seen == [(None, "1"), ("1", "2"), ("2", None)]
    assert changes[0].after is not None
    assert orjson.loads(changes[0].after)["b"] == {"B": "AP8="}
    assert [c.sequence for c in changes] == sorted({c.sequence for c in changes})
    assert not any(c.by_ttl for c in changes)
    assert all(c.event_id and c.time_ms > 1_700_000_000_000 for c in changes)


@pytest.mark.fault("D10")
def test_a_transaction_is_its_changes_each_once(world: World, run: Run) -> None:
    """Every item of a transaction has one change, behind the item's earlier ones and before its later ones."""
    keys = ("a", "b", "c", "d")
    items = [_item(key, 1) for key in keys]
    for item in items:
        world.put(item)
    gone = {name: items[3][name] for name in ("pk", "a_sort")}
    world.transact(*(_item(key, 2) for key in keys[:3]), gone=gone)
    world.put(_item("a", 3))
    changes = run(_drain_all(world.stream))
    by_key = {
        key: [c.after and orjson.loads(c.after)["v"]["N"] for c in changes if orjson.loads(c.keys)["pk"]["S"] == key]
        for key in keys
    }
    assert by_key == {"a": ["1", "2", "3"], "b": ["1", "2"], "c": ["1", "2"], "d": ["1", None]}


async def _drain_all(stream: TableStream) -> list[Change]:
    return await _drain(stream, await _only_shard(stream))


def test_identity_comes_from_the_stream(world: World, run: Run) -> None:
    """A change names its table, epoch and shard, and its keys are canonical, hash attribute first."""
    world.put(_item("a", 1))
    (change,) = run(_drain_all(world.stream))
    assert (change.table, change.epoch) == (world.stream.table, world.stream.epoch)
    assert change.shard == run(_only_shard(world.stream))
    assert change.keys == b'{"pk":{"S":"a"},"a_sort":{"N":"1"}}'


def test_an_iterator_starts_after_a_sequence(world: World, run: Run) -> None:
    """After any sequence exactly the later changes follow, also for a reader that has listed nothing yet."""
    for value in range(4):
        world.put(_item("a", value))
    shard = run(_only_shard(world.stream))
    changes = run(_drain(world.stream, shard))
    for i, change in enumerate(changes):
        assert run(_drain(world.stream, shard, change.sequence)) == changes[i + 1 :]


def test_an_iterator_can_be_used_again(world: World, run: Run) -> None:
    """A page read again, because its answer was lost, is the same page."""
    world.put(_item("a", 1))
    shard = run(_only_shard(world.stream))
    iterator = run(world.stream.iterator(shard, None))
    assert run(world.stream.read(shard, iterator)).changes == run(world.stream.read(shard, iterator)).changes


def test_an_open_shard_has_a_next_page(world: World, run: Run) -> None:
    """At the tip a page is empty and has a next iterator, which finds what is written later."""
    shard = run(_only_shard(world.stream))
    page = run(world.stream.read(shard, run(world.stream.iterator(shard, None))))
    assert page.changes == ()
    assert page.next is not None
    world.put(_item("a", 1))
    assert len(run(world.stream.read(shard, page.next)).changes) == 1


def test_a_shard_without_children_has_none(world: World, run: Run) -> None:
    """Asking for the children of an open shard finds nothing, not the shard itself."""
    assert run(world.stream.shards(run(_only_shard(world.stream)))) == ()


@pytest.mark.fault("D6", "D8")
def test_a_closed_shard_gives_what_it_has_and_ends(world: World, run: Run) -> None:
    """A stream that is switched off stays readable to its end, which is a page without a next iterator."""
    world.put(_item("a", 1))
    world.switch_off()
    (shard,) = run(world.stream.shards())
    iterator: str | None = run(world.stream.iterator(shard.id, None))
    found = 0
    for _ in range(4):
        assert iterator is not None
        page = run(world.stream.read(shard.id, iterator))
        found += len(page.changes)
        iterator = page.next
        if iterator is None:
            break
    assert found == 1
    assert iterator is None
    assert shard.closed


@pytest.mark.fault("D6")
def test_a_later_stream_is_found(world: World, run: Run) -> None:
    """A table's present stream is found from an earlier one, and is a stream like that; of itself none is later."""
    assert run(world.stream.later()) is None
    world.switch_off()
    world.switch_on()
    later = run(world.stream.later())
    assert (later.table, run(later.later())) == (world.stream.table, None)
    world.put(_item("a", 1))
    assert [c.epoch > world.stream.epoch for c in run(_drain_all(later))] == [True]


def test_a_shard_that_is_gone_is_a_gap(world: World, run: Run) -> None:
    """An unknown shard is lost data, not the end of a shard."""
    with pytest.raises(Gap, match="shard"):
        run(world.stream.iterator("shardId-00000001600000000000-00000000", None))


def test_a_stream_that_is_gone_is_a_gap(world: World, run: Run) -> None:
    """An unknown stream is lost data, not an empty listing."""
    with pytest.raises(Gap):
        run(world.no_such_stream().shards())


@pytest.mark.emulator
def test_the_documented_parser_gives_the_same(aws_on: Callable[..., Aws], run: Run, name: str) -> None:
    """Without the undocumented event the answer is parsed and encoded again, and every change comes out equal."""
    world = EmulatedWorld(aws_on("dynamodb-local"), name, run)
    world.put({**_item("a", 1), "l": {"L": [{"BS": ["eA=="]}, {"NULL": True}, {"M": {"n": {"NS": ["1"]}}}]}})
    world.put(_item("a", 2))
    raw = run(_drain_all(world.stream))
    world._aws.streams(REGION).client.meta.events.unregister(
        "before-parse.dynamodb-streams.GetRecords", unique_id="fanout-before-parse-GetRecords"
    )
    parsed = run(_drain_all(world.stream))
    assert [_loaded(change) for change in parsed] == [_loaded(change) for change in raw]


def _loaded(change: Change) -> tuple[Any, ...]:
    images = [image and orjson.loads(image) for image in (change.before, change.after)]
    return (*change._replace(before=None, after=None), *images)
