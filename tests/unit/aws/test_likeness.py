"""A replica's definition: what it takes over of its source, and what it is said not to."""

from typing import Any

from pipeline.aws.likeness import index_texts, likeness

KEY = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
BY_STATE = [{"AttributeName": "state", "KeyType": "HASH"}]
INCLUDE = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["b", "a"]}
SOURCE: dict[str, Any] = {
    "TableName": "orders",
    "KeySchema": KEY,
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "state")],
    "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6, "NumberOfDecreasesToday": 1},
    "LocalSecondaryIndexes": [
        {"IndexName": "l", "KeySchema": KEY, "Projection": {"ProjectionType": "ALL"}, "IndexArn": "arn:…"}
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "g",
            "KeySchema": BY_STATE,
            "Projection": INCLUDE,
            "IndexStatus": "ACTIVE",
            "ItemCount": 7,
            "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:us-east-1:1:key/k"},
    "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS"},
    "DeletionProtectionEnabled": True,
}
TAGS = [{"Key": "team", "Value": "a"}, {"Key": "aws:cloudformation:stack-name", "Value": "s"}]


def test_a_definition_is_taken_over() -> None:
    """Keys, indexes, throughput, class, encryption, protection, tags; no stream, nothing of a region."""
    like = likeness(SOURCE, TAGS, "")
    assert like.request == {
        "KeySchema": KEY,
        "AttributeDefinitions": SOURCE["AttributeDefinitions"],
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
        "LocalSecondaryIndexes": [{"IndexName": "l", "KeySchema": KEY, "Projection": {"ProjectionType": "ALL"}}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "g",
                "KeySchema": BY_STATE,
                "Projection": INCLUDE,
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
            }
        ],
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "SSESpecification": {"Enabled": True, "SSEType": "KMS"},
        "DeletionProtectionEnabled": True,
        "Tags": [{"Key": "team", "Value": "a"}],
    }
    assert "2 indexes" in like.taken
    assert any("KMS key itself" in each for each in like.left)


def test_on_demand_stays_on_demand() -> None:
    """Units that are shown as zero are no throughput; a ceiling goes along, for an index too."""
    ceiling = {"MaxReadRequestUnits": 9, "MaxWriteRequestUnits": -1}
    index = {**SOURCE["GlobalSecondaryIndexes"][0], "OnDemandThroughput": ceiling}
    source = {
        "KeySchema": KEY,
        "AttributeDefinitions": [],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
        "OnDemandThroughput": ceiling,
        "GlobalSecondaryIndexes": [index],
    }
    request = likeness(source, [], "").request
    assert request["BillingMode"] == "PAY_PER_REQUEST"
    assert request["OnDemandThroughput"] == {"MaxReadRequestUnits": 9}
    assert request["GlobalSecondaryIndexes"][0]["OnDemandThroughput"] == {"MaxReadRequestUnits": 9}
    assert "ProvisionedThroughput" not in {**request, **request["GlobalSecondaryIndexes"][0]}


def test_time_to_live_is_never_taken_over() -> None:
    """A replica that deletes by itself would be another table: that it does not is said, and why."""
    like = likeness(SOURCE, TAGS, "expires")
    assert "expires" not in str(like.request)
    assert "time to live (expires): its deletes arrive as changes" in like.left
    assert {"tags, which could not be read", "time to live, which could not be read"} <= {
        *likeness(SOURCE, None, None).left
    }


def test_equal_indexes_have_equal_words() -> None:
    """Whatever the order of indexes and projected attributes; another projection is another index."""
    other = {**SOURCE, "GlobalSecondaryIndexes": [{**SOURCE["GlobalSecondaryIndexes"][0]}]}
    other["GlobalSecondaryIndexes"][0]["Projection"] = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]}
    assert index_texts(SOURCE) == index_texts(other)
    other["GlobalSecondaryIndexes"][0]["Projection"] = {"ProjectionType": "KEYS_ONLY"}
    assert len({*index_texts(SOURCE)} - {*index_texts(other)}) == 1
