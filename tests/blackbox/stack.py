"""The pipeline's processes on emulators: configured by a file, started and killed like a user's."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import boto3
from botocore.config import Config

from pipeline.local.child import free_port

ROOT = Path(__file__).parents[2]
HOME, AWAY = "us-east-1", "eu-west-1"
COMMAND_SECONDS = 60.0
STOP_SECONDS = 90.0
PAUSE_SECONDS = 0.1
SOURCE_TABLES = ("orders", "users", "carts", "prices", "returns", "stock")

Sections = Mapping[str, Mapping[str, object]]


def eventually(what: str, seconds: float, holds: Callable[[], object], pause_seconds: float = PAUSE_SECONDS) -> float:
    """Return after how many seconds `holds` became true. Fails, saying what did not happen, after `seconds`."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"within {seconds:.0f} s it never was so that {what}"
        time.sleep(pause_seconds)
    return time.monotonic() - began


def toml(sections: Sections) -> str:
    """Return sections as TOML; text, numbers and lists of them are spelt as in JSON."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for name, values in sections.items()
    )


class Process(Protocol):
    """What is needed of a process: a Popen is one."""

    @property
    def pid(self) -> int:
        """Return its process id."""

    def poll(self) -> int | None:
        """Return the exit code, None while it lives."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises TimeoutExpired."""

    def send_signal(self, number: int, /) -> None:
        """Send a signal."""

    def kill(self) -> None:
        """Send SIGKILL."""


Starter = Callable[[list[str], Path, Mapping[str, str], Path], Process]
"""Starts `fanout` with these arguments, in this folder, with this environment, writing to this log."""


def spawned(arguments: list[str], folder: Path, environment: Mapping[str, str], log: Path) -> Process:
    """Start `fanout` as a user does."""
    return started([sys.executable, "-m", "pipeline", *arguments], folder, environment, log)


def started(command: list[str], folder: Path, environment: Mapping[str, str], log: Path) -> Process:
    """Start a command that reads nothing and writes to its log."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


class Service:
    """One `fanout` process; after a kill it may be started again, its log goes on."""

    def __init__(
        self, command: str, config: Path, environment: Mapping[str, str], log: Path, starter: Starter = spawned
    ) -> None:
        self.command = command
        self.log = log
        self._config = config
        self._environment = environment
        self._starter = starter
        self._process: Process | None = None
        self._port = 0

    def start(self) -> Self:
        """Start the process; it is not waited for."""
        assert self._process is None
        self._port = free_port()
        environment = {**self._environment, "FANOUT_WORKER_WEB_PORT": str(self._port)}
        arguments = [self.command, "-c", str(self._config)]
        self._process = self._starter(arguments, self._config.parent, environment, self.log)
        return self

    @property
    def running(self) -> bool:
        """Return True while the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Return the process id of the running process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it with SIGKILL: it learns nothing of that. Killing what is not there does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def terminate(self) -> int:
        """End it with SIGTERM and return its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        finally:
            process.kill()

    def status(self) -> dict[str, Any]:
        """Return what its status page says; {} while it does not answer."""
        return self._page("/status")

    def health(self) -> dict[str, Any]:
        """Return what its health page says; {} while it does not answer."""
        return self._page("/health")

    def shards(self) -> dict[str, Any]:
        """Return what it says of the shards it works on, of tables or of the stream."""
        status = self.status()
        of_tables = [each["shards"] for each in status.get("captures", {}).values()]
        return {
            name: shard
            for each in (*of_tables, (status.get("delivery") or {}).get("shards", {}))
            for name, shard in each.items()
        }

    def wait_working(self, seconds: float = 30.0) -> None:
        """Wait until it works on a shard."""
        eventually(f"{self.log.stem} works on a shard", seconds, lambda: self._alive() and self.shards())

    def _alive(self) -> bool:
        assert self.running, f"{self.log.stem} ended by itself:\n{self.tail()}"
        return True

    def tail(self, lines: int = 25) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _page(self, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=2.0) as answer:
                page: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                page = json.load(error)
        except OSError:
            return {}
        return page


def source_tables(name: str, count: int) -> list[str]:
    """Return the names of the source tables of a stack of this name."""
    return [f"{name}-{table}" for table in SOURCE_TABLES[:count]]


class Stack:
    """One pipeline of its own on shared emulators: names of its own, a working folder, clients, processes."""

    def __init__(self, folder: Path, settings: Mapping[str, str], name: str, *, tables: int = 1) -> None:
        self.folder = folder
        self.name = name
        self.tables = source_tables(name, tables)
        self.stream = f"{name}-changes"
        self.state = f"{name}-state"
        self.positions = f"{name}-positions"
        self.archive, self.audit = f"{name}-archive", f"{name}-audit"
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ}
        self.environment = {**inherited, **settings, "PYTHONPATH": str(ROOT)}
        self.command_seconds = COMMAND_SECONDS
        self.starter: Starter = spawned
        self._settings = settings
        self._services: list[Service] = []
        self._clients: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for service in self._services:
            service.kill()
        for client in self._clients:
            client.close()

    def sections(self, topologies: Sections, **worker: object) -> dict[str, Mapping[str, object]]:
        """Return a whole configuration with these topologies."""
        fast = {"lease_seconds": 2, "checkpoint_seconds": 0.5, "drain_seconds": 20}
        return {
            "source": {"region": HOME, "tables": self.tables},
            "stream": {"name": self.stream},
            "state": {"table": self.state},
            "worker": {**fast, **worker},
            **{f"topologies.{name}": values for name, values in topologies.items()},
        }

    @property
    def shipped(self) -> dict[str, Mapping[str, object]]:
        """Return the three topologies with destinations of their own."""
        return {
            "replica": {"region": AWAY, "positions_table": self.positions},
            "archive": {"bucket": self.archive, "prefix": "a/", "linger_seconds": 1},
            "audit": {"bucket": self.audit, "prefix": "b/", "linger_seconds": 1},
        }

    def write(self, sections: Sections, file: str = "fanout.toml") -> Path:
        """Write a configuration into the working folder."""
        path = self.folder / file
        path.write_text(toml(sections))
        return path

    def create(self, config: Path, shards: int) -> None:
        """Create the stream with so many shards, and with `fanout setup` all the rest."""
        kinesis = self.client("kinesis")
        kinesis.create_stream(StreamName=self.stream, ShardCount=shards)
        kinesis.get_waiter("stream_exists").wait(StreamName=self.stream, WaiterConfig={"Delay": 1})
        done = self.fanout("setup", "--yes", "--source-keys", "pk:S", "-c", str(config))
        assert done.returncode == 0, done.stderr

    def fanout(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.command_seconds,
            check=False,
        )

    def service(self, command: str, config: Path, name: str, **environment: str) -> Service:
        """Return a service, not yet started; it is killed when the stack closes."""
        log = self.folder / f"{name}.log"
        service = Service(command, config, {**self.environment, **environment}, log, self.starter)
        self._services.append(service)
        return service

    def client(self, service: str, region: str = HOME) -> Any:
        """Return a boto3 client of an emulator, closed with the stack."""
        client = boto3.session.Session().client(
            service,
            region_name=region,
            endpoint_url=self._settings[
                "AWS_ENDPOINT_URL_" + {"dynamodbstreams": "dynamodb_streams"}.get(service, service).upper()
            ],
            aws_access_key_id=self._settings["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._settings["AWS_SECRET_ACCESS_KEY"],
            config=Config(connect_timeout=5, read_timeout=30, max_pool_connections=10),
        )
        self._clients.append(client)
        return client
