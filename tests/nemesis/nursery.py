"""Processes of the pipeline forked from one that has imported everything: they start in a fraction of the time.

Each is a process of its own, with the pid, memory, files and death of one; what it shares with the others is the
state of the interpreter after the imports. On a busy machine most of a restart is importing, which a campaign that
kills every few seconds cannot afford.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pipeline.cli.main import main
from pipeline.wiring import service as _service  # noqa: F401  # imported here, once for all
from tests.blackbox.stack import ROOT

PAUSE_SECONDS = 0.02


class Forked:
    """A forked process, used like a Popen."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self._pid = pid
        self._nursery = nursery
        self._code: int | None = None

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._pid

    def poll(self) -> int | None:
        """Return the exit code, -9 after SIGKILL; None while it lives."""
        if self._code is None:
            self._code = self._nursery.ask({"poll": self._pid})["code"]
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises TimeoutExpired."""
        deadline = time.monotonic() + (timeout or float("inf"))
        while (code := self.poll()) is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("forked", timeout or 0.0)
            time.sleep(PAUSE_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended: until it is polled its pid is nobody else's."""
        if self.poll() is None:
            os.kill(self._pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that forks; it ends, and all it forked with it, when this one closes it or dies."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**environment, "PYTHONPATH": str(ROOT)}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nemesis.nursery"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def start(self, arguments: list[str], folder: Path, environment: Mapping[str, str], log: Path) -> Forked:
        """Fork a process that runs `fanout` with these arguments."""
        made = {"arguments": arguments, "folder": str(folder), "environment": dict(environment), "log": str(log)}
        return Forked(self, self.ask({"start": made})["pid"])

    def ask(self, question: Mapping[str, Any]) -> Any:
        """Return the answer to one question."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())


def _serve() -> None:
    """Answer questions until there are no more; then leave nobody behind."""
    children: dict[int, int | None] = {}
    for line in sys.stdin:
        question = json.loads(line)
        if "start" in question:
            pid = _fork(**question["start"])
            children[pid] = None
            answer: dict[str, Any] = {"pid": pid}
        else:
            pid = question["poll"]
            if children[pid] is None:
                done, status = os.waitpid(pid, os.WNOHANG)
                children[pid] = os.waitstatus_to_exitcode(status) if done else None
            answer = {"code": children[pid]}
        print(json.dumps(answer), flush=True)
    for pid in [pid for pid, code in children.items() if code is None]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _fork(arguments: list[str], folder: str, environment: dict[str, str], log: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main(arguments))


if __name__ == "__main__":
    _serve()
