"""Somebody takes over, and soon: after SIGTERM at the next look, after a kill when the lease has expired."""

from collections.abc import Iterator

import pytest

from tests.simulation.gate import quiet
from tests.simulation.takeover import End, seconds_until_read

SEEDS = 6


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.fault("P2")
@pytest.mark.parametrize("seed", range(SEEDS))
def test_who_is_stopped_is_followed_within_two_seconds(seed: int) -> None:
    """With a lease of 10 s the next owner reads 2 s after SIGTERM: it hears that leases were given back."""
    assert seconds_until_read(seed, End.STOPPED) < 2.0


@pytest.mark.fault("P1")
@pytest.mark.parametrize("seed", range(SEEDS))
def test_who_is_killed_is_followed_within_fifteen_seconds(seed: int) -> None:
    """With a lease of 10 s: its last sign is seen at most a third of that late, its expiry to the moment."""
    assert seconds_until_read(seed, End.KILLED) < 15.0
