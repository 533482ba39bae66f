"""The contract of StateStore, on the fake and on emulators."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.aws.clock import SystemClock
from pipeline.aws.session import CONTROL, STATE
from pipeline.aws.state import DynamoDBStateStore
from pipeline.aws.tables import Tables
from pipeline.ports import FieldValue, StateRow, StateStore
from pipeline.testing.fakes import FakeStateStore

REGION = "us-east-1"
Run = Callable[[Any], Any]


@pytest.fixture(
    params=["fake", *(pytest.param(n, marks=pytest.mark.emulator) for n in ("dynamodb-local", "ministack"))]
)
def store(request: pytest.FixtureRequest, run: Run, name: str) -> StateStore:
    """Each store in turn, empty."""
    if request.param == "fake":
        return FakeStateStore()
    aws = request.getfixturevalue("aws_on")(request.param)
    run(Tables(aws.dynamodb(REGION, CONTROL), SystemClock()).create_state(name))
    return DynamoDBStateStore(aws.dynamodb(REGION, STATE), name)


def test_a_row_is_created_once(store: StateStore, run: Run) -> None:
    """A row that is not there is not found; of two creations the first counts."""
    assert run(store.read(["a"])) == {}
    assert run(store.write(StateRow("a", 1, {"owner": "me"}), None))
    assert not run(store.write(StateRow("a", 1, {"owner": "you"}), None))
    assert run(store.read(["a"])) == {"a": StateRow("a", 1, {"owner": "me"})}


def test_only_the_expected_version_is_replaced(store: StateStore, run: Run) -> None:
    """A write whose expectation is old, or of a row that is not there, changes nothing; a good one replaces all."""
    run(store.write(StateRow("a", 1, {"owner": "me", "more": 1}), None))
    assert run(store.write(StateRow("a", 2, {"owner": "you"}), 1))
    assert not run(store.write(StateRow("a", 2, {"owner": "me"}), 1))
    assert not run(store.write(StateRow("b", 2, {}), 1))
    assert run(store.read(["a", "b"])) == {"a": StateRow("a", 2, {"owner": "you"})}


def test_fields_come_back_as_they_went(store: StateStore, run: Run) -> None:
    """Text, whole numbers, bytes and sets of text keep their type and value."""
    fields: dict[str, FieldValue] = {
        "text": "\u00e9",
        "empty": "",
        "digits": "00012",
        "number": -(10**37),
        "zero": 0,
        "bytes": bytes(range(256)),
        "set": frozenset({"a", "b"}),
        "entityType": "LEASE",
    }
    run(store.write(StateRow("a", 0, fields), None))
    assert run(store.read(["a"]))["a"].fields == fields


def test_many_rows_are_read_at_once(store: StateStore, run: Run) -> None:
    """More keys than one request takes, some twice and some absent, find exactly the rows that exist."""
    keys = [f"row-{i:03d}" for i in range(130)]
    for key in keys:
        assert run(store.write(StateRow(key, 1, {}), None))
    assert sorted(run(store.read([*keys, keys[0], "absent"]))) == keys


@pytest.mark.fault("E2")
def test_of_many_at_once_one_wins(store: StateStore, run: Run) -> None:
    """Of writers that expect one version only one succeeds, and the row is its."""
    run(store.write(StateRow("a", 1, {}), None))

    async def race() -> list[bool]:
        return await asyncio.gather(*(store.write(StateRow("a", 2, {"owner": str(i)}), 1) for i in range(20)))

    won = run(race())
    assert won.count(True) == 1
    assert run(store.read(["a"]))["a"].fields == {"owner": str(won.index(True))}
