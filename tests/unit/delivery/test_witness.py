"""What a witness marks, and what it does not offer once more."""

import asyncio

import pytest

from pipeline.delivery.witness import OFFERS_MAX, PARTS_MAX, STARTS_MAX, TURN_SECONDS, TURN_WAIT_SECONDS, Turn, Witness
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
        self.turn = Turn()
        self.marks: list[Evidence] = []
        self.offered: list[tuple[int, int]] = []
        self.trouble: RetryLater | None = None

    def witness(self, found: Evidence) -> Witness:
        """Return a witness of an owner that found this in the row."""
        witness = Witness(self.turn, self.clock, self.mark)
        witness.begin(found)
        return witness

    async def mark(self, evidence: Evidence) -> None:
        """Store."""
        if self.trouble is not None:
            raise self.trouble
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


class Hung:
    """A write that hangs until it is told how to end, and one topology that waits in it with a mark."""

    def __init__(self, row: Row, found: Evidence) -> None:
        self.row = row
        self.end: asyncio.Future[None] = asyncio.Future()
        self.task = asyncio.ensure_future(row.witness(found).through(batch(CHANGES, 1, 1), self.hang))

    async def hang(self, _: Batch) -> None:
        """Wait for the end."""
        await self.end


@pytest.mark.parametrize("left", [Evidence(STARTS_MAX), Evidence(1, "", 1, 1, 1)], ids=["by starts", "by a mark"])
def test_a_marked_write_that_hangs_gives_up_its_turn_and_its_mark(left: Evidence) -> None:
    """After TURN_SECONDS the row says what was left there before, and another is marked; the write goes on."""

    async def play() -> None:
        row = Row()
        hung = Hung(row, left)
        await row.clock.advance(TURN_SECONDS / 2)
        other = asyncio.ensure_future(row.witness(Evidence(STARTS_MAX)).through(batch(CHANGES, 1, 6), row.write))
        await row.clock.advance(TURN_SECONDS / 3)
        assert row.offered == []
        await row.clock.advance(TURN_SECONDS)
        assert (row.offered, other.done(), hung.task.done()) == ([(1, 6)], True, False)
        assert row.marks == [Evidence(0, "", 1, 1, left.offers + 1), left, Evidence(0, "", 1, 6, 1), Evidence()]
        hung.end.set_exception(RetryLater("not now"))
        await asyncio.wait([hung.task])
        assert isinstance(hung.task.exception(), RetryLater)
        assert row.marks[4:] == [Evidence()]

    asyncio.run(play())


def test_nobody_waits_for_ever_for_a_turn() -> None:
    """A mark that cannot be taken back keeps its turn; who waits for it writes without a mark in the end."""

    async def play() -> None:
        row, theirs = Row(), Row()
        theirs.turn, theirs.clock = row.turn, row.clock
        hung = Hung(theirs, Evidence(STARTS_MAX))
        other = asyncio.ensure_future(row.witness(Evidence(STARTS_MAX)).through(batch(CHANGES, 1, 6), row.write))
        await row.clock.advance(1)
        theirs.trouble = RetryLater("the state table gives no answer")
        await row.clock.advance(TURN_WAIT_SECONDS / 2)
        assert (row.offered, row.turn.taken) == ([], True)
        await row.clock.advance(TURN_WAIT_SECONDS)
        assert (row.offered, other.done(), len(row.marks)) == ([(1, 6)], True, 1)
        theirs.trouble = None
        hung.end.set_result(None)
        await hung.task
        assert not row.turn.taken


def test_a_slow_write_keeps_its_mark_while_nobody_waits() -> None:
    """A change that kills after minutes is found too: others that are not in doubt do not ask for a turn."""

    async def play() -> None:
        row = Row()
        hung = Hung(row, Evidence(STARTS_MAX))
        await row.clock.advance(10 * TURN_SECONDS)
        assert row.marks == [Evidence(0, "", 1, 1, 1)]
        hung.end.set_result(None)
        await hung.task

    asyncio.run(play())

    asyncio.run(play())


@pytest.mark.parametrize("seconds", [TURN_SECONDS / 2, 2 * TURN_SECONDS])
def test_a_write_that_is_cancelled_leaves_no_turn_behind(seconds: float) -> None:
    """Before or after its turn has ended: the write is cancelled too, and the next has its turn at once."""

    async def play() -> None:
        row = Row()
        hung = Hung(row, Evidence(STARTS_MAX))
        waiting = Hung(row, Evidence(STARTS_MAX))
        await row.clock.advance(TURN_SECONDS / 4)
        waiting.task.cancel()
        await row.clock.advance(seconds)
        hung.task.cancel()
        await asyncio.wait([hung.task, waiting.task])
        assert hung.end.cancelled()
        assert not waiting.end.done(), "it was not written"
        assert not row.turn.taken

    asyncio.run(play())


def test_evidence_survives_its_row() -> None:
    """What is stored beside a checkpoint is read back; a row without it says nothing."""
    for evidence in (Evidence(), Evidence(2), Evidence(0, "redriven-x", 3, 9, 2)):
        assert from_fields(to_fields(evidence), "here") == evidence
