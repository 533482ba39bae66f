"""Moments as people write them. A moment is a whole second, because that is all a table's stream tells of a change.

"As it was at 10:41:07" means: after every change whose creation second is 10:41:07 or earlier, in the order of the
stream. `Moment` holds the first millisecond after that second, so a change belongs when its time is below it.
"""

import datetime as dt
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.model.errors import Misconfigured

SECOND_MS = 1000
_END_SECONDS = round(dt.datetime(9999, 12, 31, tzinfo=dt.UTC).timestamp())
_EXAMPLE = "write it like 2026-11-24T10:41:07Z or 2026-11-24T11:41:07+01:00"


class Moment(NamedTuple):
    """The end of a second: everything with a creation time below `end_ms` has happened."""

    end_ms: int

    @property
    def second_ms(self) -> int:
        """Return the start of the second."""
        return self.end_ms - SECOND_MS

    def __str__(self) -> str:
        return text_of(self.second_ms)


def moment(text: str, zone: str = "") -> Moment:
    """Return the moment an ISO 8601 text names. Raises Misconfigured, saying what to write.

    The text carries its offset from UTC, or `zone` names the place whose clocks it was read from.
    """
    try:
        read = dt.datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise Misconfigured(f"{text!r} is no time", hint=_EXAMPLE) from error
    if not any(mark in text for mark in "Tt:"):
        raise Misconfigured(f"{text!r} is a day, not a time", hint=_EXAMPLE)
    if read.microsecond:
        raise Misconfigured(f"{text!r} is finer than a second", hint="leave the fraction out: the source tells seconds")
    if read.tzinfo is None:
        read = _placed(read, text, zone)
    elif zone:
        raise Misconfigured(f"{text!r} has its own offset", hint="leave out either the offset or --zone")
    second = round(read.timestamp())
    if not 0 <= second < _END_SECONDS:
        raise Misconfigured(f"{text!r} is not between the years 1970 and 9999", hint=_EXAMPLE)
    return Moment(second * SECOND_MS + SECOND_MS)


def text_of(time_ms: int) -> str:
    """Return epoch milliseconds as ISO 8601 in UTC, to the second."""
    return dt.datetime.fromtimestamp(time_ms // SECOND_MS, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _placed(read: dt.datetime, text: str, zone: str) -> dt.datetime:
    """Return a time without offset as one of a zone; a time that the zone's clocks show twice or never is refused."""
    if not zone:
        raise Misconfigured(f"{text!r} does not say in which zone", hint=f"{_EXAMPLE}, or give --zone Europe/Oslo")
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Misconfigured(f"there is no time zone {zone!r}", hint="give one such as Europe/Oslo or UTC") from error
    early, late = (read.replace(tzinfo=place, fold=fold) for fold in (0, 1))
    if early.utcoffset() != late.utcoffset():
        shown = "twice" if (late.utcoffset() or dt.timedelta()) < (early.utcoffset() or dt.timedelta()) else "never"
        raise Misconfigured(f"{text!r}: the clocks of {zone} show that time {shown} that day", hint=_EXAMPLE)
    return early
