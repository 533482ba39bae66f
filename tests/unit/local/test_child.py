"""Child processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.local import child as child_module
from pipeline.local.child import Child, Launch, Unavailable, answers_http


def _server(folder: Path) -> Child:
    return Child(
        "server",
        lambda port: Launch([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)], {}),
        folder,
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_answers_while_open_and_is_gone_after(tmp_path: Path) -> None:
    """A started server answers on its port; after the with-block neither process nor answer is left."""
    with _server(tmp_path) as server:
        assert answers_http(server.port)
        pid = server.pid
    assert not _alive(pid)
    assert not answers_http(server.port)
    assert "GET" in server.log.read_text()


def test_a_server_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    """A program that ends at once is reported as unavailable, and the hint leads to its output."""
    broken = Child("broken", lambda _: Launch([sys.executable, "-c", "print('no luck')"], {}), tmp_path)
    with pytest.raises(Unavailable, match=r"broken did not start .*broken\.log"):
        broken.start()
    assert broken.log.read_text() == "no luck\n" * child_module.STARTS_MAX


def test_sigterm_and_the_exit_code(tmp_path: Path) -> None:
    """Stopping sends SIGTERM and tells the exit code; one that does not listen is killed; one that ended is seen."""
    program = (
        "import http.server as h, signal, sys;"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3) if sys.argv[2] == 'listen' else None);"
        "h.HTTPServer(('127.0.0.1', int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()"
    )

    def child(manner: str) -> Child:
        return Child(manner, lambda port: Launch([sys.executable, "-c", program, str(port), manner], {}), tmp_path)

    with child("listen") as server:
        assert server.ended is None
        assert server.stop(10.0) == 3
        assert server.ended == 3
    with child("ignore") as server:
        assert server.stop(0.2) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children of a killed parent")
def test_dies_with_its_parent(tmp_path: Path) -> None:
    """A server does not outlive a parent that was killed without warning."""
    program = (
        "import sys, time, pathlib; from tests.unit.local.test_child import _server;"
        "print(_server(pathlib.Path(sys.argv[1])).start().pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    assert _alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 5
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
