"""Time to data loss, and the warning before it."""

import logging

import pytest

from pipeline.coordination.losswatch import LossWatch
from pipeline.model.retention import Retention, RetentionState, retention

DAY_MS = 24 * 3600 * 1000


@pytest.mark.fault("K7")
@pytest.mark.parametrize(
    ("age_hours", "left_hours", "state"),
    [
        (0, 24, RetentionState.AMPLE),
        (-1, 24, RetentionState.AMPLE),
        (11.9, 12.1, RetentionState.AMPLE),
        (12, 12, RetentionState.HALF_USED),
        (19.1, 4.9, RetentionState.HALF_USED),
        (19.3, 4.7, RetentionState.NEARLY_USED),
        (23, 1, RetentionState.NEARLY_USED),
        (24, 0, RetentionState.PASSED),
        (50, 0, RetentionState.PASSED),
    ],
)
def test_what_is_left_is_the_retention_less_the_age(age_hours: float, left_hours: float, state: RetentionState) -> None:
    """It never falls below nothing, nor rises above the retention, whatever the clocks say."""
    now_ms = 10 * DAY_MS
    found = retention(round(now_ms - age_hours * 3_600_000), DAY_MS, now_ms)
    assert found.time_to_loss_seconds == pytest.approx(left_hours * 3600)
    assert found.state is state


def test_nothing_is_said_of_what_nobody_has_read() -> None:
    """Where no place is known there is no figure that could calm or alarm anybody."""
    assert retention(0, DAY_MS, DAY_MS) == Retention(None, RetentionState.UNKNOWN)


def test_each_change_of_state_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Half used and passed are warnings, once each; so is the news that all is well again."""
    caplog.set_level(logging.INFO)
    watch, told = LossWatch(), []
    for state in (RetentionState.AMPLE, RetentionState.HALF_USED, RetentionState.HALF_USED, RetentionState.PASSED):
        watch.look({"audit": Retention(3600.0, state)})
        told.append(len(caplog.records))
    watch.look({"audit": Retention(90_000.0, RetentionState.AMPLE)})
    assert told == [0, 1, 1, 2]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]


def test_a_loss_that_is_near_is_returned() -> None:
    """Whoever watches learns that one of the readers has used up four fifths or all, for as long as that is so."""
    watch = LossWatch()
    states = (RetentionState.HALF_USED, RetentionState.NEARLY_USED, RetentionState.PASSED, RetentionState.AMPLE)
    found = [watch.look({"a": Retention(1.0, RetentionState.AMPLE), "b": Retention(1.0, each)}) for each in states]
    assert found == [False, True, True, False]
