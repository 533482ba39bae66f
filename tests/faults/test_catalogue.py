"""The catalogue is whole, and what it says of the tests is true."""

import inspect
import re
from collections.abc import Iterator

import pytest

from pipeline.testing.contract import SinkContract
from tests.faults.catalogue import coverage, faults, marked, shown
from tests.faults.stands_for import CONTRACT, WORLDS
from tests.simulation.gate import quiet
from tests.simulation.scenario import Tally, run
from tests.simulation.troubles import Trouble

WORLDS_TRIED = 60
"""As many as `make test` runs."""


@pytest.fixture
def _quiet() -> Iterator[None]:
    with quiet():
        yield


def test_every_fault_has_an_id_of_its_own() -> None:
    """78 faults, each id once, each with what must follow, and no reason for a lack beside a test."""
    ids = [fault.id for fault in faults()]
    assert (len(ids), len(set(ids))) == (78, 78)
    assert all(re.fullmatch(r"[A-Z]\d{1,2}", id_) for id_ in ids)
    assert all(fault.what and fault.expect for fault in faults())
    assert [fault.id for fault in faults() if fault.none and fault.id in shown()] == []


def test_no_test_names_an_unknown_fault() -> None:
    """Markers and tables name catalogued ids only."""
    assert shown().keys() <= {fault.id for fault in faults()}


def test_every_case_of_the_contract_is_there() -> None:
    """The table names cases the contract has."""
    assert CONTRACT.keys() <= {name for name, _ in inspect.getmembers(SinkContract, inspect.isfunction)}


@pytest.mark.usefixtures("_quiet")
def test_the_worlds_meet_every_trouble() -> None:
    """Each trouble is in the table, and happens in the worlds of `make test`, in the first few of them as a rule."""
    assert WORLDS.keys() == set(Trouble)
    tally = Tally()
    for seed in range(WORLDS_TRIED):
        run(seed, tally)
        if tally.met.keys() >= set(Trouble):
            break
    assert set(Trouble) - {trouble for trouble, count in tally.met.items() if count} == set()


def test_marks_are_found() -> None:
    """A mark on a function, a method and a class counts, whatever stands between; others do not."""
    text = """
@pytest.mark.fault("A1")
@pytest.mark.parametrize("x", [1])
def test_one(): ...

@pytest.mark.fault("B2", "B3")
class TestTwo:
    @pytest.mark.fault("C1")
    async def test_three(self): ...
    def other(self): ...

@pytest.mark.emulator
def test_four(): ...
"""
    assert list(marked(text)) == [("test_one", ("A1",)), ("TestTwo::test_three", ("B2", "B3", "C1"))]


def test_every_marked_test_is_run(request: pytest.FixtureRequest) -> None:
    """What the markers of the source say is what pytest knows: a mark on something that is no test would show here."""
    collected = {
        (item.nodeid.partition("[")[0], id_)
        for item in request.session.items
        for mark in item.iter_markers("fault")
        for id_ in mark.args
    }
    written = {(str(each), id_) for id_, found in shown().items() for each in found}
    assert collected <= written


def test_the_line_of_coverage_counts() -> None:
    """The line names how many of 78 ids have a test."""
    with_test = sum(fault.id in shown() for fault in faults())
    assert coverage().startswith(f"faults: {with_test} of 78 ids have a test")
