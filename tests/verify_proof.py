"""`make verify-proof`: a table on emulators compared with its replica while changes flow; prints a row of a ledger.

Differences are planted into the replica; one comparison must find each and nothing else, a repair mend them, and a
further comparison find none. In the end both tables are compared in full, by other code.
"""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.blackbox.planting import fill, plant, tables, verify
from tests.blackbox.stack import AWAY, Stack, eventually
from tests.blackbox.workload import Workload
from tests.emulators import opened

HOT_ITEMS = 500
QUIET_SECONDS = 600.0
ENOUGH = 10_000_000


def make(client: Any, table: str) -> None:
    """Make the table, without a stream."""
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=table)


def prove(stack: Stack, items: int, planted: int, per_second: float, where: str) -> bool:
    """Do it all; print the row, return whether all was as it has to be."""
    config = stack.write(stack.sections({"replica": {"region": AWAY, "positions_table": stack.positions}}))
    here, away, table = stack.client("dynamodb"), stack.client("dynamodb", AWAY), stack.tables[0]
    make(here, table)
    fill(here, table, items)  # before there is a stream: both tables begin equal
    stack.create(config, shards=2)
    stack.command_seconds = 1_800.0
    fill(away, table, items)
    service = stack.service("run", config, "run").start()
    service.wait_working()
    workload = Workload(stack, changes=ENOUGH, keys=HOT_ITEMS, per_second=per_second, prefix="hot")
    workload.start()
    expected = plant(away, table, items, planted, seed=4)
    began, before = time.monotonic(), len(workload.entries)
    first, found = verify(stack, config, "replica")
    first_seconds = time.monotonic() - began
    repair, _ = verify(stack, config, "replica", "--repair")
    again, left = verify(stack, config, "replica")
    seconds, changes = time.monotonic() - began, len(workload.entries) - before
    workload.stop()
    waited = eventually("the replica equals its source", QUIET_SECONDS, tables(stack, here, away, table), 2.0)
    ended = service.terminate()
    missed = sum(found.get(key) != kind for key, kind in expected.items())
    false = sum(key not in expected for key in found)
    cells = (where, items, round(changes / seconds), changes, len(expected), len(found), missed, false)
    more = (repair["repaired"], len(left), first["looked_at_again"], round(first_seconds))
    sys.stdout.write("| " + " | ".join(f"{c:,}" if isinstance(c, int) else c for c in (*cells, *more)) + " |\n")
    sys.stdout.write(f"first: {first}\nlast: {again}\nequal {waited:.0f} s after the last change\n")
    return not (missed or false or left or ended) and repair["repaired"] == planted


def main() -> int:
    """Start the emulators, prove, and return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--planted", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--on", default="ministack,dynamodb-local,kinesis-local")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="verify-proof-"))
    for emulators in opened(folder):
        settings = emulators.settings(*given.on.split(","))
        with Stack(folder, settings, f"vp-{secrets.token_hex(3)}") as stack:
            done = prove(stack, given.items, given.planted, given.rate, given.on.split(",")[-1])
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
