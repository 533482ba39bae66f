"""DynamoDB answers that no emulator gives."""

import asyncio
from typing import Any

import orjson
import pytest
from botocore.exceptions import ConnectionClosedError

from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.session import READ, WRITE, Aws
from pipeline.model.errors import Misconfigured, Rejected, RetryLater
from pipeline.ports import ItemWrite
from pipeline.testing.fakes import ManualClock
from tests.unit.aws.canned import Answer, Canned, error

IMAGE = b'{ "pk":{"S":"a"}, "n":{"N":"1.500"} }'
WRITES = [ItemWrite("orders", b'{"pk":{"S":"a"}}', IMAGE), ItemWrite("orders", b'{"pk":{"S":"b"}}', None)]


def _store(aws: Aws, *answers: Answer) -> tuple[DynamoDBItemStore, Canned]:
    store = DynamoDBItemStore(aws, "us-east-1", ManualClock())
    return store, Canned(aws.dynamodb("us-east-1", WRITE, raw=True).client, *answers)


def _transact(store: DynamoDBItemStore) -> bool:
    return asyncio.run(store.transact(WRITES, "positions", "row", 3, 5))


def _cancelled(*codes: str) -> Answer:
    return error("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def test_images_are_sent_as_they_are(aws: Aws) -> None:
    """The bytes of an image are in the request untouched, and the whole is what DynamoDB expects."""
    store, canned = _store(aws, (200, {}))
    assert _transact(store)
    (body,) = canned.bodies
    assert IMAGE in body
    sent = orjson.loads(body)
    put, delete, move = sent["TransactItems"]
    assert put == {"Put": {"TableName": "orders", "Item": orjson.loads(IMAGE)}}
    assert delete == {"Delete": {"TableName": "orders", "Key": {"pk": {"S": "b"}}}}
    assert move["Put"]["Item"] == {"row": {"S": "row"}, "position": {"N": "5"}}
    assert move["Put"]["ExpressionAttributeValues"] == {":old": {"N": "3"}}


def test_the_same_call_has_the_same_token(aws: Aws) -> None:
    """A repeated call is recognised by DynamoDB; any other call is another."""
    store, canned = _store(aws, (200, {}))
    _transact(store)
    _transact(store)
    asyncio.run(store.transact(WRITES, "positions", "row", 3, 6))
    tokens = [orjson.loads(body)["ClientRequestToken"] for body in canned.bodies]
    assert tokens[0] == tokens[1] != tokens[2]
    assert len(tokens[0]) <= 36


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("None", "None", "ConditionalCheckFailed"), False),
        (("ValidationError", "None", "ConditionalCheckFailed"), False),
        (("None", "ValidationError", "None"), Rejected),
        (("ThrottlingError", "ValidationError", "None"), Rejected),
        (("TransactionConflict", "None", "None"), RetryLater),
        (("None", "None", "TransactionConflict"), RetryLater),
        (("ProvisionedThroughputExceeded", "None", "None"), RetryLater),
    ],
)
def test_the_reasons_of_a_cancelled_transaction(aws: Aws, codes: tuple[str, ...], expected: Any) -> None:
    """A moved row ends it, an impossible item is named by its index, everything else may pass."""
    store, _ = _store(aws, _cancelled(*codes))
    if expected is False:
        assert not _transact(store)
        return
    with pytest.raises(expected) as caught:
        _transact(store)
    if expected is Rejected:
        assert caught.value.positions == {1: "ValidationError"}


@pytest.mark.parametrize(
    "answer",
    [
        error("TransactionInProgressException"),
        error("ThrottlingException"),
        error("x", 500),
        ConnectionClosedError(endpoint_url="u"),
    ],
)
def test_an_unknown_outcome_may_be_repeated(aws: Aws, answer: Answer) -> None:
    """No answer, a busy table and our own earlier try still under way are for the caller to repeat."""
    store, canned = _store(aws, answer)
    with pytest.raises(RetryLater):
        _transact(store)
    assert len(canned.bodies) == 1


def test_a_request_refused_without_a_culprit_is_not_blamed_on_items(aws: Aws) -> None:
    """When every item alone would be taken the request is at fault, and no change is given up for it."""
    fine = error("ConditionalCheckFailedException")
    store, canned = _store(aws, error("ValidationException"), fine)
    with pytest.raises(Misconfigured) as caught:
        _transact(store)
    assert "SECRET" not in str(caught.value)
    assert len(canned.bodies) == 1 + len(WRITES)


def test_a_throttled_batch_may_be_repeated(aws: Aws) -> None:
    """A batch of which nothing could be written is offered again as a whole."""
    store, _ = _store(aws, error("ProvisionedThroughputExceededException"))
    with pytest.raises(RetryLater):
        asyncio.run(store.write_batch(WRITES))


def test_what_decides_is_read_consistently(aws: Aws) -> None:
    """A position and a scan see every write finished before they began, on every page."""
    store, _ = _store(aws, (200, {}))
    page = {"Items": [{"pk": {"S": "a"}}], "LastEvaluatedKey": {"pk": {"S": "a"}}}
    reads = Canned(aws.dynamodb("us-east-1", READ, raw=True).client, (200, {}), (200, page), (200, {"Items": []}))

    async def read() -> list[object]:
        assert await store.position("positions", "row") == 0
        return [item async for item in store.scan("orders")]

    assert asyncio.run(read()) == page["Items"]
    sent = [orjson.loads(body) for body in reads.bodies]
    assert [request["ConsistentRead"] for request in sent] == [True, True, True]
    assert sent[2]["ExclusiveStartKey"] == page["LastEvaluatedKey"]
