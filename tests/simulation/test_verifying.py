"""Tables compared with their replicas while hosts die: what is on its way is never called a difference."""

from collections.abc import Iterator

import pytest

from tests.simulation.gate import quiet
from tests.simulation.loop import SimLoop
from tests.simulation.scenario import HOSTS, Tally, scenario
from tests.simulation.verifying import VerifyWorld

SEEDS = 10


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_difference_is_invented(seed: int) -> None:
    """Whoever dies or stands still, whatever moves, is lost or trimmed: no item is called different."""
    loop = SimLoop(seed)
    loop.run_until_complete(scenario(VerifyWorld(loop), Tally(), (*HOSTS, "verify")))
