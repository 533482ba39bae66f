"""A copy that takes longer than the streams keep their changes: it was begun after the stream, so nothing is lost."""

import pytest

from tests.simulation.gate import quiet
from tests.simulation.long_copy import COPY_HOURS, KEPT_HOURS, run

SHORT_HOUR_SECONDS = 24.0
"""Leases take ten seconds still, so it cannot be much shorter; the module, run by itself, has whole hours."""


@pytest.mark.fault("O3")
def test_a_copy_of_thirty_hours_loses_nothing_to_streams_of_twenty_four() -> None:
    """Changes from before the last rows were read are forgotten by the stream, hosts die: all ends equal."""
    with quiet():
        told = run(0, SHORT_HOUR_SECONDS)
    assert told.copy_hours >= COPY_HOURS > KEPT_HOURS
    assert told.trimmed
    assert told.kills
