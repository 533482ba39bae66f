"""A working folder with a plugin file in it, and a configuration that is right, to be made wrong."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.settings import Settings, load

PLUGIN = '''
"""A topology for tests: all kinds of destinations, nothing delivered."""

from dataclasses import dataclass
from typing import Literal

from pipeline.plugin import Batch, Context, Topology


@dataclass(frozen=True)
class CopySettings:
    region: str = ""
    table: str = ""
    bucket: str = ""
    prefix: str = ""
    stream: str = ""
    positions_table: str = ""
    mode: Literal["fast", "safe"] = "safe"
    rows_max: int = 10
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rows_max < 0:
            raise ValueError("rows_max is below 0")


class CopySink:
    def __init__(self, settings: CopySettings, context: Context) -> None: ...
    async def open(self) -> None: ...
    async def write(self, batch: Batch) -> None: ...
    async def close(self) -> None: ...


topology = Topology("copy", CopySettings, CopySink, batch_changes_max=500, linger_seconds=0.5)
'''

RIGHT = """
[source]
region = "us-east-1"
tables = ["orders", "users"]

[stream]
name = "orders-changes"

[state]
table = "fanout-state"

[topologies.copy]
region = "eu-west-1"
table = "orders-copy"
"""


def load_text(folder: Path, text: str = RIGHT, environ: Mapping[str, str] | None = None) -> Settings:
    """Load TOML text, under an environment, in a working folder whose topologies/ holds copy.py."""
    (folder / "topologies").mkdir(exist_ok=True)
    plugin = folder / "topologies" / "copy.py"
    if not plugin.exists():
        plugin.write_text(PLUGIN)
    (folder / "fanout.toml").write_text(text)
    return load(None, environ or {}, folder)
