"""A topology as the service would load it, for its author's test."""

from pathlib import Path

from pipeline.plugin import Topology
from pipeline.settings.plugins import load_topology


def topology_called(kind: str, folder: Path | None = None) -> Topology:
    """Return the topology of `topologies/<kind>.py` in a folder, the working folder if none is given.

    An installed topology of the name comes first, as in the service. Raises Misconfigured, which says why not.
    """
    return load_topology(kind, folder or Path.cwd(), kind)
