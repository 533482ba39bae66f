"""What a witness marks, and what it does not offer once more."""

import asyncio

import pytest

from pipeline.delivery.witness import OFFERS_MAX, PARTS_MAX, STARTS_MAX, TURN_SECONDS, Witness
from pipeline.model.change import Batch
from pipeline.model.errors import Deadly, RetryLater
from pipeline.model.progress import Evidence
from pipeline.testing.changes import CHANGES, batch
from pipeline.testing.clock import ManualClock
from pipeline.wire.evidence import from_fields, to_fields


class Row:
    """Where marks go, and a sink that notes what it is offered."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.turn = asyncio.Lock()
        self.marks: list[Evidence] = []
        self.offered: list[tuple[int, int]] = []

    def witness(self, found: Evidence) -> Witness:
        """Return a witness of an owner that found this in the row."""
        witness = Witness(self.turn, self.clock, self.mark)
        witness.begin(found)
        return witness

    async def mark(self, evidence: Evidence) -> None:
        """Store."""
        self.marks.append(evidence)

    async def write(self, part: Batch) -> None:
        """Note."""
        self.offered.append((part.first, part.last))


def test_nothing_is_marked_without_a_doubt() -> None:
    """A row that tells of few starts costs no call at all."""
    row = Row()
    asyncio.run(row.witness(Evidence(STARTS_MAX - 1)).through(batch(CHANGES, 1, 6), row.write))
    assert (row.marks, row.offered) == ([], [(1, 6)])


def test_in_doubt_the_batch_is_marked_before_and_unmarked_behind() -> None:
    """From STARTS_MAX on the mark is stored before the call, and taken away when it has returned."""
    row = Row()
    asyncio.run(row.witness(Evidence(STARTS_MAX)).through(batch(CHANGES, 1, 6), row.write))
    assert row.marks == [Evidence(0, "", 1, 6, 1), Evidence()]


def test_what_somebody_died_of_is_offered_by_itself() -> None:
    """In the range of a mark that was left each change has a call and a mark of its own; what lies outside has not."""
    row = Row()
    asyncio.run(row.witness(Evidence(1, "", 3, 5, 1)).through(batch(CHANGES, 1, 8), row.write))
    assert row.offered == [(1, 2), (3, 3), (4, 4), (5, 5), (6, 8)]
    assert [mark[2:4] for mark in row.marks] == [*row.offered, (0, 0)]


@pytest.mark.parametrize("suspects", [2, 9, 10, 11, 99, 1_234, 8_000])
def test_a_death_costs_a_few_calls_however_many_changes_are_suspected(suspects: int) -> None:
    """At most PARTS_MAX parts, narrower each time, none left out; after a few deaths the culprit is alone."""
    first, last, culprit, deaths = 5, suspects + 4, 5 + suspects // 3, 0
    while first < last:
        row = Row()
        whole = batch(CHANGES * (suspects // len(CHANGES) + 2), 1, suspects + 9)
        asyncio.run(row.witness(Evidence(1, "", first, last, 1)).through(whole, row.write))
        assert [each[0] for each in row.offered] == [1, *(each[1] + 1 for each in row.offered[:-1])]
        assert len(row.offered) <= PARTS_MAX + 2
        ((first, last),) = [each for each in row.offered if each[0] <= culprit <= each[1]]
        deaths += 1
    assert deaths == len(str(suspects - 1)), "one for each decimal digit"


def test_a_change_that_killed_alone_too_often_is_deadly() -> None:
    """It is refused by position and table before anything is offered; one death less, and it is offered again."""
    row = Row()
    with pytest.raises(Deadly, match=f"the process ended {OFFERS_MAX} times") as caught:
        asyncio.run(row.witness(Evidence(1, "", 3, 3, OFFERS_MAX)).through(batch(CHANGES, 1, 8), row.write))
    assert (list(caught.value.positions), row.offered) == ([3], [])
    asyncio.run(row.witness(Evidence(1, "", 3, 3, OFFERS_MAX - 1)).through(batch(CHANGES, 1, 8), row.write))
    assert Evidence(0, "", 3, 3, OFFERS_MAX) in row.marks


def test_who_raises_is_not_dead() -> None:
    """A call that fails takes its mark away, and what was suspected is suspected no more."""
    row = Row()

    async def fail(_: Batch) -> None:
        raise RetryLater("not now")

    witness = row.witness(Evidence(1, "", 1, 1, OFFERS_MAX - 1))
    with pytest.raises(RetryLater):
        asyncio.run(witness.through(batch(CHANGES, 1, 1), fail))
    assert row.marks == [Evidence(0, "", 1, 1, OFFERS_MAX), Evidence()]
    asyncio.run(witness.through(batch(CHANGES, 1, 1), row.write))
    assert row.marks[2] == Evidence(0, "", 1, 1, 1)


def test_marked_writes_take_turns_and_nobody_waits_for_ever() -> None:
    """A second topology waits for the first one's marked write; when that hangs, it writes without a mark."""

    async def play() -> None:
        row, hung = Row(), asyncio.Event()

        async def hang(_: Batch) -> None:
            await hung.wait()

        first, second = row.witness(Evidence(STARTS_MAX)), row.witness(Evidence(STARTS_MAX))
        one = asyncio.ensure_future(first.through(batch(CHANGES, 1, 6), hang))
        await row.clock.advance(0.1)
        two = asyncio.ensure_future(second.through(batch(CHANGES, 1, 6), row.write))
        await row.clock.advance(TURN_SECONDS / 2)
        assert row.offered == []
        await row.clock.advance(TURN_SECONDS)
        assert (row.offered, len(row.marks)) == ([(1, 6)], 1)
        await two
        hung.set()
        await one

    asyncio.run(play())


def test_evidence_survives_its_row() -> None:
    """What is stored beside a checkpoint is read back; a row without it says nothing."""
    for evidence in (Evidence(), Evidence(2), Evidence(0, "redriven-x", 3, 9, 2)):
        assert from_fields(to_fields(evidence), "here") == evidence
