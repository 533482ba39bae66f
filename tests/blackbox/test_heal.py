"""A stream that was switched off for a while: the gap is healed by command, though the command is killed on the way."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.ends import items
from tests.blackbox.stack import AWAY, ROOT, Stack, eventually

pytestmark = pytest.mark.emulator
ITEMS = 60


def put(client: Any, table: str, number: int, n: int) -> None:
    """Write an item."""
    tags = {"SS": ["a", "b"]}
    client.put_item(TableName=table, Item={"pk": {"S": f"k{number}"}, "n": {"N": str(n)}, "tags": tags})


def lose(client: Any, table: str) -> None:
    """Change, delete and add items while the table has no stream."""
    client.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    time.sleep(1.1)  # a new stream's label must be later
    for number in range(0, ITEMS, 3):
        put(client, table, number, 1_000 + number)
    for number in range(1, ITEMS, 3):
        client.delete_item(TableName=table, Key={"pk": {"S": f"k{number}"}})
    put(client, table, ITEMS, 1)
    client.update_table(
        TableName=table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )


def report(stack: Stack, config: Path, *arguments: str, code: int = 0) -> Any:
    """Return what a command reports with --json."""
    done = stack.fanout(*arguments, "-c", str(config), "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def begin_and_kill(stack: Stack, config: Path, gap: str) -> None:
    """Let the healing begin, and end it half way."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "gaps", "heal", gap, "-c", str(config)],
        cwd=stack.folder,
        env={**stack.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(2.5)
    process.kill()
    process.wait()


@pytest.mark.fault("D6")
def test_a_gap_is_healed(stack_of: Callable[..., Stack]) -> None:
    """What was changed, deleted and added in the gap arrives; the gap is healed, in the state and the audit log."""
    stack = stack_of()
    config = stack.write(stack.sections(stack.shipped))
    stack.create(config, shards=2)
    client, away, table = stack.client("dynamodb"), stack.client("dynamodb", AWAY), stack.tables[0]

    def same() -> bool:
        return items(client, table) == items(away, table)

    service = stack.service("run", config, "run").start()
    service.wait_working()
    for number in range(ITEMS):
        put(client, table, number, 1)
    eventually("the replica equals its source", 30, same)
    assert service.terminate() == 0, service.tail()
    lose(client, table)
    put(client, table, 2, 2)  # behind the gap
    service.start()
    eventually("the gap is there", 30, lambda: report_gaps(stack, config))
    (gap,) = report_gaps(stack, config)
    assert (gap["state"], gap["cause"]) == ("open", "new stream")
    begin_and_kill(stack, config, gap["gap"])
    healed = report(stack, config, "gaps", "heal", gap["gap"], "--by", "ann")
    assert healed["gap"]["state"] == "healed"
    assert healed["tables"][0]["rows"] == ITEMS // 3 * 2 + 1, "as many as were changed, deleted and added"
    eventually("the replica equals its source again", 30, same)
    assert report(stack, config, "gaps", "list")["gaps"][0]["state"] == "healed"
    assert report(stack, config, "gaps", "heal", gap["gap"])["tables"] == [], "it is healed: nothing is read again"
    eventually("the mark is in the audit log", 30, lambda: marks(stack, config) == ["healed"])
    assert service.terminate() == 0, service.tail()


def report_gaps(stack: Stack, config: Path) -> list[dict[str, Any]]:
    """Return the gaps of the pipeline."""
    done = stack.fanout("gaps", "list", "-c", str(config), "--json")
    found: list[dict[str, Any]] = json.loads(done.stdout)["gaps"]
    return found


def marks(stack: Stack, config: Path) -> list[str]:
    """Return the states of the gaps that the audit log tells of."""
    done = stack.fanout("audit", "verify", "-c", str(config), "--json")
    return [gap["state"] for gap in json.loads(done.stdout)["gaps"]]
