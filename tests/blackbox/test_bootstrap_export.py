"""A table copied from an export of it, changes since and all, by a command that is killed, on emulators."""

import secrets
import signal
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.wire.export import CHECKSUM, FILES, STARTED, SUMMARY, About, DataFiles, checksum, files_manifest, listed
from pipeline.wire.export import summary_manifest as summary_of
from tests.blackbox.ends import items, scan
from tests.blackbox.stack import AWAY, Stack, eventually
from tests.blackbox.test_bootstrap import ITEMS, Memory, copying, preload, row
from tests.emulators import Emulators

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(900)]

EXPORT_ID = "01693685827463-2d8752fd"
LINES_BYTES_MAX = 40_000
"""Small, so that there are several files."""
STREAM_IS_ON_SECONDS = 62.0
"""An export counts only when the stream was surely on at its moment."""
SECONDS = 120.0


def export(stack: Stack, *, moment_ms: int) -> str:
    """Write the table as it is now into a bucket, as DynamoDB's own export would; return its place."""
    client, s3, table = stack.client("dynamodb"), stack.client("s3"), stack.tables[0]
    described = client.describe_table(TableName=table)["Table"]
    about = About(
        described["TableArn"], described.get("TableId", ""), stack.audit, "x", EXPORT_ID, moment_ms, moment_ms
    )
    writer, files = DataFiles(LINES_BYTES_MAX), []
    for image in lines(client, table):
        files += [file] if (file := writer.add(image)) else []
    files += [file] if (file := writer.end()) else []
    manifest = files_manifest(about, map(listed, files))
    summary = summary_of(about, sum(file.items for file in files), moment_ms)
    objects = {file.name: file.data for file in files} | {STARTED: b"", FILES: manifest, SUMMARY: summary}
    objects |= {name.replace(".json", CHECKSUM): checksum(objects[name]) for name in (FILES, SUMMARY)}
    for name, data in objects.items():
        s3.put_object(Bucket=stack.audit, Key=about.folder + name, Body=data)
    assert len(files) > 2
    return f"s3://{stack.audit}/{about.folder}"


def lines(client: Any, table: str) -> list[bytes]:
    """Return the items of a table as DynamoDB JSON."""
    return [orjson.dumps(item) for item in items(client, table).values()]


def changed(client: Any, table: str) -> None:
    """Change some items, remove some, and make some, after the export."""
    for number in range(0, ITEMS, 10):
        client.put_item(TableName=table, Item={**row(number), "n": {"N": "1"}})
        client.delete_item(TableName=table, Key={"pk": row(number + 3)["pk"]})
        client.put_item(TableName=table, Item={**row(number), "pk": {"S": f"new-{number}"}})


def test_a_copy_of_an_export_ends_equal(emulators: Emulators, tmp_path: Path) -> None:
    """Items that changed since are as they are now, removed ones stay away, and few are read from the table."""
    with Stack(tmp_path, emulators.settings("ministack"), f"bb-{secrets.token_hex(3)}") as stack:
        client, away = stack.client("dynamodb"), stack.client("dynamodb", AWAY)
        preload(client, stack.tables[0])
        config = stack.write(stack.sections(stack.shipped, lease_seconds=10))
        stack.create(config, shards=2)
        service = stack.service("run", config, "run").start()
        service.wait_working()
        early = export(stack, moment_ms=round(time.time() * 1000))
        refused = stack.fanout("bootstrap", "--export", early, "-c", str(config))
        assert (refused.returncode, "before its stream was on for sure" in refused.stderr) == (2, True), refused.stderr
        time.sleep(STREAM_IS_ON_SECONDS)
        place = export(stack, moment_ms=round(time.time() * 1000))
        changed(client, stack.tables[0])
        memory = Memory()
        only = ("--export", place, "--topology", "replica")
        process = copying(stack, config, memory, *only)
        eventually("the copy has begun", SECONDS, lambda: EXPORT_ID in str(scan(client, stack.state)), 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        other = stack.fanout("bootstrap", "--export", place, "-c", str(config))
        assert (other.returncode, "for other topologies is not done" in other.stderr) == (2, True), other.stderr
        last = copying(stack, config, memory, *only, "--json")
        told, complaints = last.communicate(timeout=SECONDS)
        assert last.returncode == 0, complaints
        eventually(
            "the replica equals its source",
            SECONDS,
            lambda: items(away, stack.tables[0]) == items(client, stack.tables[0]),
            pause_seconds=2.0,
        )
        assert service.terminate() == 0, service.tail()
    (done,) = orjson.loads(told)["tables"]
    assert done["rows"] == ITEMS
    assert ITEMS / 5 <= done["read_units"] < ITEMS / 2, "those that changed since were read, and not all"
