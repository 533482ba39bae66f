"""A bad deploy undone in the live table, on an emulator, with the commands a person types."""

import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.stack import ROOT, Stack, eventually
from tests.emulators import Emulators

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(900), pytest.mark.slow]

ITEMS = 200
SPOILED = range(0, ITEMS, 10), range(3, ITEMS, 10), range(7, ITEMS, 10)
"""Thirty in a hundred: overwritten, deleted, and overwritten but mended by somebody after the window."""
ARRIVE_SECONDS = 90.0


@pytest.fixture
def stack(emulators: Emulators, tmp_path: Path) -> Iterator[Stack]:
    """A stack whose table's stream stamps seconds: DynamoDB Local stamps minutes."""
    with Stack(tmp_path, emulators.settings("ministack"), f"bb-{secrets.token_hex(3)}") as opened:
        yield opened


def next_second() -> str:
    """Wait until another second has begun, and return it."""
    time.sleep(1.1 - time.time() % 1)
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Table:
    """The live table, and what it is to be in the end."""

    def __init__(self, stack: Stack) -> None:
        self.name = stack.tables[0]
        self._client = stack.client("dynamodb")
        self.wanted: dict[str, Any] = {}

    def put(self, number: int, text: str, *, wanted: bool = True) -> None:
        """Put an item; `wanted` says that it is a good write."""
        item = {"pk": {"S": f"item-{number:03d}"}, "text": {"S": text}, "n": {"N": f"{number}.50"}}
        self._client.put_item(TableName=self.name, Item=item)
        if wanted:
            self.wanted[item["pk"]["S"]] = text

    def delete(self, number: int, *, wanted: bool = True) -> None:
        """Delete an item."""
        key = f"item-{number:03d}"
        self._client.delete_item(TableName=self.name, Key={"pk": {"S": key}})
        if wanted:
            self.wanted.pop(key, None)

    def found(self) -> dict[str, Any]:
        """Return the texts of all items."""
        pages = self._client.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
        return {item["pk"]["S"]: item["text"]["S"] for page in pages for item in page["Items"]}


def deploy(table: Table) -> tuple[str, str]:
    """Write good items, spoil thirty in a hundred amid good writes; return the first and the last bad second."""
    for number in range(ITEMS):
        table.put(number, "good")
    begin = next_second()
    for number in SPOILED[0]:
        table.put(number, "SPOILED", wanted=False)
    table.put(1, "good, meanwhile")
    for number in SPOILED[1]:
        table.delete(number, wanted=False)
    for number in SPOILED[2]:
        table.put(number, "SPOILED", wanted=False)
    table.put(ITEMS + 1, "JUNK", wanted=False)
    end = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    next_second()
    for number in SPOILED[2]:
        table.put(number, "mended by hand")
    table.put(2, "good, afterwards")
    table.delete(4)
    table.put(ITEMS + 2, "new")
    return begin, end


def report_of(stack: Stack, *arguments: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """Run a command with --json and return what it says."""
    done = stack.fanout(*arguments, "--json", "-c", str(stack.folder / "fanout.toml"))
    assert done.returncode in codes, (done.returncode, done.stdout, done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def complete(stack: Stack, upto: str) -> Callable[[], bool]:
    """Return whether the archive is complete up to a second."""
    return lambda: (report_of(stack, "archive", "check")["watermark"] or "") >= upto


def kill_half_way(stack: Stack, table: Table, arguments: list[str]) -> None:
    """Run a slow restore, and kill it when some items are back and others are not."""
    before = table.found()
    running = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments, "--write-units", "15", "-c", str(stack.folder / "fanout.toml")],
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually("the restore writes", 60.0, lambda: table.found() != before)
    finally:
        running.kill()
        running.wait()
    assert table.found() != table.wanted, "it was not killed half way"


def test_a_bad_deploy_is_undone_and_good_writes_stay(stack: Stack) -> None:
    """Every spoiled item is back, every good write is kept, plan and deed agree, though the first run was killed."""
    config = stack.write(
        stack.sections({name: each for name, each in stack.shipped.items() if name in {"archive", "audit"}})
    )
    stack.create(config, 2)
    stack.service("run", config, "run").start().wait_working()
    table = Table(stack)
    begin, end = deploy(table)
    eventually("the archive is complete", ARRIVE_SECONDS, complete(stack, next_second()), 1.0)
    # What is good inside the window the archive cannot tell: the keys that the deploy wrote can.
    touched = [*(number for some in SPOILED for number in some), ITEMS + 1]
    (stack.folder / "deployed.txt").write_text("".join(f"pk=item-{number:03d}\n" for number in touched))
    what = ["restore", "--from", begin, "--to", end, "--into", table.name, "--keys", "@deployed.txt"]
    planned = report_of(stack, *what, "--dry-run")
    changed = [row["key"]["pk"]["S"] for row in planned["items"] if row["action"] in {"put", "delete"}]
    assert planned["planned"] == {"put": 40, "delete": 1, "keep": 0, "later": 20, "stale": 0}
    assert len(changed) == 41
    assert "SPOILED" not in json.dumps(planned)
    assert stack.fanout(*what, "-c", str(config)).returncode == 2, "no confirmation"
    kill_half_way(stack, table, [*what, "--yes", table.name])
    done = report_of(stack, *what, "--yes", table.name)
    assert done["as_planned"]
    assert done["done"]["stale"] == 0
    assert table.found() == table.wanted
    eventually("all is archived", ARRIVE_SECONDS, complete(stack, next_second()), 1.0)
    tells_what_happened(stack, begin, end)
    goes_into_new_places(stack, table)
    does_what_the_readme_says(stack, table, end)
    says_when_the_end_is_missing(stack)


def tells_what_happened(stack: Stack, begin: str, end: str) -> None:
    """Expect the history of one spoiled item, the difference between two times, and a note of each restore."""
    told = report_of(stack, "history", "pk=item-000", "--images")["changes"]
    assert [change["kind"] for change in told] == ["INSERT", "MODIFY", "MODIFY"]
    assert [change["after"]["text"]["S"] for change in told] == ["good", "SPOILED", "good"]
    different = report_of(stack, "diff", begin, end, "--prefix", "pk=item-00")
    assert different["modified"] + different["removed"] + different["inserted"] <= 3
    listed = stack.client("s3").list_objects_v2(Bucket=stack.audit, Prefix="b/restores/")["Contents"]
    assert sum(each["Key"].endswith("-begun.json") for each in listed) == 2
    assert sum(each["Key"].endswith("-done.json") for each in listed) == 1
    assert report_of(stack, "audit", "verify")["verified"]


def says_when_the_end_is_missing(stack: Stack) -> None:
    """Expect no history of an item where the last object of a shard is gone: its last change may be in that."""
    s3 = stack.client("s3")
    listed = s3.list_objects_v2(Bucket=stack.archive, Prefix="a/segments/")["Contents"]
    last = {each["Key"].rpartition("/")[0]: each["Key"] for each in listed}
    for key in last.values():
        body = s3.get_object(Bucket=stack.archive, Key=key)["Body"].read()
        s3.delete_object(Bucket=stack.archive, Key=key)
        done = stack.fanout("history", "pk=item-000", "-c", str(stack.folder / "fanout.toml"))
        assert (done.returncode, key.removeprefix("a/") in done.stderr) == (4, True), done.stderr
        s3.put_object(Bucket=stack.archive, Key=key, Body=body)
    assert report_of(stack, "history", "pk=item-000")["watermark"]


def goes_into_new_places(stack: Stack, table: Table) -> None:
    """Expect the table in a new table and in a file; a second run adds nothing."""
    now = report_of(stack, "archive", "check")["watermark"]
    made = f"{table.name}-restored"
    first = report_of(stack, "restore", "--at", now, "--into", made)
    assert first["done"]["put"] == len(table.wanted)
    copy = Table(stack)
    copy.name = made
    assert copy.found() == table.wanted
    assert report_of(stack, "restore", "--at", now, "--into", made)["done"]["keep"] == len(table.wanted)
    report_of(stack, "restore", "--at", now, "--file", "items.jsonl")
    for more, reason in (
        (["--file", "items.jsonl"], "there is something of that name"),
        (["--file", "new.jsonl", "--plan", "new.jsonl"], "the same file as --file"),
        (["--file", "nowhere/new.jsonl"], "there is no folder"),
        (["--into", "bad name", "--dry-run"], "no table has such a name"),
        (["--into", "Utrecht/orders", "--dry-run"], "is no region"),
        (["--into", "other", "--topology", "nope"], "no archive of that name is configured"),
    ):
        refused = stack.fanout("restore", "--at", now, *more, "-c", str(stack.folder / "fanout.toml"))
        assert (refused.returncode, reason in refused.stderr) == (2, True), (reason, refused.stderr)
    nothing = report_of(stack, "restore", "--at", now, "--file", "none.jsonl", "--keys", "pk=mistyped")
    assert nothing["keys_not_in_archive"] == [{"pk": {"S": "mistyped"}}]
    lines = [json.loads(line)["Item"] for line in (stack.folder / "items.jsonl").read_text().splitlines()]
    assert {item["pk"]["S"]: item["text"]["S"] for item in lines} == table.wanted


def does_what_the_readme_says(stack: Stack, table: Table, end: str) -> None:
    """Expect the commands of the README's second example, with names of this test, to put an item back."""
    block = re.search(
        r"^## Put it back.*?^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert block is not None
    assert table.found()["item-002"] == "good, afterwards"
    ours = {"orders": table.name, "id=4711": "pk=item-002", "2026-11-24T10:41:00Z": end}
    for line in block[1].splitlines():
        name, command, *words = line.split()
        answer = ["--yes", table.name] if command == "restore" else []
        done = stack.fanout(command, *(ours.get(w, w) for w in words), *answer, "-c", str(stack.folder / "fanout.toml"))
        assert (name, done.returncode) == ("fanout", 0), done.stderr
    assert table.found() == {**table.wanted, "item-002": "good"}
