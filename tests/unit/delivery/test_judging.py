"""What a plugin raises with wrong fields is a defect of its topology, told field by field."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.delivery.keeper import SinkKeeper
from pipeline.model.errors import (
    AFTER_SECONDS_MAX,
    TEXT_CHARACTERS_MAX,
    Corrupt,
    Defect,
    Misconfigured,
    PipelineError,
    Rejected,
    RetryLater,
)
from pipeline.plugin import Batch
from pipeline.testing.changes import batch, history
from pipeline.testing.fakes import ManualClock

GIVEN = batch(history([f"item-{n}" for n in range(1, 16)]), 1, 15, without=[7])
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
    ("kind", "fields", "reason"),
    [
        (RetryLater, {"reason": None}, "it raised RetryLater: reason is a NoneType, not a text"),
        (Misconfigured, {"reason": b"no"}, "it raised Misconfigured: reason is a bytes, not a text"),
        (Misconfigured, {"reason": None, "hint": 5}, "it raised Misconfigured: reason is a NoneType, not a text"),
        (Corrupt, {"reason": "bad", "hint": 5}, "it raised Corrupt: hint is a int, not a text"),
        (
            RetryLater,
            {"reason": "a", "after_seconds": "k1"},
            "it raised RetryLater: after_seconds is a str, not a number",
        ),
        (
            RetryLater,
            {"reason": "a", "after_seconds": None},
            "it raised RetryLater: after_seconds is a NoneType, not a",
        ),
        (Bare, {}, "it raised Bare: reason is a NoneType, not a text"),
        (Lazy, {}, "KeyError at test_judging.py"),
    ],
)
def test_a_field_of_a_wrong_type_is_a_defect_that_names_it(
    kind: Callable[..., PipelineError], fields: dict[str, object], reason: str, *, opening: bool
) -> None:
    """X1: the field, its value's type and what was expected are told, never the value, which may be of an item."""
    error = kind(**fields)
    assert told(error, opening=opening).startswith(reason)
    assert "k1" not in told(error, opening=opening)


@pytest.mark.fault("X1")
@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan"), float("inf"), float("-inf")])
def test_a_pause_that_cannot_be_waited_is_a_defect(seconds: float) -> None:
    """X1: a pause below zero would call in a loop, an endless one never again: both are told as what they are."""
    reason = f"it raised RetryLater: after_seconds is {seconds:g}, not a finite number of 0 or more"
    assert told(RetryLater("later", after_seconds=seconds)) == reason


@pytest.mark.fault("X1")
@pytest.mark.parametrize("seconds", [AFTER_SECONDS_MAX + 1, 1e12, 10**400], ids=["above", "mistaken", "vast"])
def test_a_pause_is_an_hour_at_most(seconds: float) -> None:
    """X1: a number of seconds that was meant as something else holds its topology up for a while, not for ever."""
    error = found(RetryLater("later", after_seconds=seconds))
    assert isinstance(error, RetryLater)
    assert error.after_seconds == AFTER_SECONDS_MAX


@pytest.mark.fault("X1")
@pytest.mark.parametrize(
    ("positions", "reason"),
    [
        ({}, "it refused no change"),
        ({999999999: "nobody"}, "position 999999999 is not in the batch 1-15"),
        ({3: "bad", 0: "the first"}, "position 0 is not in the batch 1-15"),
        ({7: "filtered"}, "position 7 is no change of the batch 1-15"),
        ({"k1": "x"}, "a position is a str, not a number"),
        ({3.0: "x"}, "a position is a float, not a number"),
        ({3: None}, "the reason at position 3 is a NoneType, not a text"),
        ({3: ValueError("k1")}, "the reason at position 3 is a ValueError, not a text"),
        ({3: ["k1"], 4: "y"}, "the reason at position 3 is a list, not a text"),
        ("k1", "positions is a str, not a mapping of positions to reasons"),
        ([1, 2], "positions is a list, not a mapping of positions to reasons"),
        (None, "positions is a NoneType, not a mapping of positions to reasons"),
    ],
)
def test_a_refusal_of_what_was_not_offered_is_a_defect(positions: Any, reason: str) -> None:
    """X1: a refusal names changes of the batch, each with a reason; any other would halt, and say of nothing why."""
    assert told(Rejected(positions)) == f"it raised Rejected: {reason}"


@pytest.mark.fault("X1")
def test_a_refusal_while_opening_is_a_defect() -> None:
    """X1: a sink that is opened was offered no batch whose changes it could refuse."""
    assert told(Rejected({3: "bad"}), opening=True) == "it raised Rejected: it was offered no change to refuse"


def test_a_refusal_keeps_what_it_said_when_it_was_raised() -> None:
    """A plugin that goes on with its own dict changes nothing of what is parked."""
    positions = {3: "bad"}
    error = found(Rejected(positions))
    positions.clear()
    assert isinstance(error, Rejected)
    assert (error.positions, error.reason) == ({3: "bad"}, "1 change(s) refused: ['bad']")


@pytest.mark.fault("X1")
def test_what_a_plugin_says_is_bounded() -> None:
    """X1: reasons and hints are logged, stored and shown, many at a time: each is cut, and shows that it was."""
    long = "x" * 100_000
    error = found(Rejected(dict.fromkeys(range(1, 7), long), hint=long))
    assert isinstance(error, Rejected)
    for text in (error.reason, error.hint, *error.positions.values()):
        assert len(text) == TEXT_CHARACTERS_MAX
        assert text.endswith("\N{HORIZONTAL ELLIPSIS}")


@pytest.mark.fault("X1")
def test_what_a_plugin_says_can_be_stored() -> None:
    """X1: half a character, as in the name of a file that is no UTF-8, is spelled out: it would end who stores it."""
    error = found(RetryLater("no \udcff", hint="\ud800"))
    assert isinstance(error, RetryLater)
    assert (error.reason, error.hint) == ("no \\udcff", "\\ud800")
    refused = found(Rejected({3: "\udcff"}))
    assert isinstance(refused, Rejected)
    assert refused.positions == {3: "\\udcff"}


def test_an_error_with_right_fields_comes_out_as_itself() -> None:
    """What a plugin says rightly is not touched: the same object, with its pause and its hint."""
    error = RetryLater("busy", after_seconds=7, hint="wait")
    assert found(error) is error
    assert (error.reason, error.after_seconds, error.hint) == ("busy", 7, "wait")
