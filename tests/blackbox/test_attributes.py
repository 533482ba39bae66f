"""Attributes kept from a replica and an archive, with the commands a person types."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.blackbox.ends import scan
from tests.blackbox.stack import AWAY, Stack, eventually
from tests.blackbox.test_restore import ARRIVE_SECONDS, complete, next_second, report_of
from tests.emulators import Emulators

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(900), pytest.mark.slow]

ITEMS = 30
CARD, MAIL, NAME = "4111-1111", "ada@example.org", "Ada Lovelace"
SECRETS = [each.encode() for each in (CARD, MAIL, NAME)]
ZSTD = b"\x28\xb5\x2f\xfd"


@pytest.fixture
def stack(emulators: Emulators, tmp_path: Path) -> Iterator[Stack]:
    """A stack whose table's stream stamps seconds: DynamoDB Local stamps minutes."""
    with Stack(tmp_path, emulators.settings("ministack"), f"bb-{secrets.token_hex(3)}") as opened:
        yield opened


def fill(stack: Stack) -> list[dict[str, Any]]:
    """Write items with all three attributes, each twice, and remove one."""
    client, table, items = stack.client("dynamodb"), stack.tables[0], []
    for number in range(ITEMS):
        item: dict[str, Any] = {"pk": {"S": f"item-{number:03d}"}, "n": {"N": str(number)}}
        item |= {
            "card": {"S": f"{CARD}-{number}"},
            "mail": {"S": f"{number}-{MAIL}"},
            "name": {"M": {"n": {"S": NAME}}},
        }
        client.put_item(TableName=table, Item={**item, "n": {"N": "0"}})
        client.put_item(TableName=table, Item=item)
        items.append(item)
    client.delete_item(TableName=table, Key={"pk": items.pop()["pk"]})
    return items


def stored(stack: Stack, bucket: str) -> list[bytes]:
    """Return all objects of a bucket, unpacked."""
    s3, found = stack.client("s3"), []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for each in page.get("Contents", []):
            data = s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            head, tail = data.split(ZSTD, 1) if ZSTD in data else (data, b"")
            whole = (
                zstandard.ZstdDecompressor().stream_reader(ZSTD + tail, read_across_frames=True).read() if tail else b""
            )
            found.append(head + whole)
    return found


def configured(stack: Stack) -> Path:
    """Return a configuration in which the replica lacks one attribute, and archive and audit log hide them all."""
    assert stack.fanout("attributes", "keygen", "attributes.key").returncode == 0
    hidden = {
        "hash_attributes": ["card", "mail"],
        "encrypt_attributes": ["name"],
        "attributes_key_file": "attributes.key",
    }
    sealed = {"encrypt_attributes": ["card", "mail", "name"], "attributes_key_file": "attributes.key"}
    shipped = {
        "replica": {**stack.shipped["replica"], **hidden, "hash_attributes": ["mail"], "drop_attributes": ["card"]},
        "archive": {**stack.shipped["archive"], **sealed},
        "audit": {**stack.shipped["audit"], **hidden},
    }
    return stack.write(stack.sections(shipped))


def test_what_is_kept_from_a_destination_never_reaches_it(stack: Stack) -> None:
    """No object and no item has a value; verify and drill compare what is kept; the key brings back what it hid."""
    config = configured(stack)
    stack.create(config, 2)
    stack.service("run", config, "run").start().wait_working()
    items = fill(stack)
    eventually("all is archived", ARRIVE_SECONDS, complete(stack, next_second()), 1.0)
    away = stack.client("dynamodb", AWAY)
    eventually("the replica is filled", ARRIVE_SECONDS, lambda: len(scan(away, stack.tables[0])) == len(items), 0.5)
    copies = repr(scan(away, stack.tables[0])).encode()
    assert b"item-000" in copies
    assert b"card" not in copies
    for bucket in (stack.archive, stack.audit):
        objects = stored(stack, bucket)
        assert sum(b"item-000" in each for each in objects)
        assert not [value for value in SECRETS for each in (*objects, copies) if value in each]
    assert report_of(stack, "verify")["equal"]
    assert report_of(stack, "drill", "--all")["passed"]
    assert report_of(stack, "audit", "verify")["verified"]
    comes_back(stack, items)


def comes_back(stack: Stack, items: list[dict[str, Any]]) -> None:
    """Expect the items whole with --reveal, as stored without; and no way for a ciphertext into the live table."""
    now, table = report_of(stack, "archive", "check")["watermark"], stack.tables[0]
    report_of(stack, "restore", "--at", now, "--file", "stored.jsonl")
    assert not [value for value in SECRETS if value in (stack.folder / "stored.jsonl").read_bytes()]
    report_of(stack, "restore", "--at", now, "--file", "whole.jsonl", "--reveal")
    lines = (stack.folder / "whole.jsonl").read_text().splitlines()
    assert sorted((json.loads(line)["Item"] for line in lines), key=lambda item: item["pk"]["S"]) == items
    told = report_of(stack, "history", "pk=item-000", "--images", "--reveal")["changes"]
    assert told[-1]["after"] == items[0]
    client = stack.client("dynamodb")
    client.delete_item(TableName=table, Key={"pk": items[0]["pk"]})
    eventually("the removal is archived", ARRIVE_SECONDS, complete(stack, next_second()), 1.0)
    live = ["restore", "--at", now, "--into", table, "--keys", "pk=item-000", "--yes", table]
    refused = stack.fanout(*live, "-c", str(stack.folder / "fanout.toml"))
    assert (refused.returncode, "is encrypted in the archive" in refused.stderr) == (2, True), refused.stderr
    assert report_of(stack, *live, "--reveal")["done"]["put"] == 1
    assert client.get_item(TableName=table, Key={"pk": items[0]["pk"]})["Item"] == items[0]
    keys_change(stack, now)
    (stack.folder / "attributes.key").unlink()
    gone = stack.fanout(*live, "--reveal", "-c", str(stack.folder / "fanout.toml"))
    assert (gone.returncode, "attributes.key" in gone.stderr) == (2, True), gone.stderr


def keys_change(stack: Stack, now: str) -> None:
    """Expect a new key to reveal with the old one's line and to fail no drill; without it what is old stays closed."""
    file = stack.folder / "attributes.key"
    old = file.read_text()
    assert stack.fanout("attributes", "keygen", "new.key").returncode == 0
    file.write_text((stack.folder / "new.key").read_text() + old)
    drilled = report_of(stack, "drill", "--all")
    assert (drilled["passed"], drilled["attributes_not_compared"]) == (True, ["card", "mail", "name"])
    shown = report_of(stack, "restore", "--at", now, "--file", "both.jsonl", "--reveal")
    assert (shown["still_encrypted"], NAME in (stack.folder / "both.jsonl").read_text()) == ([], True)
    file.write_text((stack.folder / "new.key").read_text())
    shown = report_of(stack, "restore", "--at", now, "--file", "lost.jsonl", "--reveal")
    assert (shown["still_encrypted"], NAME in (stack.folder / "lost.jsonl").read_text()) == (
        ["card", "mail", "name"],
        False,
    )
    refused = stack.fanout("bootstrap", "--export", lacking(stack, now), "-c", str(stack.folder / "fanout.toml"))
    assert (refused.returncode, "lacks attribute card" in refused.stderr) == (2, True), refused.stderr


def lacking(stack: Stack, now: str) -> str:
    """Return the place of an export of the archive."""
    report = report_of(stack, "export", "--at", now, "--to", f"s3://{stack.audit}/exports")
    return f"s3://{stack.audit}/{report['folder']}"
