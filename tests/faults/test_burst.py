"""Little memory and a great backlog, in a process of its own with a limit."""

import json
import subprocess
import sys

import pytest

from tests.faults.catalogue import ROOT

BACKLOG_MIB = 160
SPARE_MIB = 64
"""Address space beyond what the loaded process has: less than half of the backlog."""


@pytest.mark.fault("M2")
def test_a_backlog_larger_than_memory_is_delivered_within_it() -> None:
    """160 MiB through one shard with 64 MiB to spare, one sink slow, one hung: all arrives, reading waits."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.burst", str(BACKLOG_MIB), str(SPARE_MIB)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["changes"] == BACKLOG_MIB * 1024 // 200 * 10
    assert report["grown_mib"] < SPARE_MIB
