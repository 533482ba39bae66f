"""Which topologies get a thread of their own."""

from pathlib import Path

from pipeline.settings.plugins import load_topology
from pipeline.wiring.build import SHIPPED, is_shipped

POSTBOX = """
from dataclasses import dataclass
from pipeline.plugin import Topology

@dataclass(frozen=True)
class Settings:
    pass

class Sink:
    def __init__(self, settings, context):
        pass

topology = Topology("replica", Settings, Sink)
"""


def test_a_plugin_is_told_from_what_is_shipped(tmp_path: Path) -> None:
    """What lies beside a configuration is a plugin, whatever it calls itself; the four of this package are not."""
    folder = tmp_path / "topologies"
    folder.mkdir()
    (folder / "roomed_postbox.py").write_text(POSTBOX)
    assert not is_shipped(load_topology("roomed_postbox", tmp_path, "kind"))
    for name in SHIPPED:
        assert is_shipped(load_topology(name, tmp_path, "kind"))
