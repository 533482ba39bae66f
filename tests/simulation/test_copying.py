"""A table copied while it changes, by hosts that die: the replica and the folded archive end equal to it."""

from collections.abc import Iterator

import pytest

from tests.simulation.copying import CopyWorld
from tests.simulation.gate import quiet
from tests.simulation.loop import SimLoop
from tests.simulation.scenario import HOSTS, Tally, scenario

SEEDS = 10


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.fault("O3")
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_copy_ends_equal_to_its_table(seed: int) -> None:
    """Whoever dies, whatever moves: every row arrives or is overtaken, no deleted item comes back."""
    loop = SimLoop(seed)
    loop.run_until_complete(scenario(CopyWorld(loop), Tally(), (*HOSTS, "copy")))
