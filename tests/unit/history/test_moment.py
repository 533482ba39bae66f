"""Times as people write them: a whole second in a zone that is certain, or a refusal that says what to write."""

import pytest

from pipeline.history.moment import Moment, moment, text_of
from pipeline.model.errors import Misconfigured

AT_MS = 1_795_516_867_000
"""2026-11-24T10:41:07Z."""


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2026-11-24T10:41:07Z", ""),
        ("2026-11-24T11:41:07+01:00", ""),
        ("2026-11-24 10:41:07+00:00", ""),
        ("20261124T104107Z", ""),
        ("2026-11-24T11:41:07", "Europe/Oslo"),
        ("2026-11-24T10:41:07.000Z", ""),
    ],
)
def test_one_second_in_many_spellings(text: str, zone: str) -> None:
    """Offset, Z or a named zone: the same moment, which ends when its second is over."""
    assert moment(text, zone) == Moment(AT_MS + 1000)
    assert str(moment(text, zone)) == "2026-11-24T10:41:07Z"
    assert text_of(AT_MS + 999) == "2026-11-24T10:41:07Z"


def test_minutes_are_enough() -> None:
    """Without seconds, the minute's first second is meant."""
    assert str(moment("2026-11-24T10:41Z")) == "2026-11-24T10:41:00Z"


@pytest.mark.parametrize(
    ("text", "zone", "reason"),
    [
        ("2026-11-24T10:41:07", "", "does not say in which zone"),
        ("2026-11-24", "UTC", "a day"),
        ("yesterday", "", "is no time"),
        ("2026-13-24T10:41:07Z", "", "is no time"),
        ("2026-11-24T10:41:07.5Z", "", "finer than a second"),
        ("2026-11-24T10:41:07", "Mars/Base", "no time zone"),
        ("2026-11-24T10:41:07", "../../etc/passwd", "no time zone"),
        ("2026-11-24T10:41:07Z", "Europe/Oslo", "its own offset"),
        ("9999-12-31T23:59:59-12:00", "", "not between the years"),
        ("0001-01-01T00:00:00+14:00", "", "not between the years"),
        ("1969-12-31T23:59:59Z", "", "not between the years"),
        ("2026-10-25T02:30:00", "Europe/Oslo", "twice"),
        ("2026-03-29T02:30:00", "Europe/Oslo", "never"),
    ],
)
def test_what_is_uncertain_is_refused(text: str, zone: str, reason: str) -> None:
    """No zone, no time, half a second, an hour that the clocks show twice or never: the error says what to write."""
    with pytest.raises(Misconfigured, match=reason) as caught:
        moment(text, zone)
    assert caught.value.hint
