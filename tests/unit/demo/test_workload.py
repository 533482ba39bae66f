"""The demo's workload."""

import asyncio
from collections import Counter, deque
from itertools import islice

import orjson

from pipeline.aws.clock import SystemClock
from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import RetryLater
from pipeline.ports import ItemWrite
from pipeline.testing.fakes import FakeItemStore, FakeTable, FakeTableStream, SeededChance
from pipeline.wiring.demo.proof import mark_of_change
from pipeline.wiring.demo.workload import BATCH_MAX, Step, Workload, next_batch, plan

CHANGES = 2_000
FAST = 1e9
DIGITS = 38


def source() -> FakeTable:
    """Return an empty source table."""
    return FakeTable("orders", SystemClock(), keys={"customer": "S", "order": "N"})


async def stream_of(table: FakeTable) -> list[Change]:
    """Return everything a table's stream has."""
    stream = FakeTableStream(table, table.epoch, SystemClock())
    stream.page_changes_max = 10 * CHANGES
    (shard,) = await stream.shards()
    return list((await stream.read(shard.id, await stream.iterator(shard.id, None))).changes)


def marks_of(changes: list[Change]) -> dict[bytes, list[int]]:
    """Return the marks of changes, item by item."""
    found: dict[bytes, list[int]] = {}
    for change in changes:
        found.setdefault(change.keys, []).append(mark_of_change(change))
    return found


def written(table: FakeTable, items: FakeItemStore, changes: int = CHANGES) -> Workload:
    """Write a plan as fast as it goes."""
    workload = Workload(items, SystemClock(), SeededChance(1), plan(table.name, changes))
    asyncio.run(workload.run(FAST, changes))
    return workload


def test_every_write_makes_one_change() -> None:
    """The table's stream has as many changes as the plan has writes, and the journal tells them in their order."""
    table = source()
    workload = written(table, FakeItemStore(table))
    changes = asyncio.run(stream_of(table))
    assert len(changes) == workload.written == CHANGES
    assert marks_of(changes) == workload.journal


def test_lost_answers_and_unprocessed_writes_change_nothing() -> None:
    """A batch whose answer was lost, and what a batch left undone, is written again without another change."""
    table = source()
    items = FakeItemStore(table)
    items.faults.after("write_batch", RetryLater("no answer"), skip=3, times=2)
    items.leave_unprocessed = 7
    workload = written(table, items, 300)
    assert marks_of(asyncio.run(stream_of(table))) == workload.journal


def test_the_plan_is_the_same_in_every_run() -> None:
    """A seed repeats the plan to the byte; another seed makes another."""
    assert list(plan("orders", 200)) == list(plan("orders", 200))
    assert list(plan("orders", 200)) != list(plan("orders", 200, seed=2))


def test_the_plan_has_everything_a_table_has() -> None:
    """Inserts, changes, removals, hot keys, every type, numbers of 38 digits, empty values and deep nesting occur."""
    table = source()
    written(table, FakeItemStore(table))
    changes = asyncio.run(stream_of(table))
    assert {change.kind for change in changes} == set(ChangeKind) - {ChangeKind.GAP, ChangeKind.SNAPSHOT}
    assert Counter(change.keys for change in changes).most_common(1)[0][1] > 5 * CHANGES / len(table.items) / 2
    text = b"".join(change.after or b"" for change in changes)
    for kind in ("S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL"):
        assert b'{"%b":' % kind.encode() in text
    assert all(empty in text for empty in (b'{"S":""}', b'{"B":""}', b'{"L":[]}', b'{"M":{}}'))
    items = [orjson.loads(change.after) for change in changes if change.after]
    assert max(len(item["total"]["N"].replace(".", "")) for item in items if "total" in item) == DIGITS
    assert max(str(item.get("deep", "")).count("{") for item in items) > 30


def test_a_batch_has_different_items_and_keeps_the_order_of_each() -> None:
    """However hot a key is, its writes leave in order, one a batch."""
    steps = [Step(ItemWrite("orders", b"k%d" % (n % 3 if n % 2 else n), None), n) for n in range(200)]
    pending, seen = deque(steps), list[Step]()
    while pending:
        batch = next_batch(pending)
        assert 1 <= len(batch) <= BATCH_MAX
        assert len({step.write.keys for step in batch}) == len(batch)
        seen += batch
    for keys in {step.write.keys for step in steps}:
        assert [s for s in seen if s.write.keys == keys] == [s for s in steps if s.write.keys == keys]


def test_it_waits_where_it_is_told_to_and_can_be_ended() -> None:
    """Nothing is written beyond the waiting point until it may go on, and the end leaves a true journal."""

    async def course() -> None:
        table = source()
        workload = Workload(FakeItemStore(table), SystemClock(), SeededChance(1), plan("orders", 500))
        running = asyncio.create_task(workload.run(FAST, 100))
        for _ in range(200):
            await SystemClock().sleep(0)
        assert 100 <= workload.written < 100 + BATCH_MAX
        workload.end()
        await running
        assert marks_of(await stream_of(table)) == workload.journal

    asyncio.run(course())


def test_a_large_plan_is_made_as_it_goes() -> None:
    """The first steps of ten million come at once."""
    assert len(list(islice(plan("orders", 10_000_000), 10))) == 10
