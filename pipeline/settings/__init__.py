"""Settings: declared once, read from a TOML file and the environment, refused with a reason and a fix."""

from pipeline.settings.declaration import Aws, ConfiguredTopology, Log, Settings, Source, State, Stream, Worker
from pipeline.settings.load import load, load_worker, settle
from pipeline.settings.names import TablePlace, table_place
from pipeline.settings.rules import check_topologies

__all__ = [
    "Aws",
    "ConfiguredTopology",
    "Log",
    "Settings",
    "Source",
    "State",
    "Stream",
    "TablePlace",
    "Worker",
    "check_topologies",
    "load",
    "load_worker",
    "settle",
    "table_place",
]
