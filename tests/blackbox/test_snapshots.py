"""Snapshots on an emulator: made by a worker and by command, read by restores, and what is before them pruned."""

import base64
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.blackbox.stack import Process, Service, Stack, eventually, started
from tests.emulators import Emulators

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(900), pytest.mark.slow]

ITEMS = 60
ARRIVE_SECONDS = 90.0
QUICK = """
import sys
from pipeline.wiring import compactor
compactor.HOUR_MS, compactor.LOOK_SECONDS = 10_000, 1.0
from pipeline.cli.main import main
sys.exit(main(["run", "-c", sys.argv[1]]))
"""
"""`fanout run` with hours of ten seconds."""


@pytest.fixture
def stack(emulators: Emulators, tmp_path: Path) -> Iterator[Stack]:
    """A stack whose table's stream stamps seconds: DynamoDB Local stamps minutes."""
    with Stack(tmp_path, emulators.settings("ministack"), f"bb-{secrets.token_hex(3)}") as opened:
        yield opened


def quick(arguments: list[str], folder: Path, environment: Mapping[str, str], log: Path) -> Process:
    """Start a worker whose hours are short."""
    return started([sys.executable, "-c", QUICK, arguments[-1]], folder, environment, log)


def now() -> str:
    """Return this second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def put(stack: Stack, text: str) -> None:
    """Put every item anew, and delete one in ten."""
    client, table = stack.client("dynamodb"), stack.tables[0]
    for number in range(ITEMS):
        key = {"pk": {"S": f"item-{number:03d}"}}
        client.put_item(TableName=table, Item={**key, "text": {"S": text}})
        if number % 10 == 0:
            client.delete_item(TableName=table, Key=key)


def report_of(stack: Stack, *arguments: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """Run a command with --json and return what it says."""
    done = stack.fanout(*arguments, "--json", "-c", str(stack.folder / "fanout.toml"))
    assert done.returncode in codes, (done.returncode, done.stdout, done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def restored(stack: Stack, at: str) -> tuple[dict[str, str], str | None]:
    """Restore into a file; return texts by key, and the snapshot it began with."""
    report = report_of(stack, "restore", "--at", at, "--file", "items.jsonl")
    file = stack.folder / "items.jsonl"
    lines = [json.loads(line)["Item"] for line in file.read_text().splitlines()]
    file.unlink()  # a restore replaces no file
    return {item["pk"]["S"]: item["text"]["S"] for item in lines}, report["snapshot"]


def wait_complete(stack: Stack, upto: str) -> None:
    """Wait until the archive is complete up to a second."""
    eventually(
        f"the archive is complete up to {upto}",
        ARRIVE_SECONDS,
        lambda: (report_of(stack, "archive", "check")["watermark"] or "") >= upto,
        1.0,
    )


def test_snapshots_are_made_read_and_what_is_before_them_goes(stack: Stack) -> None:
    """Every command a person types about snapshots does what its help says, and restores stay what they were."""
    archive = {**stack.shipped["archive"], "snapshot_hours": 1}
    assert stack.fanout("audit", "keygen", "roots.pem").returncode == 0
    audit = {**stack.shipped["audit"], "signing_key_file": str(stack.folder / "roots.pem")}
    config = stack.write(stack.sections({"archive": archive, "audit": audit}))
    stack.create(config, 2)
    service = Service("run", config, stack.environment, stack.folder / "run.log", quick)
    stack._services.append(service)
    service.start().wait_working()
    put(stack, "first")
    early = now()
    expected_early = {f"item-{n:03d}": "first" for n in range(ITEMS) if n % 10}
    time.sleep(1.1)
    put(stack, "second")
    late = now()
    wait_complete(stack, late)
    eventually(
        "a worker has made a snapshot", ARRIVE_SECONDS, lambda: report_of(stack, "archive", "check")["snapshots"], 1.0
    )
    assert service.terminate() == 0, service.tail()
    made = report_of(stack, "archive", "compact", "--at", late)  # or a worker has made this very one
    assert made["tables"][0]["items"] == len(expected_early)
    assert not report_of(stack, "archive", "compact", "--at", late)["made"]
    items, began_with = restored(stack, late)
    assert items == dict.fromkeys(expected_early, "second")
    assert began_with == made["snapshot"]
    assert restored(stack, early)[0] == expected_early
    drills(stack)
    refuses_other_keys(stack)
    follows(stack, config, items)
    prunes(stack, early, items)


def drills(stack: Stack) -> None:
    """Expect a drill to pass, to be repeatable, and to be signed by the key that signs roots."""
    one = report_of(stack, "drill", "--all", "--seed", "x")
    other = report_of(stack, "drill", "--items", "7", "--seed", "x", "--at", one["as_it_was_at"])
    assert one["passed"], one
    assert other["passed"], other
    assert one["as_it_was_at"] == other["as_it_was_at"]
    assert (one["items_compared"], other["items_compared"]) == (ITEMS, 7)
    assert one["rpo_seconds"] > 0
    assert one["live"]["compared"] > 0 or one["as_it_was_at"] < now()
    data = stack.client("s3").get_object(Bucket=stack.audit, Key=f"b/{one['record']}")["Body"].read()
    words, _, rest = data.partition(b"\n")
    signature = base64.b64decode(json.loads(rest)["signature"])
    key = load_pem_private_key((stack.folder / "roots.pem").read_bytes(), None).public_key()
    assert isinstance(key, Ed25519PublicKey)
    key.verify(signature, words)
    assert json.loads(words)["seed"] == "x"


def refuses_other_keys(stack: Stack) -> None:
    """Expect a table with another key schema to be refused before anything is written."""
    other = f"{stack.name}-other"
    stack.client("dynamodb").create_table(
        TableName=other,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )
    at = report_of(stack, "archive", "check")["watermark"]
    for command in (["--at", at], ["--follow"]):
        done = stack.fanout("restore", *command, "--into", other, "-c", str(stack.folder / "fanout.toml"))
        assert done.returncode == 2
        assert f"{other} has other key attributes than pk (S)" in done.stderr
        assert "fix: give another name" in done.stderr


def follows(stack: Stack, config: Path, items: dict[str, str]) -> None:
    """Expect a standby to be the table, though its process is killed; and a table with items to be refused."""
    warm = f"{stack.name}-warm"
    command = ["restore", "--follow", "--into", warm]
    first = report_of(stack, *command, "--once")
    assert first["put"] == len(items)
    assert texts(stack, warm) == items
    running = stack.service("run", config, "run-again").start()
    running.wait_working()
    with (stack.folder / "follow.log").open("wb") as log:
        following = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *command, "-c", str(config)],
            cwd=stack.folder,
            env=stack.environment,
            stdout=log,
            stderr=log,
        )
    try:
        put(stack, "third")
        third = dict.fromkeys(items, "third")
        eventually("the standby follows", ARRIVE_SECONDS, lambda: texts(stack, warm) == third, 1.0)
        put(stack, "fourth")
    finally:
        following.kill()
        following.wait()
    wait_complete(stack, now())
    report_of(stack, *command, "--once")
    assert texts(stack, warm) == dict.fromkeys(items, "fourth")
    assert running.terminate() == 0
    refused = stack.fanout("restore", "--follow", "--into", f"{warm}-standby", "-c", str(config))
    assert refused.returncode == 2
    items.update(dict.fromkeys(items, "fourth"))


def texts(stack: Stack, table: str) -> dict[str, str]:
    """Return the texts of a table's items by key."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return {item["pk"]["S"]: item["text"]["S"] for page in pages for item in page["Items"]}


def prunes(stack: Stack, early: str, items: dict[str, str]) -> None:
    """Expect pruning to delete everything before the last snapshot, and nothing that a later moment needs."""
    refused = stack.fanout("archive", "prune", "--keep", "35d", "-c", str(stack.folder / "fanout.toml"))
    assert refused.returncode == 2
    assert "there is no snapshot at or before" in refused.stderr
    planned = report_of(stack, "archive", "prune", "--keep", "1s", "--dry-run")
    done = report_of(stack, "archive", "prune", "--keep", "1s")
    assert {**planned, "dry_run": False, "keeps_from": ""} == {**done, "keeps_from": ""}
    assert done["segments"] + done["parts"] > 0
    checked = report_of(stack, "archive", "check")
    assert checked["sound"], checked["problems"]
    assert checked["pruned_before"] <= checked["watermark"]
    assert restored(stack, checked["watermark"])[0] == items
    gone = stack.fanout("restore", "--at", early, "--file", "x.jsonl", "-c", str(stack.folder / "fanout.toml"))
    assert gone.returncode == 2
    assert "the archive was pruned: it begins at" in gone.stderr
