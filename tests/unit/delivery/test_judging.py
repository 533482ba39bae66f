"""What a plugin raises with wrong fields is a defect of its topology, told field by field."""

import asyncio

import pytest

from pipeline.delivery.keeper import SinkKeeper
from pipeline.model.errors import AFTER_SECONDS_MAX, Corrupt, Defect, Misconfigured, PipelineError, RetryLater
from pipeline.plugin import Batch
from pipeline.testing.changes import batch, history
from pipeline.testing.fakes import ManualClock

GIVEN = batch(history([f"item-{n}" for n in range(1, 16)]), 1, 15)
HINT = "a defect of topology x; the batch is offered again"


class Raising:
    """A sink that raises one thing, while it is opened or while it writes."""

    def __init__(self, error: BaseException, *, opening: bool) -> None:
        self._error = error
        self._opening = opening

    async def open(self) -> None:
        """Raise it, if it is to be raised here."""
        if self._opening:
            raise self._error

    async def write(self, batch: Batch) -> None:
        """Raise it."""
        raise self._error

    async def close(self) -> None:
        """Do nothing."""


class Bare(RetryLater):
    """An error of a plugin that forgot to call `super().__init__`."""

    def __init__(self) -> None:
        pass


class Lazy(RetryLater):
    """An error of a plugin that finds out its pause when it is asked for it, and fails."""

    def __init__(self) -> None:
        PipelineError.__init__(self, "later")

    @property
    def after_seconds(self) -> float:  # type: ignore[override]  # as a plugin may do it
        """Fail."""
        raise KeyError("item k1")


def found(error: BaseException, *, opening: bool = False) -> BaseException | None:
    """Return what comes out of the call of a sink that raises this."""

    async def call() -> BaseException | None:
        keeper = SinkKeeper("x", lambda: Raising(error, opening=opening), ManualClock(), 60.0)
        (outcome,) = await asyncio.gather(keeper.write(GIVEN), return_exceptions=True)
        return outcome

    return asyncio.run(call())


def told(error: BaseException, *, opening: bool = False) -> str:
    """Return the reason of the defect that comes out of the call of a sink that raises this."""
    outcome = found(error, opening=opening)
    assert type(outcome) is Defect, repr(outcome)
    assert outcome.hint == HINT
    return outcome.reason


@pytest.mark.fault("X1")
@pytest.mark.parametrize("opening", [False, True])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RetryLater(None), "it raised RetryLater, of which reason is a NoneType, not a text"),  # type: ignore[arg-type]  # the fault
        (Misconfigured(b"no"), "it raised Misconfigured, of which reason is a bytes, not a text"),  # type: ignore[arg-type]  # the fault
        (Misconfigured(None, hint=5), "it raised Misconfigured, of which reason is a NoneType, not a text"),  # type: ignore[arg-type]  # the fault
        (Corrupt("bad", hint=5), "it raised Corrupt, of which hint is a int, not a text"),  # type: ignore[arg-type]  # the fault
        (RetryLater("a", after_seconds="k1"), "it raised RetryLater, of which after_seconds is a str, not a number"),  # type: ignore[arg-type]  # the fault
        (RetryLater("a", after_seconds=None), "it raised RetryLater, of which after_seconds is a NoneType, not a"),  # type: ignore[arg-type]  # the fault
        (Bare(), "it raised Bare, of which reason is a NoneType, not a text"),
        (Lazy(), "KeyError at test_judging.py"),
    ],
)
def test_a_field_of_a_wrong_type_is_a_defect_that_names_it(error: PipelineError, reason: str, *, opening: bool) -> None:
    """X1: the field, its value's type and what was expected are told, never the value, which may be of an item."""
    assert told(error, opening=opening).startswith(reason)
    assert "k1" not in told(error, opening=opening)


@pytest.mark.fault("X1")
@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan"), float("inf"), float("-inf")])
def test_a_pause_that_cannot_be_waited_is_a_defect(seconds: float) -> None:
    """X1: a pause below zero would call in a loop, an endless one never again: both are told as what they are."""
    reason = f"it raised RetryLater, of which after_seconds is {seconds:g}, not a finite number of 0 or more"
    assert told(RetryLater("later", after_seconds=seconds)) == reason


@pytest.mark.fault("X1")
@pytest.mark.parametrize("seconds", [AFTER_SECONDS_MAX + 1, 1e12, 10**400], ids=["above", "mistaken", "vast"])
def test_a_pause_is_an_hour_at_most(seconds: float) -> None:
    """X1: a number of seconds that was meant as something else holds its topology up for a while, not for ever."""
    error = found(RetryLater("later", after_seconds=seconds))
    assert isinstance(error, RetryLater)
    assert error.after_seconds == AFTER_SECONDS_MAX


def test_an_error_with_right_fields_comes_out_as_itself() -> None:
    """What a plugin says rightly is not touched: the same object, with its pause and its hint."""
    error = RetryLater("busy", after_seconds=7, hint="wait")
    assert found(error) is error
    assert (error.reason, error.after_seconds, error.hint) == ("busy", 7, "wait")
