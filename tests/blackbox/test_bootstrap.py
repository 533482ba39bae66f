"""A table that was there before fanout, copied while it changes, by a command that is killed: the replica ends equal.

FANOUT_TEST_ITEMS=200000 makes it the size of the promise; `make bootstrap-proof` does so.
"""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.ends import items
from tests.blackbox.stack import AWAY, ROOT, Stack, eventually
from tests.blackbox.workload import Workload

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

ITEMS = int(os.environ.get("FANOUT_TEST_ITEMS", "1000"))
KILLS = 3
CALL_WRITES = 25
CHANGES_PER_SECOND = 500
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


def kill_some(stack: Stack, config: Path) -> None:
    """Begin the copy and kill it, again and again, each time a little later."""
    for number in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "bootstrap", "-c", str(config), "--read-units", str(ITEMS / 40)],
            cwd=stack.folder,
            env={**stack.environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1.2 + number * SECONDS / 10)
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_copy_killed_three_times_ends_equal(stack_of: Callable[..., Stack]) -> None:
    """Every item arrives, changed or not, and none that was deleted comes back."""
    stack = stack_of()
    client = stack.client("dynamodb")
    preload(client, stack.tables[0])
    config = stack.write(stack.sections(stack.shipped))
    stack.create(config, shards=2)
    service = stack.service("run", config, "run").start()
    changes = SECONDS * CHANGES_PER_SECOND // (2 * CALL_WRITES) * 2 * CALL_WRITES
    workload = Workload(stack, changes=changes, keys=min(ITEMS // 2, 2_000), per_second=CHANGES_PER_SECOND)
    workload.start()
    kill_some(stack, config)
    stack.command_seconds = max(60.0, ITEMS / 200)
    done = stack.fanout("bootstrap", "-c", str(config), "--json")
    assert done.returncode == 0, done.stderr
    workload.finish()
    away = stack.client("dynamodb", AWAY)
    source = items(client, stack.tables[0])
    eventually("the replica equals its source", 60, lambda: items(away, stack.tables[0]) == source, pause_seconds=1.0)
    assert service.terminate() == 0, service.tail()
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{ITEMS} items, {changes} changes, {len(source)} left, largest process {peak_mb:.0f} MB: {done.stdout}")
