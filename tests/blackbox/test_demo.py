"""`fanout demo` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.local.child import Unavailable
from pipeline.local.ministack import ministack

pytestmark = pytest.mark.emulator

CHANGES = 300
SECONDS_MAX = 120


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path) -> None:
    """Skip where the emulator of the demo is not installed."""
    try:
        ministack(tmp_path)
    except Unavailable as error:
        pytest.skip(str(error))


def demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start the demo, its temporary files in `folder`, with variables around that must not matter."""
    strangers = {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9", "FANOUT_WORKER_LEASE_SECONDS": "300"}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "demo", *options],
        env={**os.environ, **strangers, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_proves_itself_and_leaves_nothing(tmp_path: Path) -> None:
    """Exit 0 and one JSON object: nothing lost, reordered or different after two kills; no file is left."""
    running = demo(tmp_path, "--changes", str(CHANGES), "--json")
    out, err = running.communicate(timeout=SECONDS_MAX)
    assert running.returncode == 0, (out, err)
    assert err == ""
    assert out.count("\n") == 1
    figures = json.loads(out)
    assert figures["problems"] == []
    assert (figures["changes"], figures["lost"], figures["reordered"], figures["kills"]) == (CHANGES, 0, 0, 2)
    assert figures["replica"]["mismatches"] == figures["archive"]["mismatches"] == 0
    assert figures["restored"]["mismatches"] == 0
    assert figures["restored"]["items"] > 0
    assert figures["replica"]["items"] > 0
    assert figures["archive"]["segments"] > 0
    assert figures["audit"] == {"entries": CHANGES, "verified": True}
    assert {"duplicates_dropped", "seconds"} <= figures.keys()
    assert list(tmp_path.glob("fanout-demo-*")) == []


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    """Interrupted while changes flow, it ends with 130, and neither process nor file is left."""
    running = demo(tmp_path, "--changes", "100000")
    assert running.stdout is not None
    deadline = time.monotonic() + SECONDS_MAX
    while not (logs := list(tmp_path.glob("fanout-demo-*/worker-1.log"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert logs
    time.sleep(2.0)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=SECONDS_MAX)
    assert running.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert list(tmp_path.glob("fanout-demo-*")) == []
    assert not _processes_of(tmp_path)


def test_a_run_out_of_time_is_a_problem_and_keeps_its_logs(tmp_path: Path) -> None:
    """What has not arrived in time is exit code 1 with a reason, and the logs stay for a look."""
    running = demo(tmp_path, "--changes", "20000", "--seconds-max", "3", "--json")
    out, err = running.communicate(timeout=SECONDS_MAX)
    assert running.returncode == 1, (out, err)
    assert "not all changes had arrived after 3 seconds" in json.loads(out)["problems"]
    (kept,) = tmp_path.glob("fanout-demo-*")
    assert str(kept) in err
    assert (kept / "worker-1.log").exists()
    assert not _processes_of(tmp_path)


def _processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that live in a folder; on Linux only."""
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{folder}/fanout-demo-".encode() in each.read_bytes():
                found.append((each.parent / "cmdline").read_text())
        except OSError:
            continue
    return found
