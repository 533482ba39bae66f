"""Differences planted into a replica, and what a comparison must say of them."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.blackbox.ends import scan
from tests.blackbox.stack import Stack

CALL_WRITES = 25
KINDS = ("missing", "extra", "stale", "attribute", "precision")
DIGITS = "1234567890123456789012345678901234567"
"""37 digits: one more is the last that DynamoDB keeps."""
VERSION = "fanout_version"


def item(number: int) -> dict[str, Any]:
    """Return an item that no workload touches."""
    return {
        "pk": {"S": f"quiet-{number:06d}"},
        "n": {"N": str(number)},
        "precise": {"N": DIGITS + "1"},
        "tags": {"SS": ["a", "b", "ä"]},
        "nested": {"M": {"list": {"L": [{"N": "1"}, {"BOOL": True}, {"NULL": True}]}, "bytes": {"B": b"\x00\xff"}}},
    }


def fill(client: Any, table: str, items: int) -> None:
    """Write so many items."""
    for start in range(0, items, CALL_WRITES):
        rows = [item(number) for number in range(start, min(items, start + CALL_WRITES))]
        answer = client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": row}} for row in rows]})
        assert not answer["UnprocessedItems"]


def plant(client: Any, table: str, items: int, planted: int, seed: int) -> dict[str, str]:
    """Plant differences of all kinds in equal parts, and as many spellings that are none; return the kinds by key."""
    draw = random.Random(seed)
    chosen = draw.sample(range(items), planted + planted // len(KINDS))
    expected = {}
    for index, number in enumerate(chosen[:planted]):
        kind = KINDS[index % len(KINDS)]
        key, says = _spoil(client, table, number, kind)
        expected[key] = says
    for number in chosen[planted:]:
        row = stored(client, table, number)
        client.put_item(TableName=table, Item={**row, "tags": {"SS": ["ä", "b", "a"]}, "n": {"N": f"{number}.00"}})
    return expected


def stored(client: Any, table: str, number: int) -> dict[str, Any]:
    """Return an item of a replica, with the version it has in mode guarded."""
    key = {"pk": item(number)["pk"]}
    row: dict[str, Any] = client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    return row


def _spoil(client: Any, table: str, number: int, kind: str) -> tuple[str, str]:
    row = stored(client, table, number)
    key = row["pk"]["S"]
    spoilt: Mapping[str, dict[str, Any]] = {
        "extra": {**row, "pk": {"S": f"{key}-extra"}},
        "stale": {name: row[name] for name in ("pk", "n", VERSION) if name in row},
        "attribute": {**row, "n": {"N": str(-number - 1)}},
        "precision": {**row, "precise": {"N": DIGITS + "2"}},
    }
    if kind == "missing":
        client.delete_item(TableName=table, Key={"pk": row["pk"]})
        return key, "missing"
    client.put_item(TableName=table, Item=spoilt[kind])
    return (f"{key}-extra", "extra") if kind == "extra" else (key, "different")


def verify(stack: Stack, config: Path, topology: str, *options: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Run the command; return the report of one pair, and all that it found, by key."""
    done = stack.fanout("verify", topology, "-c", str(config), "--json", "--report", "found.jsonl", *options)
    assert done.returncode in {0, 1}, done.stderr
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["equal"] else 1)
    rows = [json.loads(line) for line in (stack.folder / "found.jsonl").read_text().splitlines()]
    found = {row["key"]["pk"]["S"]: row["kind"] for row in rows}
    assert len(found) == len(rows), "an item was found twice"
    (pair,) = report["compared"]
    return pair, found


def same(source: list[dict[str, Any]], copy: list[dict[str, Any]]) -> bool:
    """Return True when two scans hold the same items, by a comparison that is not the pipeline's."""
    return {row["pk"]["S"]: _plain(row) for row in source} == {
        row["pk"]["S"]: _plain(row) for row in copy if "fanout_deleted" not in row
    }


def tables(stack: Stack, here: Any, away: Any, copy: str) -> Callable[[], bool]:
    """Return what tells whether a replica equals the stack's table."""
    return lambda: same(scan(here, stack.tables[0]), scan(away, copy))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: sorted(value["SS"]) if "SS" in value else value
        for name, value in row.items()
        if name not in {VERSION, "fanout_deleted", "fanout_expires"}
    }
