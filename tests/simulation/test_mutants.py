"""The seeds that are known to find the planted bugs find them, and find nothing in the real code."""

from collections.abc import Iterator

import pytest

from tests.simulation.gate import first_seeds, outcome, quiet
from tests.simulation.mutants import MUTANTS
from tests.simulation.planting import planted

FIRST_SEEDS = first_seeds()
SEEDS_TRIED = 150


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


def test_every_mutant_has_a_seed() -> None:
    """The table of first seeds names all planted bugs and no others."""
    assert FIRST_SEEDS.keys() == MUTANTS.keys()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    """A planted bug breaks a promise in the world of its seed, or in an early one when the code has moved."""
    with planted(MUTANTS[name]):
        assert any(outcome(seed) for seed in (FIRST_SEEDS[name], *range(SEEDS_TRIED))), MUTANTS[name].bug


@pytest.mark.parametrize("seed", sorted(set(FIRST_SEEDS.values())))
def test_the_real_code_keeps_its_promises_there(seed: int) -> None:
    """The same worlds hold for the code as it is: it is the bug that was found."""
    assert not outcome(seed)
