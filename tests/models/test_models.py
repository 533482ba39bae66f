"""The models hold in every state they can reach, each of their mutants fails, and what they name exists."""

import os
import pkgutil
from pathlib import Path

import pytest

from tests.models import spin
from tests.said import say

LINES_MAX = 149
MUTANTS_MIN = 3
FAULTS = os.environ.get("FAULTS", "")
"""How many faults a run of a model may have, in place of the model's own number: for a long search."""
MUTANTS = [(model, mutant) for model in spin.names() for mutant in spin.mutants(model)]


@pytest.mark.fault("P4", "E1", "E2", "A1", "A2")
@pytest.mark.needs_spin
@pytest.mark.timeout(spin.LARGE_CHECK_SECONDS_MAX)
@pytest.mark.parametrize("model", spin.names())
def test_a_model_holds(model: str, tmp_path: Path) -> None:
    """In no state is an assertion wrong, every run ends, and it ends with all the work done."""
    verdict = spin.check(model, tmp_path, *([f"FAULTS={FAULTS}"] if FAULTS else []), large=bool(FAULTS))
    say(f"model {model}: {verdict.states:,} states in {verdict.seconds:.1f} s, no violation")
    assert verdict.violation == ""


@pytest.mark.needs_spin
@pytest.mark.parametrize(("model", "mutant"), MUTANTS)
def test_a_mutant_fails(model: str, mutant: str, tmp_path: Path) -> None:
    """What a model leaves out is missed: an assertion fails, or a run never ends."""
    verdict = spin.check(model, tmp_path, mutant)
    say(f"mutant {model} {mutant}: {verdict.violation or 'NOT FOUND'}")
    assert "assertion violated" in verdict.violation or "non-progress cycle" in verdict.violation


@pytest.mark.parametrize("model", spin.names())
def test_what_a_model_stands_for_exists(model: str) -> None:
    """Every function of the core that an action names is there, and there are enough mutants, all explained."""
    cores = spin.core_names(model)
    assert cores
    assert len(cores) == spin.text(model).count("core:")
    for name in cores:
        assert pkgutil.resolve_name(name) is not None
    page = (spin.MODELS / "README.md").read_text()
    assert len(spin.mutants(model)) >= MUTANTS_MIN
    assert [mutant for mutant in spin.mutants(model) if f"`{mutant}`" not in page] == []


@pytest.mark.parametrize("model", spin.names())
def test_a_model_can_be_read(model: str) -> None:
    """A model that is longer than two screens shows nothing to a reader."""
    lines = spin.text(model).splitlines()
    assert len(lines) <= LINES_MAX
    assert max(map(len, lines)) <= 120
