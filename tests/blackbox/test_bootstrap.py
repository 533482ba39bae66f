"""A table that was there before fanout, copied while it changes, by a command that is killed: the replica ends equal.

FANOUT_TEST_ITEMS=200000 makes it the size of the promise; `make bootstrap-proof` does so. DynamoDB Local writes a few
hundred items a second, so a large table is ministack's.
"""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.ends import items
from tests.blackbox.history import Item, Write
from tests.blackbox.stack import AWAY, ROOT, Stack, eventually
from tests.blackbox.workload import Workload
from tests.emulators import Emulators

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

ITEMS = int(os.environ.get("FANOUT_TEST_ITEMS", "1000"))
LARGE_ITEMS = 20_000
LOOK_SECONDS = 0.3
KILLS = 3
CALL_WRITES = 25
CHANGES_PER_SECOND = 550
"""Somewhat more than the promise speaks of: the writers wait for answers, too."""
SECONDS = max(4, ITEMS // 2_500)


def preload(client: Any, table: str) -> None:
    """Make a table without a stream, with items; every second key is one the workload writes too."""
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=table)
    for start in range(0, ITEMS, CALL_WRITES):
        rows = [row(number) for number in range(start, min(start + CALL_WRITES, ITEMS))]
        client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": each}} for each in rows]})


def row(number: int) -> dict[str, Any]:
    """Return an item as it was before there was a stream."""
    tags = {"SS": ["old", "ü"]}
    return {"pk": {"S": f"key-{number:04d}"}, "n": {"N": f"-{number + 1}"}, "text": {"S": "x" * 200}, "tags": tags}


class Memory(threading.Thread):
    """Looks at how much memory processes have had at most, until they end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb: dict[str, float] = {}
        self._watched: list[tuple[str, int]] = []

    def watch(self, name: str, pid: int) -> None:
        """Look at this process, too; several of one name count as one."""
        self._watched.append((name, pid))

    def run(self) -> None:
        """Look a few times a second."""
        while True:
            for name, pid in list(self._watched):
                with contextlib.suppress(OSError):
                    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text())
                    if found:
                        self.peak_mb[name] = max(self.peak_mb.get(name, 0.0), int(found.group(1)) / 1024)
            time.sleep(LOOK_SECONDS)


def copying(stack: Stack, config: Path, memory: Memory, *arguments: str) -> "subprocess.Popen[str]":
    """Begin the copy, or go on with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "bootstrap", "-c", str(config), *arguments],
        cwd=stack.folder,
        env={**stack.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    memory.watch("bootstrap", process.pid)
    return process


def kill_some(stack: Stack, config: Path, memory: Memory) -> None:
    """Begin the copy and kill it, again and again, each time a little later."""
    for number in range(KILLS):
        process = copying(stack, config, memory, "--read-units", str(ITEMS / 40))
        time.sleep(1.2 + number * SECONDS / 10)
        assert process.poll() is None, "it was done before it was killed"
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_a_copy_killed_three_times_ends_equal(emulators: Emulators, tmp_path: Path) -> None:
    """Every item arrives, changed or not, and none that was deleted comes back."""
    large = ITEMS >= LARGE_ITEMS
    settings = emulators.settings("ministack", *(() if large else ("dynamodb-local", "kinesis-local")))
    memory = Memory()
    memory.start()
    with Stack(tmp_path, settings, f"bb-{secrets.token_hex(3)}") as stack:
        client = stack.client("dynamodb")
        preload(client, stack.tables[0])
        config = stack.write(stack.sections(stack.shipped, lease_seconds=10))
        stack.create(config, shards=2)
        service = stack.service("run", config, "run").start()
        service.wait_working()
        memory.watch("run", service.pid)
        changes = SECONDS * CHANGES_PER_SECOND // (2 * CALL_WRITES) * 2 * CALL_WRITES
        workload = Workload(
            stack, changes=changes, keys=min(ITEMS // 2, 2_000), per_second=CHANGES_PER_SECOND, threads=4
        )
        began = time.monotonic()
        workload.start()
        kill_some(stack, config, memory)
        last = copying(stack, config, memory, "--json")
        journal = workload.finish()
        wrote_seconds = time.monotonic() - began
        told, complaints = last.communicate(timeout=max(60.0, ITEMS / 50))
        copied_seconds = time.monotonic() - began
        assert last.returncode == 0, complaints
        away = stack.client("dynamodb", AWAY)
        source = items(client, stack.tables[0])
        deleted = {item.key for item in journal_items(journal)} - {item.key for item in source}
        eventually(
            "the replica equals its source", 300, lambda: items(away, stack.tables[0]) == source, pause_seconds=2.0
        )
        assert service.terminate() == 0, service.tail()
    print(
        f"{ITEMS:,} items on {'ministack' if large else 'DynamoDB Local and kinesis-local'}; {changes:,} changes in"
        f" {wrote_seconds:.0f} s ({changes / wrote_seconds:.0f}/s) while the copy ran, {KILLS} kill -9; copied after"
        f" {copied_seconds:.0f} s; {len(source):,} items left, {len(deleted)} deleted and gone, 0 mismatches; peak MB:"
        f" {', '.join(f'{name} {peak:.0f}' for name, peak in sorted(memory.peak_mb.items()))}; {told}"
    )


def journal_items(journal: Iterable[Write]) -> set[Item]:
    """Return the items that were written to."""
    return {write.item for write in journal}
