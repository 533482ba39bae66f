"""`fanout replicate SRC DST`: the configuration of one replica, without a file."""

import hashlib
import os
from pathlib import Path

from pipeline.settings import Settings, TablePlace
from pipeline.settings.load import settle

STATE_TABLE = "fanout-state"
STREAM_NAME_MAX = 128


def plan(source: TablePlace, destination: TablePlace) -> Settings:
    """Return the settings that replicate one table; `FANOUT_…` variables still count. Raises Misconfigured.

    Each destination has a Kinesis stream, and with it checkpoints, of its own: two replicas of one table do not take
    each other's place. A configuration file serves several from one read.
    """
    name = f"{source.table}-to-{destination.region}-{destination.table}"
    if len(name) > STREAM_NAME_MAX:
        name = f"{name[: STREAM_NAME_MAX - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return settle(
        {
            "source": {"region": source.region, "table": source.table},
            "stream": {"name": name},
            "state": {"table": STATE_TABLE},
            "topologies": {"replica": {"region": destination.region, "table": destination.table}},
        },
        os.environ,
        Path.cwd(),
    )
