"""What the fake streams do that emulators cannot: reshard, forget, expire."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.model.change import Change
from pipeline.model.errors import Gap, IteratorExpired, Misconfigured
from pipeline.model.lane import HASH_SPACE
from pipeline.ports import ItemWrite, OutRecord
from pipeline.testing.fakes import FakeItemStore, FakeLog, FakeTable, FakeTableStream, ManualClock, SeededChance

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
    """A drained closed shard vanishes once it is empty, and what asks for it meets a gap."""
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


def test_a_log_says_nothing_of_what_is_trimmed(run: Run) -> None:
    """As Kinesis does: after a trimmed place, and under an iterator, reading goes on at the oldest record left."""
    log = FakeLog("l", ManualClock())
    (shard,) = run(log.shards())
    for i in range(3):
        run(log.put([OutRecord(b"%d" % i, "k", 0)]))
    first, second, third = run(log.read(run(log.iterator(shard.id, None)))).records
    early = run(log.iterator(shard.id, None))
    log.trim(shard.id, second.sequence)
    assert run(log.read(run(log.iterator(shard.id, first.sequence)))).records == (third,)
    assert run(log.read(early)).records == (third,)
    assert [run(log.holds(shard.id, each.sequence)) for each in (first, second, third)] == [False, False, True]


@pytest.mark.parametrize("records", [[], [OutRecord(b"", "k", 0)] * 501, [OutRecord(b"x" * 1024 * 1024, "k", 0)]])
def test_a_log_refuses_what_aws_refuses(run: Run, records: list[OutRecord]) -> None:
    """Empty calls, too many records and too large ones are wrong use, and nothing is stored."""
    with pytest.raises(Misconfigured):
        run(FakeLog("l", ManualClock()).put(records))


def test_writes_to_a_fake_table_are_in_its_stream(run: Run) -> None:
    """A table written through the store records changes like any other, with the bytes it was given."""
    table = FakeTable("t", ManualClock())
    image = b'{ "pk":{"S":"a"}, "n":{"N":"1.50"} }'
    run(FakeItemStore(table).write_batch([ItemWrite("t", b'{"pk":{"S":"a"}}', image)]))
    (change,) = run(_drain(table.stream(), run(table.stream().shards())[0].id))
    assert change.after == image
