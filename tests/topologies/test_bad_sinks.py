"""The contract finds sinks that break it: a test kit that passes everything would prove nothing."""

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from pipeline.model.errors import Corrupt
from pipeline.plugin import Batch
from pipeline.testing.context import StoresContext
from pipeline.testing.contract import SinkContract
from tests.topologies import bad_sinks
from tests.topologies.bad_sinks import OverItems, OverObjects


class Counter(bad_sinks.Filer):
    """Counts on every range to follow the one before, and its topology does not ask for those without changes."""

    def __init__(self, context: StoresContext) -> None:
        super().__init__(context)
        self.at: dict[str, int] = {}

    async def write(self, batch: Batch) -> None:
        """Refuse a hole."""
        if self.at.get(batch.shard, batch.first) < batch.first - 1:
            raise Corrupt(f"there is a hole before {batch.first}")
        await super().write(batch)
        self.at[batch.shard] = batch.last


GROSS = {*range(1, 9), *range(11, 19), *range(20, 27), *range(28, 38), *range(39, 49)}
BAD: Mapping[type[Any], set[int]] = {
    bad_sinks.Liar: GROSS,
    bad_sinks.Renamer: GROSS - {31} | {19},
    bad_sinks.Reorderer: GROSS - {2, 4, 5, 7, 8, 15, 16, 26, 31, 32, 35, 40, 41, 45, 46, 48} | {19},
    bad_sinks.Leaker: {50},
    bad_sinks.ImageLeaker: {50},
    bad_sinks.Gossip: {50},
    bad_sinks.Swallower: {24, 32},
    bad_sinks.Hasty: {24, 32},
    bad_sinks.Optimist: {8, 31, 32, 33, 34, 35},
    bad_sinks.Dropper: {8, 31},
    bad_sinks.Mixer: {26, 45, 46, 47},
    bad_sinks.Undead: {18},
    bad_sinks.Squatter: {30},
    Counter: {1, 41, 42, 47},
    bad_sinks.Stubborn: {36, 39},
    bad_sinks.Gatekeeper: {38},
}
"""Each bad sink, and the numbers of exactly the cases that fail."""


def contract_of(sink: type[Any]) -> SinkContract:
    """Return the contract of a sink."""
    contract: OverItems | OverObjects = OverObjects() if issubclass(sink, bad_sinks.Filer) else OverItems()
    contract.sink = sink
    return contract


def failed(contract: SinkContract) -> set[int]:
    """Return the numbers of the cases that fail."""
    return {number_of(name) for name, case, given in runs(contract) if not passes(case, given)}


def runs(contract: SinkContract) -> Iterator[tuple[str, Callable[..., None], dict[str, Any]]]:
    """Yield every case that applies, once for each set of its parameters."""
    for name, case in inspect.getmembers(contract, inspect.ismethod):
        if name.startswith("test_") and not contract.why_not(name):
            marks = [mark.args for mark in getattr(case, "pytestmark", ()) if mark.name == "parametrize"]
            for values in itertools.product(*(values for _, values in marks)):
                yield name, case, dict(zip((argument for argument, _ in marks), values, strict=True))


def number_of(name: str) -> int:
    """Return the number of a case by the name of its test."""
    return int(name.split("_")[1])


def passes(case: Callable[..., None], given: dict[str, Any]) -> bool:
    """Return True when a case passes."""
    try:
        case(**given)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001  # a case fails by whatever it raises
        return False
    return True


@pytest.mark.parametrize("sink", [bad_sinks.Plain, bad_sinks.Filer])
def test_what_bad_sinks_are_made_from_passes(sink: type[Any]) -> None:
    """Each bad sink fails for its own fault, and for nothing it was made from."""
    assert failed(contract_of(sink)) == set()


@pytest.mark.fault("X3", "X4")
@pytest.mark.parametrize("sink", BAD)
def test_a_bad_sink_fails_where_it_should(sink: type[Any]) -> None:
    """Each bad sink fails exactly the cases that its fault breaks, and no other."""
    assert failed(contract_of(sink)) == BAD[sink]


def test_a_sink_without_a_guard_must_say_so() -> None:
    """A sink that shows older images fails when it does not declare that it may."""

    class Boasting(OverItems):
        may_regress = False

    assert failed(Boasting()) == {22, 23, 24, 27, 28, 43, 48}


def test_a_sink_that_keeps_more_than_it_says_must_say_so() -> None:
    """A sink that never shows an older image fails when it declares that it may: it would be tested for less."""

    class Modest(OverObjects):
        may_regress = True

    assert failed(Modest()) == {10}
