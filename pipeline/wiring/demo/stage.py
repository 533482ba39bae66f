"""The demo's world: an embedded AWS, a configuration, the resources it names, and processes of the real service."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pipeline
from pipeline.aws.clock import SystemClock
from pipeline.aws.kinesis import KinesisControl
from pipeline.aws.session import CONTROL, Aws
from pipeline.local.child import Child, Launch
from pipeline.local.ministack import ministack, ministack_settings
from pipeline.settings import Settings, load
from pipeline.wiring import setup
from pipeline.wiring.demo.workload import SOURCE_KEYS

SOURCE_REGION = "us-east-1"
REPLICA_REGION = "eu-west-1"
TABLE = "orders"
STREAM = "orders-changes"
SHARDS = 4
LEASE_SECONDS = 3
LIMITS = "emulated AWS: no resharding, no changes from TTL deletes or PartiQL writes"

CODE = Path(pipeline.__file__).parents[1]
"""Where the processes find the same code as this one."""

CONFIGURATION = f"""\
[source]
region = "{SOURCE_REGION}"
table = "{TABLE}"

[stream]
name = "{STREAM}"

[state]
table = "fanout-state"

[worker]
lease_seconds = {LEASE_SECONDS}

[log]
level = "info"

[topologies.replica]
region = "{REPLICA_REGION}"
mode = "exact"

[topologies.archive]
bucket = "orders-archive"
prefix = "orders/"
linger_seconds = 1

[topologies.audit]
bucket = "orders-audit"
prefix = "orders/"
linger_seconds = 1

[topologies.folder]
path = "%s"
"""


@dataclass(slots=True)
class Stage:
    """What is there once the stage is set."""

    folder: Path
    settings: Settings
    variables: Mapping[str, str]
    children: ExitStack
    threads: ThreadPoolExecutor
    """Where processes are started: on Linux a child dies with the thread that started it."""
    failed: bool = False
    """Set to keep the folder with all logs."""
    _counts: dict[str, int] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """Return the configuration of the processes."""
        return self.folder / "fanout.toml"

    async def start(self, command: str) -> Child:
        """Start `fanout capture` or `fanout worker` and return it once it answers. Raises Unavailable."""
        number = self._counts[command] = self._counts.get(command, 0) + 1
        name = f"{command}-{number}"

        def launch(port: int) -> Launch:
            environment = {"FANOUT_WORKER_WEB_PORT": str(port), "FANOUT_WORKER_ID": name, "PYTHONPATH": str(CODE)}
            return Launch(
                [sys.executable, "-m", "pipeline", command, "-c", str(self.config)], {**self.variables, **environment}
            )

        child = Child(name, launch, self.folder)
        self.children.callback(child.close)
        return await asyncio.get_running_loop().run_in_executor(self.threads, child.start)


@contextmanager
def open_stage(on_kept: Callable[[str], None]) -> Iterator[Stage]:
    """Set the stage; on leaving, end every process and remove every file.

    The files of a failure are kept, the logs among them, and `on_kept` is told where.

    Raises Unavailable when the emulator is not installed or does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="fanout-demo-"))
    with _kept_on_failure(folder, on_kept) as kept, ExitStack() as stack:
        variables = {
            **ministack_settings(stack.enter_context(ministack(folder))),
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        stack.enter_context(_only(variables))
        children = stack.enter_context(ExitStack())
        threads = stack.enter_context(ThreadPoolExecutor(2, "demo-children"))
        stage = Stage(folder, _configured(folder), variables, children, threads)
        setup.create(stage.settings, yes=True, source_keys=SOURCE_KEYS)
        yield stage
        kept.failed = stage.failed


@dataclass(slots=True)
class _Kept:
    failed: bool = False


@contextmanager
def _kept_on_failure(folder: Path, on_kept: Callable[[str], None]) -> Iterator[_Kept]:
    kept = _Kept()
    try:
        yield kept
    except Exception:
        kept.failed = True
        raise
    finally:
        if kept.failed and any(folder.iterdir()):
            on_kept(str(folder))
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _only(variables: Mapping[str, str]) -> Iterator[None]:
    """Let this process see the emulator and nothing else: no account, endpoint or proxy of the user's."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("AWS_", "FANOUT_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _configured(folder: Path) -> Settings:
    file = folder / "fanout.toml"
    file.write_text(CONFIGURATION % (folder / "changes"))
    settings = load(file, folder=folder)
    with Aws() as aws:  # before `setup`, which would create it on demand: one shard on the emulator
        control = KinesisControl(aws.kinesis(settings.stream.region, CONTROL), SystemClock())
        asyncio.run(control.create(STREAM, SHARDS))
    return settings
