"""Tables as a set-up and a check see them: what a table is, and creating another one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pipeline.aws.errors import translated
from pipeline.aws.likeness import Likeness, index_texts, likeness
from pipeline.aws.session import Caller
from pipeline.aws.waiting import until
from pipeline.model.errors import Misconfigured
from pipeline.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

VIEW_TYPE: Literal["NEW_AND_OLD_IMAGES"] = "NEW_AND_OLD_IMAGES"


class KeyAttribute(NamedTuple):
    """One attribute of a primary key."""

    name: str
    type: Literal["S", "N", "B"]


POSITIONS_KEY = KeyAttribute("row", "S")
STATE_KEY = KeyAttribute("leaseKey", "S")


@dataclass(frozen=True, slots=True)
class TableDescription:
    """What is known of a table."""

    name: str
    region: str
    arn: str
    active: bool
    keys: tuple[KeyAttribute, ...]
    """Hash attribute first."""
    stream_enabled: bool
    stream_arn: str
    """The latest stream, also of one that is switched off; empty when there never was one."""
    stream_label: str
    view_type: str
    id: str = ""
    """What tells it from an earlier table of its name."""
    indexes: tuple[str, ...] = ()
    """Its secondary indexes, in the words of `pipeline.aws.likeness`."""


class Tables:
    """The tables of one region."""

    def __init__(self, caller: Caller[DynamoDBClient], clock: Clock) -> None:
        self._caller = caller
        self._clock = clock

    async def describe(self, name: str) -> TableDescription | None:
        """Return what the table is, None when there is none."""
        with translated("dynamodb:DescribeTable", f"table {name}"):
            table = await self._caller.run(_describe, self._caller.client, name)
        return None if table is None else _description(table, self._caller.region)

    async def enable_stream(self, name: str) -> TableDescription:
        """Switch the table's stream on with both images, unless it is on, and return the table once it is active.

        Raises Misconfigured when there is no such table, or its stream is on with another view type: that stream has
        to be switched off first, which is not ours to decide.
        """
        table = await self.describe(name)
        if table is None:
            raise Misconfigured(f"there is no table {name} in {self._caller.region}")
        if table.stream_enabled and table.view_type != VIEW_TYPE:
            raise Misconfigured(
                f"the stream of table {name} has view type {table.view_type}, not {VIEW_TYPE}",
                hint="switch it off, then run this again; its other readers will need the new stream's ARN",
            )
        if not table.stream_enabled:
            with translated("dynamodb:UpdateTable", f"table {name}", carries_items=False):
                await self._caller.run(
                    self._caller.client.update_table,
                    TableName=name,
                    StreamSpecification={"StreamEnabled": True, "StreamViewType": VIEW_TYPE},
                )
        return await self._wait(name, streaming=True)

    async def create(self, name: str, keys: Sequence[KeyAttribute], *, stream: bool = False) -> TableDescription:
        """Create a table billed on demand, unless it exists, and return it once it is active.

        Raises Misconfigured when it exists with other keys.
        """
        ask = _create_request(name, keys)
        if stream:
            ask["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": VIEW_TYPE}
        return await self._create(ask, tuple(keys), streaming=stream)

    async def likeness(self, name: str) -> Likeness:
        """Return how to make a table like this one. Raises Misconfigured when there is none of the name."""
        with translated("dynamodb:DescribeTable", f"table {name}"):
            table = await self._caller.run(_describe, self._caller.client, name)
        if table is None:
            raise Misconfigured(f"there is no table {name} in {self._caller.region}")
        client, tags, ttl = self._caller.client, None, None
        with suppress(Misconfigured), translated("dynamodb:ListTagsOfResource", f"table {name}"):
            tags = await self._caller.run(_tags, client, table["TableArn"])
        with suppress(Misconfigured), translated("dynamodb:DescribeTimeToLive", f"table {name}"):
            ttl = await self._caller.run(_ttl_attribute, client, name)
        return likeness(table, tags, ttl)

    async def create_like(self, name: str, like: Likeness) -> TableDescription:
        """Create a table with another's definition, unless it exists, and return it once it is active.

        Raises Misconfigured when it exists with other keys.
        """
        return await self._create({"TableName": name, **like.request}, _keys(like.request), streaming=False)

    async def _create(
        self, ask: dict[str, Any], keys: tuple[KeyAttribute, ...], *, streaming: bool
    ) -> TableDescription:
        name = ask["TableName"]
        if await self.describe(name) is None:
            with translated("dynamodb:CreateTable", f"table {name}", carries_items=False):
                await self._caller.run(_create, self._caller.client, ask)
        table = await self._wait(name, streaming=streaming)
        if table.keys != keys:
            raise Misconfigured(f"table {name} exists with other key attributes", hint="use another name")
        return table

    async def create_positions(self, name: str) -> TableDescription:
        """Create the table of position rows that `ItemStore.transact` uses, unless it exists."""
        return await self.create(name, (POSITIONS_KEY,))

    async def create_state(self, name: str) -> TableDescription:
        """Create the state table, unless it exists."""
        return await self.create(name, (STATE_KEY,))

    async def _wait(self, name: str, *, streaming: bool) -> TableDescription:
        async def ready() -> TableDescription | None:
            table = await self.describe(name)
            done = table is not None and table.active and (table.stream_enabled or not streaming)
            return table if done else None

        return await until(ready, self._clock, f"table {name} to become active")


def _describe(client: DynamoDBClient, name: str) -> Any:
    try:
        return client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return None


def _create(client: DynamoDBClient, ask: dict[str, Any]) -> None:
    try:
        client.create_table(**ask)
    except client.exceptions.ResourceInUseException:
        return  # somebody else was first


def _tags(client: DynamoDBClient, arn: str) -> list[Any]:
    found: list[Any] = []
    ask: dict[str, Any] = {"ResourceArn": arn}
    while True:
        page = client.list_tags_of_resource(**ask)
        found += page.get("Tags", [])
        if not page.get("NextToken"):
            return found
        ask["NextToken"] = page["NextToken"]


def _ttl_attribute(client: DynamoDBClient, name: str) -> str:
    """Return the attribute of a table's time to live, "" when that is off."""
    told = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return told.get("AttributeName", "") if told.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"} else ""


def _keys(table: Any) -> tuple[KeyAttribute, ...]:
    """Return the key attributes of a table or of a request to create it, hash attribute first."""
    types = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
    schema = sorted(table["KeySchema"], key=lambda part: part["KeyType"] != "HASH")
    return tuple(KeyAttribute(part["AttributeName"], types[part["AttributeName"]]) for part in schema)


def _create_request(name: str, keys: Sequence[KeyAttribute]) -> dict[str, Any]:
    kinds = ("HASH", "RANGE")
    return {
        "TableName": name,
        "KeySchema": [{"AttributeName": k.name, "KeyType": kind} for k, kind in zip(keys, kinds, strict=False)],
        "AttributeDefinitions": [{"AttributeName": k.name, "AttributeType": k.type} for k in keys],
        "BillingMode": "PAY_PER_REQUEST",
    }


def _description(table: Any, region: str) -> TableDescription:
    stream = table.get("StreamSpecification", {})
    return TableDescription(
        name=table["TableName"],
        region=region,
        arn=table["TableArn"],
        active=table["TableStatus"] == "ACTIVE",
        keys=_keys(table),
        stream_enabled=bool(stream.get("StreamEnabled")),
        stream_arn=table.get("LatestStreamArn", ""),
        stream_label=table.get("LatestStreamLabel", ""),
        view_type=stream.get("StreamViewType", ""),
        id=table.get("TableId", ""),
        indexes=index_texts(table),
    )
