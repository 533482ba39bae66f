"""A plugin that takes its process down at one item, in real processes that are started again each time."""

import json
from collections.abc import Callable

import pytest

from tests.blackbox.stack import Stack, eventually
from tests.blackbox.test_plugin import install

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

PLUGIN = '''\
"""Appends the version of every item to a file of its shard; at the item k3 it ends the process."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.plugin import Batch, Context, Topology


@dataclass(frozen=True)
class Settings:
    path: str


class Deadly:
    def __init__(self, settings: Settings, context: Context) -> None:
        self._folder = Path(settings.path)

    async def open(self) -> None:
        self._folder.mkdir(exist_ok=True)

    async def write(self, batch: Batch) -> None:
        with (self._folder / batch.shard).open("a") as file:
            for _, change in batch:
                if change.keys == b'{"pk":{"S":"k3"}}':
                    os._exit(70)
                file.write(f"{change.keys.decode()}\\n")

    async def close(self) -> None:
        pass


topology = Topology("deadly", Settings, Deadly)
'''
KEYS = 20
DEATHS_MAX = 8
"""Six are the rule; one before anything was checkpointed, or one for a checkpoint that moved, may be more."""


def put_items(stack: Stack, number: int) -> None:
    """Put every item once."""
    for key in range(KEYS):
        stack.client("dynamodb").put_item(
            TableName=stack.tables[0], Item={"pk": {"S": f"k{key}"}, "n": {"N": str(number)}}
        )


@pytest.mark.fault("P6")
def test_the_process_lives_after_a_few_deaths(stack_of: Callable[..., Stack]) -> None:
    """`os._exit` in a plugin at one item: after a few starts the item is parked, all others arrive, and it stays up."""
    stack = stack_of()
    files = install(stack, "deadly", PLUGIN)
    bucket = {"bucket": f"{stack.name}-quarantine", "prefix": "q/"}
    config = stack.write({**stack.sections({"deadly": {"path": str(files)}}), "quarantine": bucket})
    stack.create(config, shards=1)
    put_items(stack, 0)
    capture = stack.service("capture", config, "capture").start()
    worker = stack.service("worker", config, "worker").start()
    deaths = 0

    def parked() -> bool:
        nonlocal deaths
        if not worker.running:
            worker.kill()
            deaths += 1
            assert deaths <= DEATHS_MAX, worker.tail()
            worker.start()
        return any(each["why"] == "fatal" for each in json.loads(listing())["parked"])

    def listing() -> str:
        return stack.fanout("quarantine", "list", "--json").stdout or '{"parked": []}'

    eventually("the item is parked", 240, parked, pause_seconds=1.0)
    put_items(stack, 1)

    def written() -> set[str]:
        return {line for each in files.iterdir() for line in each.read_text().splitlines()}

    eventually("all others are written", 60, lambda: len(written()) == KEYS - 1)
    assert worker.running
    print(f"deaths until the item was parked: {deaths}")
    assert worker.terminate() == 0, worker.tail()
    assert capture.terminate() == 0, capture.tail()
