"""`fanout export` on an emulator: read by another hand, and taken by ImportTable into a table."""

import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from tests.blackbox.stack import Stack, eventually
from tests.blackbox.test_restore import ARRIVE_SECONDS, Table, complete, next_second, report_of
from tests.emulators import Emulators
from tests.export_reader import read

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(600), pytest.mark.slow]

ITEMS = 120
SOME_SECONDS = 5.0
"""Until a query that has begun is surely at work."""


@pytest.fixture
def stack(emulators: Emulators, tmp_path: Path) -> Iterator[Stack]:
    """A stack whose table's stream stamps seconds, with S3 and ImportTable on the same emulator."""
    with Stack(tmp_path, emulators.settings("ministack"), f"bb-{secrets.token_hex(3)}") as opened:
        yield opened


def bucket_objects(stack: Stack, bucket: str) -> dict[str, bytes]:
    """Return the objects of a bucket by key."""
    s3 = stack.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def imported(stack: Stack, bucket: str, folder: str, table: str) -> dict[str, Any]:
    """Let the emulator's ImportTable make a table of an export's data; return what it says in the end."""
    client = stack.client("dynamodb")
    begun = client.import_table(
        S3BucketSource={"S3Bucket": bucket, "S3KeyPrefix": f"{folder}data/"},
        InputFormat="DYNAMODB_JSON",
        InputCompressionType="GZIP",
        TableCreationParameters={
            "TableName": table,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )["ImportTableDescription"]

    def state() -> dict[str, Any]:
        found: dict[str, Any] = client.describe_import(ImportArn=begun["ImportArn"])["ImportTableDescription"]
        return found

    eventually("the import ends", 60.0, lambda: state()["ImportStatus"] != "IN_PROGRESS", 0.2)
    return state()


def test_an_export_is_read_by_another_hand_and_imported(stack: Stack) -> None:
    """The table of a second in the middle comes out of ImportTable equal, item by item; later changes are not in it."""
    config = stack.write(stack.sections({"archive": stack.shipped["archive"]}))
    stack.create(config, 2)
    stack.service("run", config, "run").start().wait_working()
    table = Table(stack)
    for number in range(ITEMS):
        table.put(number, "first")
    for number in range(0, ITEMS, 3):
        table.put(number, "second ü\u2028")
    for number in range(0, ITEMS, 10):
        table.delete(number)
    then, wanted = next_second(), table.found()
    next_second()
    for number in range(ITEMS):
        table.put(number, "too late")
    eventually("the archive is complete", ARRIVE_SECONDS, complete(stack, next_second()), 1.0)
    bucket = f"{stack.name}-exports"
    stack.client("s3").create_bucket(Bucket=bucket)
    what = ["export", "--at", then, "--to", f"s3://{bucket}/a/b"]
    report = report_of(stack, *what)
    assert (report["complete"], report["items"]) == (True, len(wanted))
    summary, items = read(bucket_objects(stack, bucket), report["folder"])
    assert {item["pk"]["S"]: item["text"]["S"] for item in items} == wanted
    assert summary["tableArn"] == stack.client("dynamodb").describe_table(TableName=table.name)["Table"]["TableArn"]
    made = imported(stack, bucket, report["folder"], f"{table.name}-imported")
    assert (made["ImportStatus"], made["ImportedItemCount"], made["ErrorCount"]) == ("COMPLETED", len(wanted), 0)
    copy = Table(stack)
    copy.name = f"{table.name}-imported"
    assert copy.found() == wanted
    into_a_folder(stack, then, len(wanted))
    refuses(stack, what, bucket)
    asked_in_sql(stack, then, wanted)


def into_a_folder(stack: Stack, then: str, count: int) -> None:
    """Expect the same export in a local folder."""
    report = report_of(stack, "export", "--at", then, "--to", "out")
    files = {
        path.relative_to(stack.folder / "out").as_posix(): path.read_bytes()
        for path in (stack.folder / "out").rglob("*")
        if path.is_file()
    }
    assert len(read(files, report["folder"])[1]) == count


def refuses(stack: Stack, what: list[str], bucket: str) -> None:
    """Expect what cannot be exported to be refused, with the reason, and nothing to be written."""
    config = str(stack.folder / "fanout.toml")
    before = bucket_objects(stack, bucket)
    place = what[-1]
    for at, to, reason in (
        (what[2], place, "is there already, and whole"),
        ("2020-01-01T00:00:00Z", place, "the archive begins at"),
        ("2099-01-01T00:00:00Z", place, "is not over"),
        (what[2], f"s3://{bucket}-missing/a", "there is no bucket"),
        (what[2], "s3://", "names no bucket and prefix"),
        (what[2], f"s3://{stack.archive}/a/segments", "that is where topology archive keeps its objects"),
        (what[2], "https://elsewhere", "is no place"),
    ):
        done = stack.fanout("export", "--at", at, "--to", to, "-c", config)
        assert (done.returncode, reason in done.stderr) == (2, True), (reason, done.stderr)
    assert bucket_objects(stack, bucket) == before


def asked_in_sql(stack: Stack, then: str, wanted: dict[str, str]) -> None:
    """Expect the table of that second, and the changes up to it, to be there for SQL; and as Parquet."""
    name, config = stack.tables[0], str(stack.folder / "fanout.toml")
    told = report_of(stack, "query", f'SELECT pk, text, n, item FROM "{name}"', "--at", then)
    assert {row[0]: row[1] for row in told["rows"]} == wanted
    assert {row[2] for row in told["rows"]} == {float(key.removeprefix("item-")) + 0.5 for key in wanted}
    assert json.loads(told["rows"][0][3])["pk"] == {"S": told["rows"][0][0]}
    sql = "SELECT kind, count(*) FROM changes GROUP BY kind ORDER BY kind"
    told = report_of(stack, "query", sql, "--at", then)
    assert told["rows"] == [["INSERT", ITEMS], ["MODIFY", ITEMS // 3], ["REMOVE", ITEMS // 10]]
    sql = f"SELECT '=1+1' AS a, -1 AS b, c.new->>'$.text.S' FROM changes c JOIN \"{name}\" USING (pk) LIMIT 1"
    assert stack.fanout("query", sql, "-c", config).returncode == 2
    done = stack.fanout("query", "SELECT '=1+1' AS a, -1 AS b", "--csv", "-c", config)
    assert (done.returncode, done.stdout) == (0, "a,b\n'=1+1,-1\n"), done.stderr
    for sql, reason in (
        ("SELECT * FROM nowhere", "there is no table nowhere"),
        ("SELECT * FROM read_text('fanout.toml')", "file system operations are disabled"),
        ("DELETE FROM changes", "not one SELECT"),
    ):
        done = stack.fanout("query", sql, "-c", config)
        assert (done.returncode, reason in done.stderr) == (2, True), (reason, done.stderr)
    ends_when_it_is_told(stack, config)
    report = report_of(stack, "export", "--at", then, "--to", "out", "--format", "parquet")
    files = sorted((stack.folder / "out" / report["folder"] / "data").iterdir())
    rows = [row for file in files for row in parquet.read_table(file).to_pylist()]
    assert {row["pk"]: json.loads(row["item"])["text"]["S"] for row in rows} == wanted


def ends_when_it_is_told(stack: Stack, config: str) -> None:
    """Expect a query without end to end at Ctrl-C and at SIGTERM, and to leave no item's content behind."""
    aside = stack.folder / "aside"
    aside.mkdir()
    sql = f'SELECT count(*) FROM "{stack.tables[0]}", range(1000000000000) a, range(1000000) b'
    command = [sys.executable, "-m", "pipeline", "query", sql, "-c", config]
    for number in (signal.SIGINT, signal.SIGTERM):
        environment = {**stack.environment, "TMPDIR": str(aside)}
        running = subprocess.Popen(command, cwd=stack.folder, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            eventually("the query is under way", ARRIVE_SECONDS, lambda: list(aside.glob("fanout-query-*")))
            time.sleep(SOME_SECONDS)
            running.send_signal(number)
            _, told = running.communicate(timeout=ARRIVE_SECONDS)
        finally:
            running.kill()
        assert (running.returncode, "Traceback" in told) == (130, False), told
        assert list(aside.iterdir()) == []
