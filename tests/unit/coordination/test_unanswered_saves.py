"""Saves of a checkpoint of which nobody said whether they were stored."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pipeline.coordination.checkpoints import CheckpointSlot
from pipeline.model.errors import LeaseLost, RetryLater
from pipeline.model.progress import Checkpoint
from pipeline.testing.clock import ManualClock, SeededChance
from pipeline.testing.fakes import FakeStateStore
from pipeline.testing.faults import When

GIVEN_UP_SECONDS = 600.0


class Stage:
    """A claimed slot, its row, and time to move."""

    def __init__(self) -> None:
        self.clock, self.store = ManualClock(), FakeStateStore()
        self.mine = self.slot("me")

    def slot(self, owner: str) -> CheckpointSlot:
        """Return a worker's slot of the row."""
        return CheckpointSlot(self.store, self.clock, SeededChance(1), "key", owner)

    async def unanswered(self, position: int, when: When) -> None:
        """Save a position without an answer, until the slot gives up; nothing is stored if it is lost on the way."""
        self.store.faults.decide = lambda call, at: RetryLater("no answer") if (call, at) == ("write", when) else None
        task = asyncio.ensure_future(self.mine.save(place(position)))
        for _ in range(100):
            await self.clock.advance(GIVEN_UP_SECONDS / 100)
        assert isinstance(task.exception(), RetryLater)
        self.store.faults.decide = None

    def stored(self) -> object:
        """Return the stored position."""
        return self.store.rows["key"].fields["position"]


def place(position: int) -> Checkpoint:
    """Return a checkpoint."""
    return Checkpoint(position, position, position)


def play(story: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a story with a slot that is claimed."""

    async def played() -> None:
        stage = Stage()
        await stage.mine.claim()
        await story(stage)

    asyncio.run(played())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("again", [5, 6])
def test_a_save_without_an_answer_is_no_claim_of_another(when: When, again: int) -> None:
    """Stored or not, the next save goes on from there, the same or a newer one, and the row is ours all the time."""

    async def story(stage: Stage) -> None:
        await stage.unanswered(5, when)
        assert stage.stored() == (5 if when == "after" else 0)
        assert await stage.mine.is_ours()
        await stage.mine.save(place(again))
        await stage.mine.save(place(7))
        assert (stage.stored(), stage.mine.saved, stage.mine.lost) == (7, place(7), False)

    play(story)


def test_several_saves_without_an_answer_are_known_as_ours() -> None:
    """The first was stored, the later ones were not, and no answer came: none of them is another's."""

    async def story(stage: Stage) -> None:
        for position in (5, 6, 7):
            await stage.unanswered(position, "after")
        assert stage.stored() == 5
        await stage.mine.save(place(8))
        assert stage.stored() == 8

    play(story)


def test_a_save_that_was_cut_off_is_known_as_ours() -> None:
    """Its task was cancelled when the row was stored already: the next save, of an orderly end, is no loss."""

    async def story(stage: Stage) -> None:
        stage.store.faults.after("write", RetryLater("no answer"))
        task = asyncio.ensure_future(stage.mine.save(place(5)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert stage.stored() == 5
        await stage.mine.save(place(6))

    play(story)


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_claims_after_a_save_without_an_answer_has_the_row(when: When) -> None:
    """The old owner learns of it at its next save, and what is on its way still changes nothing."""

    async def story(stage: Stage) -> None:
        await stage.unanswered(5, when)
        await stage.slot("other").claim()
        row = stage.store.rows["key"]
        assert not await stage.mine.is_ours()
        with pytest.raises(LeaseLost):
            await stage.mine.save(place(6))
        assert stage.mine.lost
        assert stage.store.rows["key"] == row

    play(story)


def test_a_save_that_comes_late_changes_nothing() -> None:
    """It was given up before it reached the table: what was saved since has another version."""

    async def story(stage: Stage) -> None:
        before = stage.store.rows["key"]
        await stage.unanswered(5, "before")
        await stage.mine.save(place(6))
        assert not await stage.store.write(before._replace(version=before.version + 1), before.version)
        await stage.mine.save(place(7))

    play(story)
