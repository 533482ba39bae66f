"""Shards of table streams that roll, on a server whose clock races, while processes are killed: real ones."""

from pathlib import Path

import pytest

from pipeline.local.child import Unavailable
from tests.nemesis.campaign import arguments, part
from tests.nemesis.servers import racing

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(600), pytest.mark.slow]

SPEED = 250
"""Four hours in 58 s."""
ROLLS_MIN = 6
WORLD = "--captures 2 --workers 1 --shards 2 --lease 3 --rate 60 --only KILL --fork --quick"


@pytest.mark.fault("D1", "D4")
def test_nothing_is_lost_while_shards_roll_and_captures_die(tmp_path: Path) -> None:
    """Six tables whose shards roll and whose iterators expire, captures killed: all sinks are sound."""
    try:
        racing(SPEED)
    except Unavailable as error:
        pytest.skip(f"{error}; {error.hint}")
    line = f"{WORLD} --hits 8 --rolls {ROLLS_MIN} --seed 7 --speed {SPEED} --ledger {tmp_path / 'ledger.md'}"
    outcome = part(arguments(line.split()))
    assert outcome.sound, (outcome.sinks, outcome.complaints, outcome.regressed)
    assert outcome.events["roll"] >= ROLLS_MIN
