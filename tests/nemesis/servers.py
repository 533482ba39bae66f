"""The emulators of one run: kept on disk so that they can be killed and come back, or under a clock that races."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from pipeline.local.child import Child, Unavailable
from pipeline.local.dynamodb_local import dynamodb_local
from pipeline.local.kinesis_local import kinesis_local
from pipeline.local.ministack import EMULATOR_CREDENTIALS, ministack
from tests.blackbox.stack import HOME
from tests.nemesis.message import Detour
from tests.nemesis.proxy import Proxy

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
"""Where the package faketime of Debian and Ubuntu puts it."""
PERSIST_SECONDS = 1
"""kinesis-local writes its data to disk this often, and forgets what came after when it is killed."""


def racing(speed: int) -> dict[str, str]:
    """Return the variables that make a process's clocks run so many times too fast. Raises Unavailable."""
    return {**_preloaded(), "FAKETIME": f"+0 x{speed}"}


class WrongClock:
    """A clock that is wrong by so many seconds, and jumps. Raises Unavailable."""

    def __init__(self, file: Path, seconds: float = 0.0) -> None:
        self.variables = {**_preloaded(), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_CACHE_DURATION": "1"}
        """What a process needs to have this clock."""
        self._file = file
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Be wrong by so many seconds from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}\n")
        new.replace(self._file)


def _preloaded() -> dict[str, str]:
    if not FAKETIME.exists():
        raise Unavailable("libfaketime is not installed", hint="apt-get install faketime")
    return {"LD_PRELOAD": str(FAKETIME)}


class Servers:
    """DynamoDB Local, kinesis-local, and the S3 of ministack; with a `speed`, another DynamoDB Local whose clock races.

    A `quick` one has ministack for Kinesis too, which takes many times the load; it cannot reshard or be restarted.
    Only the source tables belong on the one that races: it ends a connection that was idle for thirty of its seconds,
    which is too soon for a client that keeps its connections.
    """

    def __init__(self, folder: Path, *, kept: bool = False, speed: int = 1, quick: bool = False) -> None:
        disk = folder / "disk"
        disk.mkdir(parents=True)
        persisted = {
            "SHOULD_PERSIST_DATA": "true",
            "PERSIST_INTERVAL": f"{PERSIST_SECONDS}s",
            "PERSIST_PATH": str(disk / "kinesis"),
        }
        objects = {"S3_PERSIST": "1", "S3_DATA_DIR": str(disk / "s3"), "STATE_DIR": str(disk / "state")}
        self.by_service: dict[str, Child] = {
            "DYNAMODB": dynamodb_local(folder, database=disk if kept else None),
            "KINESIS": kinesis_local(folder, environment=persisted if kept else None),
            "S3": ministack(folder, environment={**objects, "PERSIST_STATE": "1"} if kept else None),
        }
        if quick:
            self.by_service["KINESIS"] = self.by_service["S3"]
        if speed > 1:
            self.by_service["SOURCE"] = dynamodb_local(folder / "source", environment=racing(speed))
        self._open = ExitStack()

    def __enter__(self) -> Self:
        for child in dict.fromkeys(self.by_service.values()):
            self._open.enter_context(child)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def settings(self) -> dict[str, str]:
        """Return the AWS variables that point at these servers."""
        urls = {f"AWS_ENDPOINT_URL_{service}": child.url for service, child in self.by_service.items()}
        urls["AWS_ENDPOINT_URL_DYNAMODB_STREAMS"] = urls["AWS_ENDPOINT_URL_DYNAMODB"]
        nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
        return {**nowhere, **urls, **EMULATOR_CREDENTIALS, "AWS_DEFAULT_REGION": "us-east-1"}

    def behind(self, proxy: Proxy, tables: Iterable[str]) -> dict[str, str]:
        """Return the variables; what concerns the source tables goes to the server that races, when there is one."""
        source = self.by_service.get("SOURCE")
        if source is None:
            return self.settings
        url = self.by_service["DYNAMODB"].url
        home = proxy.gate("home", url, Detour(source.port, HOME, frozenset(tables)))
        streams = proxy.gate("streams", url, Detour(source.port))
        ends = {"AWS_ENDPOINT_URL_DYNAMODB": home.url, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": streams.url}
        return {**self.settings, **ends}

    def restart(self, service: str, away_seconds: float) -> None:
        """Kill a server and bring it back. Nothing may be written to KINESIS for PERSIST_SECONDS before: see there."""
        child = self.by_service[service]
        child.close()
        time.sleep(away_seconds)
        child.restart()
