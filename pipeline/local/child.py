"""A server as a child process on loopback: started on a free port, waited for, and gone when we are gone."""

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from pipeline.model.errors import Misconfigured

LOOPBACK = "127.0.0.1"
READY_SECONDS = 60.0
"""How long a server may take to answer its first request; a JVM on a busy machine needs a few seconds."""
STARTS_MAX = 3
"""Starts tried, each on another port: between choosing a port and binding it somebody else may take it."""
STOP_SECONDS = 10.0
_PAUSE_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Unavailable(Misconfigured):
    """A local server cannot run on this machine; the hint says what is missing."""


class Launch(NamedTuple):
    """How a server is started on a given port."""

    command: Sequence[str]
    environment: Mapping[str, str]
    """Added to the PATH, and to a HOME and TMPDIR that are the server's own folder."""
    working_folder: Path | None = None
    """Where the server finds files of its own; its own folder when not said."""


class Child:
    """One server process.

    The process has its own session, so that Ctrl-C in a terminal stops the program that uses the server first. On
    Linux the kernel kills it when the thread that started it ends, whatever way that thread ends: start it from a
    thread that lives as long as the server is needed.
    """

    def __init__(self, name: str, launch: Callable[[int], Launch], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._launch = launch
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Return the server's base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start the server and return when it answers HTTP. Raises Unavailable when it does not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for _ in range(STARTS_MAX):
            self.port = free_port()
            self._spawn()
            if self._answers():
                return self
            self.close()
        raise Unavailable(f"{self.name} did not start", hint=f"see {self.log}")

    def restart(self) -> None:
        """Kill the server and start it again on the same port, with what it keeps on disk. Raises Unavailable."""
        self.close()
        self._spawn()
        if not self._answers():
            raise Unavailable(f"{self.name} did not start again", hint=f"see {self.log}")

    @property
    def ended(self) -> int | None:
        """Return the exit code of a server that has ended by itself, None otherwise."""
        return None if self._process is None else self._process.poll()

    def stop(self, seconds: float) -> int:
        """Send SIGTERM and return the exit code; a server that has not ended in time is killed, which shows in it."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(STOP_SECONDS)

    def close(self) -> None:
        """Kill the server and wait until it is gone; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _spawn(self) -> None:
        command, environment, working_folder = self._launch(self.port)
        base = {"PATH": os.environ.get("PATH", ""), "HOME": str(self._folder), "TMPDIR": str(self._folder)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=working_folder or self._folder,
                env={**base, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # one system call, no Python lock is taken
            )

    def _answers(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if answers_http(self.port):
                return True
            time.sleep(_PAUSE_SECONDS)
        return False


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def answers_http(port: int) -> bool:
    """Return True when something on the loopback port answers a request, with whatever status."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=1.0)
    try:
        connection.request("GET", "/health")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
