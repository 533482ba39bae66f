"""One topology hangs for a minute: the others go on as if it were not there, and it catches up by itself."""

import os
import time
from collections.abc import Callable

import pytest

from tests.blackbox import ends
from tests.blackbox.history import judge
from tests.blackbox.proxy import Door
from tests.blackbox.stack import Stack, eventually
from tests.blackbox.test_plugin import PLUGIN, install
from tests.blackbox.workload import Workload

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(300)]

HANG_SECONDS = float(os.environ.get("BLACKBOX_HANG_SECONDS", "60"))
"""The promise is made for 60 s; shorter only to look at the test itself."""
HANGING = (
    PLUGIN.replace("from dataclasses", "import asyncio\nfrom dataclasses")
    .replace("    path: str\n", "    path: str\n    hang_seconds: float = 0.0\n")
    .replace("        self._folder = ", "        self._hang_seconds = settings.hang_seconds\n        self._folder = ")
    .replace(
        "        with (self._folder",
        "        seconds, self._hang_seconds = self._hang_seconds, 0.0\n"
        "        await asyncio.sleep(seconds)\n"
        "        with (self._folder",
    )
    .replace('"lines"', '"hang"')
)
RING_BYTES = 1024 * 1024
CHANGES, PAYLOAD_BYTES = 2_000, 2_000
"""More bytes of images than the ring holds, several times over."""
WITHIN_SECONDS = 30.0
OTHERS = ("replica", "archive", "audit")
WINDOW_SECONDS = 5.0
READS_A_SECOND_MAX = 5.0
"""What one reader of a shard may do; a topology that still read for itself would come on top."""


@pytest.mark.fault("X2")
def test_a_hanging_topology_holds_up_no_other_and_catches_up(stack_of: Callable[..., Stack]) -> None:
    """While it hangs the others settle everything; then it reads on by itself, misses nothing, and joins the others."""
    stack = stack_of()
    files = install(stack, "hang", HANGING)
    hang = {"path": str(files), "hang_seconds": HANG_SECONDS, "batch_changes_max": 50}
    config = stack.write(stack.sections({**stack.shipped, "hang": hang}, ring_bytes_max=RING_BYTES))
    stack.create(config, shards=1)
    home = stack.client("dynamodb")

    def positions() -> dict[str, int]:
        return {name: ends.settled(stack, home, name) for name in (*OTHERS, "hang")}

    with Door(stack.environment["AWS_ENDPOINT_URL_KINESIS"]) as door:
        service = stack.service("run", config, "run", AWS_ENDPOINT_URL_KINESIS=door.url).start()
        first = Workload(
            stack, changes=CHANGES, keys=100, per_second=CHANGES / HANG_SECONDS * 2, payload_bytes=PAYLOAD_BYTES
        )
        began = time.monotonic()
        first.start()
        seen = [positions()]
        while not all(seen[-1][name] == CHANGES for name in OTHERS):
            assert time.monotonic() - began < HANG_SECONDS, f"the others waited: {seen[-1]}\n{service.tail()}"
            time.sleep(HANG_SECONDS / 12)
            seen.append(positions())
        journal = first.finish()
        assert {each["hang"] for each in seen} == {0}, "it hung all the while"
        for name in OTHERS:
            assert len({each[name] for each in seen}) >= 3, (
                f"the checkpoints of {name} went on, again and again: {seen}"
            )
        assert service.health()["healthy"]
        iterators = sum(door.calls("GetShardIterator").values())

        left = HANG_SECONDS - (time.monotonic() - began)
        eventually("it has caught up", left + WITHIN_SECONDS, lambda: positions()["hang"] == CHANGES, 0.5)
        assert sum(door.calls("GetShardIterator").values()) > iterators, "it fell off the ring, so it read for itself"

        second = Workload(stack, changes=500, keys=50, per_second=60.0, seed=2, prefix="more")
        second.start()
        time.sleep(1.0)
        reads = sum(door.calls("GetRecords").values())
        time.sleep(WINDOW_SECONDS)
        reads = sum(door.calls("GetRecords").values()) - reads
        assert reads <= READS_A_SECOND_MAX * WINDOW_SECONDS + 1, "it has not joined the others again"
        journal = [*journal, *second.finish()]
        eventually("all have all", WITHIN_SECONDS, lambda: set(positions().values()) == {len(journal)})
        assert service.terminate() == 0, service.tail()
    verdict = judge(journal, ends.listed(files))
    assert verdict.sound, verdict
    assert verdict.repeats == 0
