"""`fanout replicate SRC DST`: the configuration of one replica, without a file."""

import os
from pathlib import Path

from pipeline.settings import Settings, TablePlace
from pipeline.settings.load import settle

STATE_TABLE = "fanout-state"


def plan(source: TablePlace, destination: TablePlace) -> Settings:
    """Return the settings that replicate one table; `FANOUT_…` variables still count. Raises Misconfigured."""
    return settle(
        {
            "source": {"region": source.region, "table": source.table},
            "stream": {"name": f"{source.table}-changes"},
            "state": {"table": STATE_TABLE},
            "topologies": {"replica": {"region": destination.region, "table": destination.table}},
        },
        os.environ,
        Path.cwd(),
    )
