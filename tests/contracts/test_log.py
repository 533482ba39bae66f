"""The contract of Log, on the fake and on emulators."""

from collections.abc import Callable
from typing import Any, Protocol

import pytest

from pipeline.aws.clock import SystemClock
from pipeline.aws.kinesis import KinesisControl, KinesisLog
from pipeline.aws.session import CONTROL, READ, WRITE, Aws
from pipeline.aws.waiting import until
from pipeline.model.errors import Gap, Misconfigured
from pipeline.model.lane import HASH_SPACE
from pipeline.ports import Log, LogRecord, OutRecord
from pipeline.testing.fakes import FakeLog, ManualClock

REGION = "us-east-1"
Run = Callable[[Any], Any]
LOW, HIGH = 5, HASH_SPACE - 5


class World(Protocol):
    """A stream of two shards, and what is done to it."""

    log: Log

    def split(self, shard: str) -> None:
        """Split a shard in its middle."""

    def merge(self, left: str, right: str) -> None:
        """Merge two neighbours."""


class FakeWorld:
    """The fake."""

    def __init__(self, name: str) -> None:
        self._fake = FakeLog(name, ManualClock(), shards=2)
        self.log: Log = self._fake

    def split(self, shard: str) -> None:
        """Split a shard in its middle."""
        self._fake.split(shard)

    def merge(self, left: str, right: str) -> None:
        """Merge two neighbours."""
        self._fake.merge(left, right)


class EmulatedWorld:
    """The adapter on an emulator."""

    def __init__(self, aws: Aws, name: str, run: Run) -> None:
        self._run = run
        self._control = KinesisControl(aws.kinesis(REGION, CONTROL), SystemClock())
        self._client = aws.kinesis(REGION, CONTROL).client
        description = run(self._control.create(name, 2))
        assert (description.open_shards, description.on_demand, description.record_kib_max) == (2, False, 1024)
        self._name = name
        self.log: Log = KinesisLog(aws.kinesis(REGION, READ), aws.kinesis(REGION, WRITE), name)

    def split(self, shard: str) -> None:
        """Split a shard in its middle."""
        described = self._client.list_shards(StreamName=self._name)["Shards"]
        spread = next(s["HashKeyRange"] for s in described if s["ShardId"] == shard)
        middle = (int(spread["StartingHashKey"]) + int(spread["EndingHashKey"])) // 2
        self._client.split_shard(StreamName=self._name, ShardToSplit=shard, NewStartingHashKey=str(middle))
        self._wait(3)

    def merge(self, left: str, right: str) -> None:
        """Merge two neighbours."""
        self._client.merge_shards(StreamName=self._name, ShardToMerge=left, AdjacentShardToMerge=right)
        self._wait(1)

    def _wait(self, open_shards: int) -> None:
        async def done() -> bool | None:
            listed = [shard for shard in await self.log.shards() if not shard.closed]
            return True if len(listed) == open_shards else None

        self._run(until(done, SystemClock(), "the reshard"))


EMULATED = [pytest.param(n, marks=pytest.mark.emulator) for n in ("kinesis-local", "ministack")]
RESHARDING = EMULATED[:1]
"""ministack drops a parent shard with what it holds."""


def _world(kind: str, request: pytest.FixtureRequest, run: Run, name: str) -> World:
    return FakeWorld(name) if kind == "fake" else EmulatedWorld(request.getfixturevalue("aws_on")(kind), name, run)


@pytest.fixture(params=["fake", *EMULATED])
def world(request: pytest.FixtureRequest, run: Run, name: str) -> World:
    """Each world in turn."""
    return _world(request.param, request, run, name)


@pytest.fixture(params=["fake", *RESHARDING])
def resharding(request: pytest.FixtureRequest, run: Run, name: str) -> World:
    """Each world whose shards can be split and merged as AWS does it."""
    return _world(request.param, request, run, name)


async def _put(log: Log, *texts: str, at: int = LOW) -> None:
    for text in texts:
        assert await log.put([OutRecord(text.encode(), "key", at)]) == (None,)


async def _drain(log: Log, shard: str, after: int | None = None) -> tuple[list[LogRecord], str | None]:
    iterator: str | None = await log.iterator(shard, after)
    found: list[LogRecord] = []
    for _ in range(4):
        assert iterator is not None
        page = await log.read(iterator)
        found += page.records
        iterator = page.next
        if iterator is None:
            break
    return found, iterator


async def _shard_of(log: Log, text: str) -> str:
    for shard in await log.shards():
        if any(record.data == text.encode() for record in (await _drain(log, shard.id))[0]):
            return shard.id
    raise AssertionError(text)


def test_puts_one_after_another_are_read_in_order(world: World, run: Run) -> None:
    """Records whose puts followed each other's acknowledgement come in that order, with growing sequences."""
    run(_put(world.log, "a", "b", "c"))
    records, at = run(_drain(world.log, run(_shard_of(world.log, "a"))))
    assert [record.data for record in records] == [b"a", b"b", b"c"]
    assert [r.sequence for r in records] == sorted({r.sequence for r in records})
    assert {record.partition_key for record in records} == {"key"}
    assert all(record.arrival_ms > 1_700_000_000_000 for record in records)
    assert at is not None


def test_data_is_any_bytes(world: World, run: Run) -> None:
    """Every byte value comes back as it was put."""
    data = bytes(range(256)) * 10
    assert run(world.log.put([OutRecord(data, "key", LOW)])) == (None,)
    shards = run(world.log.shards())
    found = [record.data for shard in shards for record in run(_drain(world.log, shard.id))[0]]
    assert found == [data]


def test_every_record_of_a_put_is_answered(world: World, run: Run) -> None:
    """A put of several records is answered for each, in their order."""
    records = [OutRecord(b"%d" % i, "key", LOW if i % 2 else HIGH) for i in range(20)]
    assert run(world.log.put(records)) == (None,) * 20


def test_the_explicit_hash_key_chooses_the_shard(world: World, run: Run) -> None:
    """One hash key is one shard whatever the partition key; far ends of the range are different shards."""

    async def put() -> None:
        records = [OutRecord(b"low", f"key-{i}", LOW) for i in range(5)]
        await world.log.put([*records, OutRecord(b"high", "key-0", HIGH)])

    run(put())
    low, high = run(_shard_of(world.log, "low")), run(_shard_of(world.log, "high"))
    assert low != high
    assert len(run(_drain(world.log, low))[0]) == 5


def test_an_iterator_starts_after_a_sequence(world: World, run: Run) -> None:
    """After any sequence exactly the later records follow, also for a reader that has listed nothing yet."""
    run(_put(world.log, "a", "b", "c"))
    shard = run(_shard_of(world.log, "a"))
    records, _ = run(_drain(world.log, shard))
    for i, record in enumerate(records):
        assert run(_drain(world.log, shard, record.sequence))[0] == records[i + 1 :]


@pytest.mark.emulator
@pytest.mark.parametrize("kind", ["kinesis-local", "ministack"])
def test_a_reader_that_listed_nothing_finds_its_place(
    kind: str, aws_on: Callable[..., Aws], run: Run, name: str
) -> None:
    """A log object made after a restart starts after a stored sequence, also where digits are compared as text."""
    aws = aws_on(kind)
    run(_put(EmulatedWorld(aws, name, run).log, "a", "b"))

    def log() -> Log:
        return KinesisLog(aws.kinesis(REGION, READ), aws.kinesis(REGION, WRITE), name)

    shard = run(_shard_of(log(), "a"))
    records, _ = run(_drain(log(), shard))
    assert run(_drain(log(), shard, records[0].sequence))[0] == records[1:]


@pytest.mark.fault("K7")
def test_a_record_is_held_as_long_as_it_can_be_read(world: World, run: Run) -> None:
    """Every record that was not trimmed is held, the first and the last."""
    run(_put(world.log, "a", "b"))
    shard = run(_shard_of(world.log, "a"))
    records, _ = run(_drain(world.log, shard))
    assert [run(world.log.holds(shard, record.sequence)) for record in records] == [True, True]


def test_a_log_says_how_long_it_keeps_a_record(world: World, run: Run) -> None:
    """A stream is made to keep a day."""
    assert run(world.log.kept_ms()) == 24 * 3600 * 1000


def test_a_page_tells_the_time_of_the_service(world: World, run: Run) -> None:
    """It is the time the records' arrival goes by, to the second."""
    run(_put(world.log, "a"))
    shard = run(_shard_of(world.log, "a"))
    page = run(world.log.read(run(world.log.iterator(shard, None))))
    assert 0 <= page.time_ms - page.records[0].arrival_ms + 1000 < 30_000


def test_at_the_tip_nothing_is_behind(world: World, run: Run) -> None:
    """After the last record a page is empty, has a next iterator, and says that nothing is behind."""
    run(_put(world.log, "a"))
    shard = run(_shard_of(world.log, "a"))
    records, _ = run(_drain(world.log, shard))
    page = run(world.log.read(run(world.log.iterator(shard, records[-1].sequence))))
    assert (page.records, page.behind_ms) == ((), 0)
    assert page.next is not None


def test_a_shard_that_is_gone_is_a_gap(world: World, run: Run) -> None:
    """An unknown shard is lost data, not the end of a shard."""
    with pytest.raises(Gap, match="shard"):
        run(world.log.iterator("shardId-000000000099", None))


@pytest.mark.fault("K4")
def test_a_split_keeps_what_was_there(resharding: World, run: Run) -> None:
    """A split shard is listed closed, drains to its end, and its two children, which name it, take what comes."""
    log = resharding.log
    run(_put(log, "before"))
    old = run(_shard_of(log, "before"))
    resharding.split(old)
    run(_put(log, "after"))
    shards = {shard.id: shard for shard in run(log.shards())}
    assert shards[old].closed
    children = [shard for shard in shards.values() if shard.parents == (old,)]
    assert len(children) == 2
    records, at = run(_drain(log, old))
    assert ([record.data for record in records], at) == ([b"before"], None)
    assert run(_shard_of(log, "after")) in {child.id for child in children}


def test_a_stream_keeps_its_records_longer_when_it_is_told_to(world: World, run: Run) -> None:
    """What it is told is what it says; to tell it again, or less, changes nothing and is no error."""
    log, hour_ms = world.log, 3_600_000
    assert run(log.kept_ms()) == 24 * hour_ms
    for hours in (48, 48, 30):
        run(log.keep(hours * hour_ms))
        assert run(log.kept_ms()) == 48 * hour_ms


@pytest.mark.fault("K4")
def test_a_merged_shard_names_both_parents(resharding: World, run: Run) -> None:
    """A merge child has two parents, each closed and readable to its end."""
    log = resharding.log
    run(_put(log, "low"))
    run(_put(log, "high", at=HIGH))
    low, high = run(_shard_of(log, "low")), run(_shard_of(log, "high"))
    resharding.merge(low, high)
    shards = {shard.id: shard for shard in run(log.shards())}
    (child,) = [shard for shard in shards.values() if shard.parents]
    assert set(child.parents) == {low, high}
    assert shards[low].closed
    assert shards[high].closed
    assert [run(_drain(log, shard))[1] for shard in (low, high)] == [None, None]


@pytest.mark.emulator
@pytest.mark.parametrize("kind", ["kinesis-local", "ministack"])
def test_a_stream_is_created_once(kind: str, aws_on: Callable[..., Aws], run: Run, name: str) -> None:
    """Describing tells an absent stream from one; creating one that is there changes nothing."""
    control = KinesisControl(aws_on(kind).kinesis(REGION, CONTROL), SystemClock())
    assert run(control.describe(name)) is None
    first = run(control.create(name, 2))
    assert run(control.create(name, 2)) == first
    assert (first.active, first.open_shards, first.retention_hours) == (True, 2, 24)


@pytest.mark.emulator
@pytest.mark.parametrize("kind", ["kinesis-local", "ministack"])
def test_a_put_into_no_stream_names_it(kind: str, aws_on: Callable[..., Aws], run: Run, name: str) -> None:
    """A missing stream is a wrong setting for a writer, and the hint says what does not exist."""
    aws = aws_on(kind)
    log = KinesisLog(aws.kinesis(REGION, READ), aws.kinesis(REGION, WRITE), name)
    with pytest.raises(Misconfigured, match=rf"kinesis:PutRecords on stream {name}.*does not exist"):
        run(log.put([OutRecord(b"x", "key", LOW)]))
