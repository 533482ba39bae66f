"""`fanout verify` on emulators: planted differences are found and repaired while changes flow, in two modes."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.blackbox.ends import scan
from tests.blackbox.planting import fill, plant, tables, verify
from tests.blackbox.stack import AWAY, Stack, eventually
from tests.blackbox.workload import Workload

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

ITEMS = 300
PLANTED = 50
CHANGES = 20_000
SECONDS = 60.0


def test_planted_differences_are_found_and_repaired(stack_of: Callable[..., Stack]) -> None:
    """Each is found, none is invented, a repair leaves none, and replicas that were repaired end equal."""
    stack = stack_of()
    copies = {"replica": stack.tables[0], "guarded": f"{stack.tables[0]}-guarded"}
    guarded = {"kind": "replica", "region": AWAY, "table": copies["guarded"], "mode": "guarded"}
    audit = {"bucket": stack.audit, "prefix": "b/"}
    exact = {"region": AWAY, "positions_table": stack.positions}
    config = stack.write(stack.sections({"replica": exact, "guarded": guarded, "audit": audit}))
    stack.create(config, shards=2)
    stack.command_seconds = 300.0
    here, away = stack.client("dynamodb"), stack.client("dynamodb", AWAY)
    service = stack.service("run", config, "run").start()
    fill(here, stack.tables[0], ITEMS)

    def full(name: str) -> bool:
        return len(scan(away, name)) == ITEMS

    for name in copies.values():
        eventually(f"{name} is filled", SECONDS, partial(full, name), 0.5)
    workload = Workload(stack, changes=CHANGES, keys=100, per_second=200)
    workload.start()
    expected = {topology: plant(away, name, ITEMS, PLANTED, seed=1) for topology, name in copies.items()}
    for topology in copies:
        row, found = verify(stack, config, topology, "--repair")
        assert found == expected[topology]
        assert (row["repaired"], row["left"], row["equal"]) == (PLANTED, [], True)
    listed = stack.client("s3").list_objects_v2(Bucket=stack.audit, Prefix="b/repairs/")["Contents"]
    assert len(listed) == 2 * len(copies)
    for topology in copies:
        assert verify(stack, config, topology)[1] == {}
    workload.stop()
    for name in copies.values():
        eventually(f"{name} equals its source", SECONDS, tables(stack, here, away, name), 0.5)
    assert service.terminate() == 0, service.tail()
