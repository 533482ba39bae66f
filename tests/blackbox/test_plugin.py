"""A developer's new sink: one short file in the working folder, and a section in the configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.blackbox.ends import listed
from tests.blackbox.history import judge
from tests.blackbox.stack import Stack, eventually
from tests.blackbox.workload import Workload

pytestmark = pytest.mark.emulator

PLUGIN = '''\
"""Appends every change, as a line, to a file of its shard."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.plugin import Batch, Context, Topology, change_to_json


@dataclass(frozen=True)
class Settings:
    path: str


class Lines:
    def __init__(self, settings: Settings, context: Context) -> None:
        self._folder = Path(settings.path)

    async def open(self) -> None:
        self._folder.mkdir(exist_ok=True)

    async def write(self, batch: Batch) -> None:
        with (self._folder / batch.shard).open("a") as file:
            for _, change in batch:
                file.write(f"{change.table} {change.epoch} {change.shard} {change_to_json(change).decode()}\\n")

    async def close(self) -> None:
        pass


topology = Topology("lines", Settings, Lines)
'''
LINES_MAX = 30
CHANGES = 1_000


def install(stack: Stack, name: str, text: str) -> Path:
    """Put a plugin where its author would, and return the folder for its files."""
    folder = stack.folder / "topologies"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    return stack.folder / f"{name}-files"


def test_a_new_plugin_receives_every_change_in_order(stack_of: Callable[..., Stack]) -> None:
    """One file of at most 30 lines and one section are all it takes to get every change of two tables in order."""
    assert len(PLUGIN.splitlines()) <= LINES_MAX
    stack = stack_of(tables=2)
    files = install(stack, "lines", PLUGIN)
    config = stack.write(stack.sections({"lines": {"path": str(files)}}))
    stack.create(config, shards=2)
    service = stack.service("run", config, "run").start()
    workload = Workload(stack, changes=CHANGES, keys=80)
    workload.start()
    journal = workload.finish()
    eventually("the plugin has all", 60, lambda: len(listed(files)) >= CHANGES)
    assert service.terminate() == 0, service.tail()
    assert "\x1b" not in service.log.read_text(), "a log is no terminal"
    verdict = judge(journal, listed(files))
    assert verdict.sound, verdict
    assert verdict.repeats == 0
