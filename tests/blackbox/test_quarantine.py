"""Changes that a destination refuses: parked, shown, mended and put through, with the commands of the how-to."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.blackbox.stack import AWAY, HOME, Service, Stack, eventually
from tests.docs.test_pages import PAGES, commands_of

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

HOW_TO = "docs/how-to/put-a-refused-change-through.md"
KEYS, BAD = 100, ("k7", "k42", "k99")
"""300 changes; in the second round three items get an attribute that a replica of mode guarded cannot keep."""


def write(stack: Stack, number: int, *, poison: bool) -> None:
    """Put every item once."""
    dynamodb = stack.client("dynamodb")
    table = stack.tables[0]
    for start in range(0, KEYS, 25):
        puts = []
        for key in (f"k{n}" for n in range(start, start + 25)):
            extra = {"fanout_version": {"S": "mine"}} if poison and key in BAD else {}
            puts.append({"PutRequest": {"Item": {"pk": {"S": key}, "n": {"N": str(number)}, **extra}}})
        dynamodb.batch_write_item(RequestItems={table: puts})


def items(stack: Stack, region: str) -> dict[str, Mapping[str, Any]]:
    """Return a table's items by key, without what a guarded replica adds."""
    found = stack.client("dynamodb", region).scan(TableName=stack.tables[0], ConsistentRead=True)["Items"]
    return {
        each["pk"]["S"]: {name: value for name, value in each.items() if name != "fanout_version"} for each in found
    }


def listed(stack: Stack) -> list[dict[str, Any]]:
    """Return what is parked."""
    done = stack.fanout("quarantine", "list", "--json")
    assert done.returncode == 0, done.stderr
    parked: list[dict[str, Any]] = json.loads(done.stdout)["parked"]
    return parked


def in_quarantine(service: Service, what: str) -> int:
    """Return how much the worker's status page says is parked."""
    topologies = [shard["topologies"] for shard in service.shards().values() if "topologies" in shard]
    return sum(each["replica"]["quarantine"][what] for each in topologies)


def test_refused_changes_wait_and_are_put_through(stack_of: Callable[..., Stack]) -> None:
    """3 of 100 keys are refused, 97 flow on; mended and put through, the replica is equal to the source."""
    stack = stack_of()
    replica = {"region": AWAY, "mode": "guarded"}
    bucket = {"bucket": f"{stack.name}-quarantine", "prefix": "q/"}
    config = stack.write({**stack.sections({"replica": replica}), "quarantine": bucket})
    stack.create(config, shards=1)
    service = stack.service("run", config, "run").start()
    write(stack, 0, poison=False)
    eventually("all flow", 30, lambda: items(stack, AWAY) == items(stack, HOME))
    write(stack, 1, poison=True)
    eventually("three keys wait", 20, lambda: in_quarantine(service, "keys") == len(BAD))
    write(stack, 2, poison=False)
    good = {key: item for key, item in items(stack, HOME).items() if key not in BAD}
    eventually("the rest flows", 30, lambda: items(stack, AWAY).items() >= good.items())
    eventually("their later changes wait too", 10, lambda: in_quarantine(service, "changes") == 2 * len(BAD))
    assert {items(stack, AWAY)[key]["n"]["N"] for key in BAD} == {"0"}, "nothing goes over what waits"
    without = stack.write(stack.sections({"replica": replica}), "without.toml")
    done = stack.fanout("check", "-c", str(without))
    assert (done.returncode, "3 key(s) of topology replica are parked" in done.stdout) == (1, True), done.stdout
    parked = listed(stack)
    for words in commands_of(PAGES[HOW_TO]):
        done = stack.fanout(*(parked[0]["id"] if word == "ID" else word for word in words[1:]), *_unasked(words))
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(key in done.stdout for key in BAD), "no content unless asked for"
    assert listed(stack) == []
    assert items(stack, AWAY) == items(stack, HOME)
    content = stack.client("s3").list_objects_v2(Bucket=bucket["bucket"]).get("Contents", [])
    assert content == []
    write(stack, 3, poison=False)
    eventually("the keys flow again", 20, lambda: items(stack, AWAY) == items(stack, HOME))
    assert service.terminate() == 0, service.tail()
    assert not any(key in service.log.read_text() for key in BAD)


def _unasked(words: list[str]) -> list[str]:
    """Return the option that keeps a command from asking: nobody sits here."""
    return ["--yes"] if "redrive" in words else []
