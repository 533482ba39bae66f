"""Tables on emulators: what a set-up and a check are told."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.aws.clock import SystemClock
from pipeline.aws.session import CONTROL, Aws
from pipeline.aws.tables import KeyAttribute, Tables
from pipeline.model.errors import Misconfigured

pytestmark = pytest.mark.emulator
REGION = "eu-west-1"
KEYS = (KeyAttribute("pk", "S"), KeyAttribute("a_sort", "N"))
Run = Callable[[Any], Any]


@pytest.fixture(params=["dynamodb-local", "ministack"])
def aws(request: pytest.FixtureRequest, aws_on: Callable[..., Aws]) -> Aws:
    """The clients of each emulator in turn."""
    return aws_on(request.param)


@pytest.fixture
def tables(aws: Aws) -> Tables:
    """The tables of one region."""
    return Tables(aws.dynamodb(REGION, CONTROL), SystemClock())


def test_an_absent_table_is_none(tables: Tables, run: Run, name: str) -> None:
    """A table that is not there is told from one that is."""
    assert run(tables.describe(name)) is None


def test_a_table_is_created_once(tables: Tables, run: Run, name: str) -> None:
    """Keys come hash first, no stream is on unless asked for, and creating again changes nothing."""
    table = run(tables.create(name, KEYS))
    assert (table.name, table.region, table.active, table.keys) == (name, REGION, True, KEYS)
    assert (table.stream_enabled, table.stream_arn, table.view_type) == (False, "", "")
    assert run(tables.create(name, KEYS)) == table


def test_a_table_of_other_keys_is_no_match(tables: Tables, run: Run, name: str) -> None:
    """A table that exists with other keys is refused, not used."""
    run(tables.create(name, KEYS))
    with pytest.raises(Misconfigured, match="other key attributes"):
        run(tables.create(name, KEYS[:1]))


def test_a_stream_is_switched_on_once(tables: Tables, run: Run, name: str) -> None:
    """A stream gets both images and a label; switching it on again keeps it."""
    run(tables.create(name, KEYS))
    table = run(tables.enable_stream(name))
    assert (table.stream_enabled, table.view_type) == (True, "NEW_AND_OLD_IMAGES")
    assert table.stream_label
    assert table.stream_label in table.stream_arn
    assert run(tables.enable_stream(name)) == table


def test_a_stream_of_another_view_type_is_left_alone(aws: Aws, tables: Tables, run: Run, name: str) -> None:
    """A stream that others may read is not replaced behind their back."""
    run(tables.create(name, KEYS))
    aws.dynamodb(REGION, CONTROL).client.update_table(
        TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    )
    with pytest.raises(Misconfigured, match="KEYS_ONLY"):
        run(tables.enable_stream(name))


def test_a_stream_of_no_table_is_refused(tables: Tables, run: Run, name: str) -> None:
    """Switching on the stream of an absent table names the table and region."""
    with pytest.raises(Misconfigured, match=rf"{name} in {REGION}"):
        run(tables.enable_stream(name))


INDEXED: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "a_sort", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("a_sort", "N"))],
    "ProvisionedThroughput": {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4},
    "LocalSecondaryIndexes": [
        {
            "IndexName": "local",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "a_sort", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "global",
            "KeySchema": [{"AttributeName": "a_sort", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x", "b"]},
            "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
        }
    ],
}


def test_a_table_is_made_like_another(aws: Aws, tables: Tables, run: Run, name: str) -> None:
    """It has the other's keys, indexes and throughput, but never its time to live; making it again changes nothing."""
    client = aws.dynamodb(REGION, CONTROL).client
    client.create_table(TableName=name, **INDEXED)
    client.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    like = run(tables.likeness(name))
    made = run(tables.create_like(f"{name}-copy", like))
    assert made.keys == run(tables.describe(name)).keys == KEYS
    assert made.indexes == run(tables.describe(name)).indexes
    assert len(made.indexes) == 2
    assert run(tables.create_like(f"{name}-copy", like)) == made
    copy = client.describe_table(TableName=f"{name}-copy")["Table"]
    assert copy["ProvisionedThroughput"]["WriteCapacityUnits"] == 4
    assert copy["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["WriteCapacityUnits"] == 2
    ttl = client.describe_time_to_live(TableName=f"{name}-copy")["TimeToLiveDescription"]
    assert ttl["TimeToLiveStatus"] == "DISABLED"
    assert any("time to live (expires)" in each for each in like.left)


def test_a_table_like_none_is_refused(tables: Tables, run: Run, name: str) -> None:
    """The error names the table that is not there."""
    with pytest.raises(Misconfigured, match=f"there is no table {name}"):
        run(tables.likeness(name))
