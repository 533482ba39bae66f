"""How long an archive is kept: what people write, and where the window begins."""

import pytest

from pipeline.history.moment import text_of
from pipeline.model.errors import Misconfigured
from pipeline.wiring.prune import duration_ms, horizon

DAY_MS = 24 * 3_600_000


@pytest.mark.parametrize(("text", "days"), [("35d", 35), ("8w", 56), ("48h", 2), ("86400s", 1)])
def test_durations_are_read(text: str, days: int) -> None:
    """Seconds to weeks."""
    assert duration_ms(text) == days * DAY_MS


@pytest.mark.parametrize("text", ["", "35", "1m", "0d", "-1d", "1.5d", "5y", "35 d", "1d2h", "99999999999d"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    """Nothing is guessed where objects are about to be deleted."""
    with pytest.raises(Misconfigured, match="is no duration") as caught:
        duration_ms(text)
    assert "35d" in caught.value.hint


def test_the_window_begins_at_a_whole_second() -> None:
    """Also one that is longer than there has been time."""
    assert horizon(10 * DAY_MS + 1_234, 3 * DAY_MS) == 7 * DAY_MS + 1_000
    assert text_of(horizon(10 * DAY_MS, duration_ms("9999999w")) - 1_000) == "1970-01-01T00:00:00Z"
