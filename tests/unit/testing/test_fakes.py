"""What the fakes do that emulators cannot: reshard, forget, expire, and fail when told to."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.model.change import Change
from pipeline.model.errors import Gap, IteratorExpired, Misconfigured, PipelineError, RetryLater
from pipeline.model.lane import HASH_SPACE
from pipeline.ports import ItemWrite, OutRecord, StateRow
from pipeline.testing.fakes import (
    FakeItemStore,
    FakeLog,
    FakeObjectStore,
    FakeStateStore,
    FakeTable,
    FakeTableStream,
    Faults,
    ManualClock,
    SeededChance,
)
from pipeline.testing.faults import When

Run = Callable[[Any], Any]


def _put(table: FakeTable, key: str, value: int = 0) -> None:
    table.put({"pk": {"S": key}, "v": {"N": str(value)}})


async def _drain(stream: FakeTableStream, shard: str) -> list[Change]:
    iterator: str | None = await stream.iterator(shard, None)
    found: list[Change] = []
    while iterator is not None:
        page = await stream.read(shard, iterator)
        found += page.changes
        iterator = page.next if page.changes else None
    return found


def test_a_split_divides_the_keys_and_keeps_their_order(run: Run) -> None:
    """After a split every key's later changes are in one child, and their sequences go on growing."""
    table = FakeTable("t", ManualClock())
    stream = table.stream()
    for key in "abcdefgh":
        _put(table, key, 1)
    (parent,) = run(stream.shards())
    children = table.split()
    for key in "abcdefgh":
        _put(table, key, 2)
    early = {change.keys: change for change in run(_drain(stream, parent.id))}
    late = [change for child in children for change in run(_drain(stream, child))]
    assert {change.keys for change in late} == set(early)
    assert all(change.sequence > early[change.keys].sequence for change in late)
    assert all(run(_drain(stream, child)) for child in children)
    assert [shard.id for shard in run(stream.shards(parent.id))] == list(children)


def test_sequences_grow_by_a_digit(run: Run) -> None:
    """Whoever compares sequences as text sees the order break within the first changes."""
    table = FakeTable("t", ManualClock())
    for value in range(20):
        _put(table, "a", value)
    (shard,) = run(table.stream().shards())
    texts = [str(change.sequence) for change in run(_drain(table.stream(), shard.id))]
    assert texts != sorted(texts)


def test_children_may_be_listed_late(run: Run) -> None:
    """For a while after a roll the listing shows neither the child nor that the parent is closed."""
    table = FakeTable("t", ManualClock())
    stream = table.stream()
    table.children_unlisted = 2
    (child,) = table.roll()
    for _ in range(2):
        (seen,) = run(stream.shards())
        assert not seen.closed
    parent, listed = run(stream.shards())
    assert (parent.closed, listed.id, listed.parents) == (True, child, (parent.id,))


def test_iterators_expire(run: Run) -> None:
    """An iterator lives as long as AWS's by the clock given, in both kinds of stream."""
    clock = ManualClock()
    table, log = FakeTable("t", clock), FakeLog("l", clock)
    stream = table.stream()
    (shard,), (log_shard,) = run(stream.shards()), run(log.shards())
    iterator, log_iterator = run(stream.iterator(shard.id, None)), run(log.iterator(log_shard.id, None))
    run(clock.advance(301))
    run(stream.read(shard.id, iterator))
    with pytest.raises(IteratorExpired):
        run(log.read(log_iterator))
    run(clock.advance(600))
    with pytest.raises(IteratorExpired):
        run(stream.read(shard.id, iterator))


def test_what_is_trimmed_is_a_gap_for_who_needed_it(run: Run) -> None:
    """Trimming loses nothing for a reader that is past it, and is a gap for one that is not."""
    table = FakeTable("t", ManualClock())
    stream = table.stream()
    (shard,) = run(stream.shards())
    early = run(stream.iterator(shard.id, None))
    for value in range(3):
        _put(table, "a", value)
    first, second, third = run(_drain(stream, shard.id))
    table.trim(second.sequence)
    assert run(_drain(stream, shard.id)) == [third]
    run(stream.iterator(shard.id, second.sequence))
    with pytest.raises(Gap):
        run(stream.iterator(shard.id, first.sequence))
    with pytest.raises(Gap):
        run(stream.read(shard.id, early))


def test_a_closed_shard_that_is_empty_vanishes(run: Run) -> None:
    """Past retention a finished shard is no longer listed, and reading it is a gap."""
    table = FakeTable("t", ManualClock())
    _put(table, "a")
    stream = table.stream()
    (parent,) = run(stream.shards())
    (child,) = table.roll()
    table.trim(run(_drain(stream, parent.id))[-1].sequence)
    assert [shard.id for shard in run(stream.shards())] == [child]
    with pytest.raises(Gap):
        run(stream.iterator(parent.id, None))


def test_a_stream_switched_off_and_on_is_another(run: Run) -> None:
    """The new stream has a later label and lacks what happened in between; the old one stays readable."""
    table = FakeTable("t", ManualClock())
    old = table.stream()
    _put(table, "a", 1)
    table.disable_stream()
    _put(table, "a", 2)
    table.enable_stream()
    _put(table, "a", 3)
    new = table.stream()
    assert new.epoch > old.epoch
    found = [run(_drain(stream, run(stream.shards())[0].id)) for stream in (old, new)]
    assert [[change.after for change in changes] for changes in found] == [
        [b'{"pk":{"S":"a"},"v":{"N":"1"}}'],
        [b'{"pk":{"S":"a"},"v":{"N":"3"}}'],
    ]


def test_time_to_live_is_marked(run: Run) -> None:
    """A deletion by DynamoDB itself carries its mark."""
    table = FakeTable("t", ManualClock())
    _put(table, "a")
    table.delete({"pk": {"S": "a"}}, by_ttl=True)
    changes = run(_drain(table.stream(), run(table.stream().shards())[0].id))
    assert [change.by_ttl for change in changes] == [False, True]


def test_a_put_can_fail_in_part(run: Run) -> None:
    """Refused records are told by their code while the others of the call are stored."""
    log = FakeLog("l", ManualClock())
    log.refuses = lambda record: "InternalFailure" if record.data == b"1" else None
    assert run(log.put([OutRecord(b"%d" % i, "k", 0) for i in range(3)])) == (None, "InternalFailure", None)
    page = run(log.read(run(log.iterator("shardId-000000000000", None))))
    assert [record.data for record in page.records] == [b"0", b"2"]


def test_records_of_one_put_have_no_order(run: Run) -> None:
    """With a seed, records of one call land in any order, the same one for the same seed."""

    def landed(seed: int) -> list[bytes]:
        log = FakeLog("l", ManualClock(), chance=SeededChance(seed))
        run(log.put([OutRecord(b"%d" % i, "k", 0) for i in range(9)]))
        return [r.data for r in run(log.read(run(log.iterator("shardId-000000000000", None)))).records]

    assert landed(1) == landed(1) != sorted(landed(1))


def test_a_log_is_behind_until_its_tip(run: Run) -> None:
    """The distance to the tip is the age of the next record."""
    clock = ManualClock()
    log = FakeLog("l", clock)
    for i in range(2):
        run(log.put([OutRecord(b"%d" % i, "k", 0)]))
        run(clock.advance(2))
    log.page_records_max = 1
    page = run(log.read(run(log.iterator("shardId-000000000000", None))))
    assert page.behind_ms == 2000
    assert run(log.read(page.next)).behind_ms == 0


def test_a_log_forgets(run: Run) -> None:
    """A trimmed position is a gap, and a drained closed shard vanishes once it is empty."""
    log = FakeLog("l", ManualClock())
    (shard,) = run(log.shards())
    for i in range(2):
        run(log.put([OutRecord(b"%d" % i, "k", HASH_SPACE - 1)]))
    first, second = run(log.read(run(log.iterator(shard.id, None)))).records
    log.split(shard.id)
    log.trim(shard.id, second.sequence)
    assert shard.id not in {left.id for left in run(log.shards())}
    with pytest.raises(Gap):
        run(log.iterator(shard.id, first.sequence))


@pytest.mark.parametrize("records", [[], [OutRecord(b"", "k", 0)] * 501, [OutRecord(b"x" * 1024 * 1024, "k", 0)]])
def test_a_log_refuses_what_aws_refuses(run: Run, records: list[OutRecord]) -> None:
    """Empty calls, too many records and too large ones are wrong use, and nothing is stored."""
    with pytest.raises(Misconfigured):
        run(FakeLog("l", ManualClock()).put(records))


def test_a_fault_before_the_effect_and_one_after(run: Run) -> None:
    """Before: nothing was done. After: it was done, only the answer is lost. Then calls work again."""
    store = FakeStateStore()
    store.faults.before("write", RetryLater("lost"))
    with pytest.raises(RetryLater):
        run(store.write(StateRow("a", 1, {}), None))
    assert not store.rows
    store.faults.after("write", RetryLater("lost"))
    with pytest.raises(RetryLater):
        run(store.write(StateRow("a", 1, {}), None))
    assert store.rows
    assert not run(store.write(StateRow("a", 1, {}), None))
    assert store.faults.calls == {"write": 3}


def test_a_fault_waits_for_its_turn(run: Run) -> None:
    """A fault can let some calls pass first, and strike several times."""
    objects = FakeObjectStore()
    objects.faults.before("read", RetryLater("slow"), skip=1, times=2)
    outcomes: list[bool] = []
    for _ in range(4):
        try:
            run(objects.read("a"))
        except RetryLater:
            outcomes.append(False)
        else:
            outcomes.append(True)
    assert outcomes == [True, False, False, True]


def test_a_storm_is_decided_call_by_call(run: Run) -> None:
    """A seeded decision can fail any call, before or after its effect."""
    asked: list[tuple[str, When]] = []

    def decide(call: str, when: When) -> PipelineError | None:
        asked.append((call, when))
        return RetryLater("storm") if when == "after" else None

    objects = FakeObjectStore()
    objects.faults.decide = decide
    with pytest.raises(RetryLater):
        run(objects.create("a", b""))
    assert asked == [("create", "before"), ("create", "after")]
    assert objects.objects == {"a": b""}


def test_a_pause_lets_others_in(run: Run) -> None:
    """With a pause, tasks interleave at both sides of every effect."""
    faults = Faults()
    clock = ManualClock()
    faults.pause = lambda: clock.sleep(0)
    steps: list[str] = []

    async def work(name: str) -> None:
        async with faults.around("work"):
            steps.append(name)
        steps.append(name)

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    run(both())
    assert steps == ["a", "b", "a", "b"]


def test_time_wakes_sleepers_in_order(run: Run) -> None:
    """Advancing stops at every waking on the way, also of sleeps begun meanwhile, and cancelled ones do not matter."""
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))

    async def main() -> None:
        tasks = [asyncio.create_task(sleeper("slow", 3, 1)), asyncio.create_task(sleeper("quick", 1, 3))]
        gone = asyncio.create_task(sleeper("gone", 2, 1))
        await clock.advance(0.5)
        gone.cancel()
        await clock.advance(3)
        await asyncio.gather(*tasks)

    run(main())
    assert woken == [("quick", 1), ("quick", 2), ("slow", 3), ("quick", 3)]
    assert clock.now_ms() == ManualClock().now_ms() + 3500


def test_a_batch_can_be_left_undone(run: Run) -> None:
    """Unprocessed writes are returned in order and are not written; the next call does them."""
    table = FakeTable("t", ManualClock())
    store = FakeItemStore(table)
    writes = [ItemWrite("t", b'{"pk":{"S":"%d"}}' % i, b'{"pk":{"S":"%d"}}' % i) for i in range(3)]
    store.leave_unprocessed = 2
    assert run(store.write_batch(writes)) == tuple(writes[1:])
    assert len(table.items) == 1
    assert run(store.write_batch(writes[1:])) == ()


def test_a_transaction_may_be_forgotten(run: Run) -> None:
    """Long after, a repeated transaction is no longer recognised and finds its row moved."""
    store = FakeItemStore(FakeTable("t", ManualClock()))
    writes = [ItemWrite("t", b'{"pk":{"S":"a"}}', b'{"pk":{"S":"a"}}')]
    assert [run(store.transact(writes, "p", "r", 0, 1)) for _ in range(2)] == [True, True]
    store.remembers_transactions = False
    assert not run(store.transact(writes, "p", "r", 0, 1))


def test_writes_to_a_fake_table_are_in_its_stream(run: Run) -> None:
    """A table written through the store records changes like any other, with the bytes it was given."""
    table = FakeTable("t", ManualClock())
    image = b'{ "pk":{"S":"a"}, "n":{"N":"1.50"} }'
    run(FakeItemStore(table).write_batch([ItemWrite("t", b'{"pk":{"S":"a"}}', image)]))
    (change,) = run(_drain(table.stream(), run(table.stream().shards())[0].id))
    assert change.after == image
