"""DynamoDB answers about state rows that no emulator gives."""

import asyncio

import orjson
import pytest

from pipeline.aws.session import STATE, Aws
from pipeline.aws.state import DynamoDBStateStore
from pipeline.model.errors import Corrupt, RetryLater
from pipeline.ports import StateRow
from tests.unit.aws.canned import Answer, Canned, error


def _store(aws: Aws, *answers: Answer) -> tuple[DynamoDBStateStore, Canned]:
    caller = aws.dynamodb("us-east-1", STATE)
    return DynamoDBStateStore(caller, "state"), Canned(caller.client, *answers)


def _row(key: str) -> dict[str, object]:
    return {"leaseKey": {"S": key}, "leaseCounter": {"N": "1"}}


def test_keys_left_out_are_asked_for_again(aws: Aws) -> None:
    """An answer that leaves keys out is completed, consistently read; no row is taken for absent."""
    left = {"state": {"Keys": [{"leaseKey": {"S": "b"}}], "ConsistentRead": True}}
    store, canned = _store(
        aws,
        (200, {"Responses": {"state": [_row("a")]}, "UnprocessedKeys": left}),
        (200, {"Responses": {"state": [_row("b")]}, "UnprocessedKeys": {}}),
    )
    assert sorted(asyncio.run(store.read(["a", "b"]))) == ["a", "b"]
    first, second = (orjson.loads(body)["RequestItems"]["state"] for body in canned.bodies)
    assert first["ConsistentRead"]
    assert second == left["state"]


def test_keys_left_out_for_ever_are_no_answer(aws: Aws) -> None:
    """A table that goes on leaving keys out is throttled: asking ends, and nothing is taken for absent."""
    left = {"state": {"Keys": [{"leaseKey": {"S": "b"}}], "ConsistentRead": True}}
    store, canned = _store(aws, (200, {"Responses": {}, "UnprocessedKeys": left}))
    with pytest.raises(RetryLater, match="throttled"):
        asyncio.run(store.read(["b"]))
    assert len(canned.bodies) == 5


@pytest.mark.parametrize("row", [{"leaseKey": {"S": "a"}}, {**_row("a"), "x": {"BOOL": True}}])
def test_a_row_of_somebody_else_is_corrupt(aws: Aws, row: dict[str, object]) -> None:
    """A row without a version, or with a type we never write, is not guessed at."""
    store, _ = _store(aws, (200, {"Responses": {"state": [row]}, "UnprocessedKeys": {}}))
    with pytest.raises(Corrupt, match="state"):
        asyncio.run(store.read(["a"]))


@pytest.mark.fault("E1")
def test_a_lost_answer_is_not_a_refusal(aws: Aws) -> None:
    """When the outcome of a write is unknown the caller is told so, and the write is not sent again."""
    store, canned = _store(aws, error("InternalServerError", 500))
    with pytest.raises(RetryLater):
        asyncio.run(store.write(StateRow("a", 2, {}), 1))
    assert len(canned.bodies) == 1
