"""A table after another's definition: what is taken over, what is not, and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Described = Mapping[str, Any]
"""What DescribeTable says of a table."""
PROVISIONED = "PROVISIONED"
RESERVED_TAGS = "aws:"
"""Tags that begin so are the service's own."""


class Likeness(NamedTuple):
    """How to make a table like another."""

    request: dict[str, Any]
    """Of CreateTable, without a name and without a stream."""
    taken: tuple[str, ...]
    """What it takes over beside the keys, in words."""
    left: tuple[str, ...]
    """What it does not, in words, each with the reason."""


def likeness(source: Described, tags: Sequence[Mapping[str, str]] | None, ttl_attribute: str | None) -> Likeness:
    """Return how to make a table like `source`; tags and time to live are None when nobody could say.

    Time to live is not taken over: the replica would delete items by its own clock, beside the deletes that arrive.
    """
    indexes = [*source.get("LocalSecondaryIndexes", ()), *source.get("GlobalSecondaryIndexes", ())]
    request: dict[str, Any] = {
        "KeySchema": source["KeySchema"],
        "AttributeDefinitions": source["AttributeDefinitions"],
        **_billing(source),
        **_indexes(source),
        **_class(source),
    }
    taken = [f"{len(indexes)} indexes"] if indexes else []
    if "ProvisionedThroughput" in request:
        taken.append("provisioned throughput")
    if source.get("SSEDescription", {}).get("SSEType") == "KMS":
        request["SSESpecification"] = {"Enabled": True, "SSEType": "KMS"}
        taken.append("encryption with a KMS key")
    if source.get("DeletionProtectionEnabled"):
        request["DeletionProtectionEnabled"] = True
        taken.append("deletion protection")
    own = [dict(tag) for tag in tags or () if not tag["Key"].startswith(RESERVED_TAGS)]
    if own:
        request["Tags"] = own
        taken.append(f"{len(own)} tags")
    return Likeness(request, tuple(taken), tuple(_left(source, request, tags, ttl_attribute)))


def index_texts(table: Described) -> tuple[str, ...]:
    """Return each secondary index in words that are equal for equal indexes: name, kind, keys, projection."""
    return tuple(
        sorted(
            f"{index['IndexName']} ({kind}: {_keys_text(index)}; {_projection_text(index['Projection'])})"
            for kind, field in (("local", "LocalSecondaryIndexes"), ("global", "GlobalSecondaryIndexes"))
            for index in table.get(field, ())
        )
    )


def _billing(table: Described) -> dict[str, Any]:
    if _is_provisioned(table):
        return {"BillingMode": PROVISIONED, "ProvisionedThroughput": _throughput(table["ProvisionedThroughput"])}
    return {"BillingMode": "PAY_PER_REQUEST", **_most(table)}


def _is_provisioned(table: Described) -> bool:
    """Return True for provisioned throughput: a table that never was on demand says nothing of its mode."""
    mode = table.get("BillingModeSummary", {}).get("BillingMode")
    units = table.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0)
    return bool(mode == PROVISIONED or (mode is None and units > 0))


def _throughput(given: Described) -> dict[str, int]:
    return {name: given[name] for name in ("ReadCapacityUnits", "WriteCapacityUnits")}


def _most(of: Described) -> dict[str, Any]:
    """Return the ceiling of a table or an index on demand, if it has one."""
    most = {name: units for name, units in of.get("OnDemandThroughput", {}).items() if units and units > 0}
    return {"OnDemandThroughput": most} if most else {}


def _class(table: Described) -> dict[str, Any]:
    name = table.get("TableClassSummary", {}).get("TableClass", "STANDARD")
    return {} if name == "STANDARD" else {"TableClass": name}


def _indexes(table: Described) -> dict[str, Any]:
    local = [_index(index) for index in table.get("LocalSecondaryIndexes", ())]
    throughout = [
        {
            **_index(index),
            **(
                {"ProvisionedThroughput": _throughput(index["ProvisionedThroughput"])}
                if _is_provisioned(table)
                else _most(index)
            ),
        }
        for index in table.get("GlobalSecondaryIndexes", ())
    ]
    found = {"LocalSecondaryIndexes": local, "GlobalSecondaryIndexes": throughout}
    return {field: some for field, some in found.items() if some}


def _index(index: Described) -> dict[str, Any]:
    return {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}


def _left(
    source: Described, request: Described, tags: Sequence[Mapping[str, str]] | None, ttl_attribute: str | None
) -> Iterator[str]:
    if ttl_attribute is None:
        yield "time to live, which could not be read"
    elif ttl_attribute:
        yield f"time to live ({ttl_attribute}): its deletes arrive as changes"
    if tags is None:
        yield "tags, which could not be read"
    if "SSESpecification" in request:
        yield "the KMS key itself, which belongs to a region: DynamoDB's own is used"
    if "ProvisionedThroughput" in request:
        yield "auto scaling, which is not part of a table"
    if source.get("Replicas"):
        yield "the global table's other replicas"


def _keys_text(index: Described) -> str:
    return ", ".join(f"{part['AttributeName']} {part['KeyType']}" for part in index["KeySchema"])


def _projection_text(projection: Described) -> str:
    names = sorted(projection.get("NonKeyAttributes", ()))
    return " ".join([projection.get("ProjectionType", "ALL"), *names])
