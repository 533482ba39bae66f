"""A wrong file is refused with the field, the reason and the fix, before anything is written."""

from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from pipeline.settings import load
from tests.unit.settings.configurations import RIGHT, load_text

# what is done to the right configuration: (text replaced, by what), then the field, reason and fix expected
CASES = {
    "no region": ('region = "us-east-1"\n', "", "source.region", "missing", "FANOUT_SOURCE_REGION"),
    "no table": ('tables = ["orders", "users"]', "", "source.table", "missing", "FANOUT_SOURCE_TABLE"),
    "no stream": ('[stream]\nname = "orders-changes"', "", "stream.name", "missing", "name in [stream]"),
    "no state": ('table = "fanout-state"', "", "state.table", "missing", "FANOUT_STATE_TABLE"),
    "table and tables": ("tables =", 'table = "x-y"\ntables =', "source.table", "together", "remove one"),
    "table twice": ('"orders", "users"', '"orders", "orders"', "source.tables", "twice", "once"),
    "unknown section": ("[stream]", "[straem]", "straem", "no such setting", "did you mean 'stream'"),
    "unknown key": ("name = ", "nmae = ", "stream.nmae", "no such setting", "did you mean 'name'"),
    "dashes in a key": (
        "[state]",
        "[worker]\nlease-seconds = 3\n[state]",
        "worker.lease-seconds",
        "no such",
        "lease_seconds",
    ),
    "far-off key": ("[state]", "[log]\nzzz = 3\n[state]", "log.zzz", "no such setting", "known here: format, level"),
    "wrong type": ("[state]", "[worker]\nweb_port = '80'\n[state]", "worker.web_port", "wrong type", "from 1 to 65535"),
    "not a list": ('["orders", "users"]', "7", "source.tables", "wrong type", "a list, each a table name"),
    "out of bounds": ("[state]", "[worker]\nlease_seconds = 0\n[state]", "worker.lease_seconds", "bounds", "1 to 300"),
    "not a number": ("[state]", "[worker]\nlease_seconds = nan\n[state]", "worker.lease_seconds", "bounds", "1 to 300"),
    "wrong choice": ("[state]", 'wire = "thin"\n[state]', "stream.wire", "right form", 'one of "compact", "open"'),
    "wrong charset": ('"orders-changes"', '"orders changes"', "stream.name", "right form", "A-Z a-z 0-9 _ . -"),
    "name and newline": ('"orders-changes"', '"orders\\n"', "stream.name", "right form", "A-Z a-z 0-9 _ . -"),
    "wrong region": ('"us-east-1"', '"useast1"', "source.region", "right form", 'such as "eu-west-1"'),
    "lanes": ("[state]", "lanes = 48\n[state]", "stream.lanes", "power of two", "such as 64"),
    "no lanes": ("[state]", "lanes = 0\n[state]", "stream.lanes", "bounds", "a power of two from 1 to 4096"),
    "a value for a section": ("[source]", 'log = "info"\n[source]', "log", "not a section", "write [log]"),
    "topologies as a list": ("[topologies.copy]", "[[topologies]]", "topologies", "not a section", "[topologies]"),
    "topology as a value": (
        "[topologies.copy]",
        "[topologies]\ncopy = 1\n[worker]",
        "topologies.copy",
        "not a section",
        "write [",
    ),
    "topology name": (
        "[topologies.copy]",
        '[topologies."Co py"]',
        "topologies.Co py",
        "not a name",
        "starting with a letter",
    ),
    "unknown topology": (
        "[topologies.copy]",
        "[topologies.coppy]",
        "topologies.coppy.kind",
        "no topology 'coppy'",
        "did you mean 'copy'",
    ),
    "no module": (
        "[topologies.copy]",
        '[topologies.copy]\nkind = "not_there:x"',
        "topologies.copy.kind",
        "cannot import",
        "install",
    ),
    "no attribute": (
        "[topologies.copy]",
        '[topologies.copy]\nkind = "json:x"',
        "topologies.copy.kind",
        "has no 'x'",
        "define x",
    ),
    "not a topology": (
        "[topologies.copy]",
        '[topologies.copy]\nkind = "json:loads"',
        "copy.kind",
        "offers no",
        "Topology(name",
    ),
    "path as a kind": (
        "[topologies.copy]",
        '[topologies.copy]\nkind = "../copy"',
        "copy.kind",
        "no topology",
        "known: ",
    ),
    "plugin key": (
        "[topologies.copy]",
        "[topologies.copy]\nrow_max = 1",
        "topologies.copy.row_max",
        "no such",
        "'rows_max'",
    ),
    "common key": (
        "[topologies.copy]",
        "[topologies.copy]\nlinger = 1",
        "topologies.copy.linger",
        "no such",
        "linger_seconds",
    ),
    "plugin type": (
        "[topologies.copy]",
        '[topologies.copy]\nrows_max = "1"',
        "copy.rows_max",
        "wrong type",
        "whole number",
    ),
    "plugin choice": (
        "[topologies.copy]",
        '[topologies.copy]\nmode = "mad"',
        "copy.mode",
        "right form",
        '"fast", "safe"',
    ),
    "plugin's own rule": (
        "[topologies.copy]",
        "[topologies.copy]\nrows_max = -1",
        "[topologies.copy]",
        "below 0",
        "topologies.copy",
    ),
    "a section twice": (
        "[source]",
        "[stream]\n[source]",
        "fanout.toml",
        "a section stands there for the second time",
        "one",
    ),
    "a key twice": (
        "[source]",
        '[source]\nregion = "mars"',
        "fanout.toml",
        "a section or key stands there for the second time (at line",
        "keep one of the two",
    ),
    "no TOML": ("[source]", "[source", "fanout.toml", "is not TOML (at line 2", "a section is [name]"),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_file(tmp_path: Path, case: str) -> None:
    """A wrong file is refused with field, reason and fix."""
    old, new, field, reason, fix = CASES[case]
    assert old in RIGHT
    with pytest.raises(Misconfigured) as refused:
        load_text(tmp_path, RIGHT.replace(old, new, 1))
    assert field in refused.value.reason
    assert reason in refused.value.reason
    assert fix in refused.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A configuration that is named and missing is an error, not an empty one."""
    with pytest.raises(Misconfigured, match=r"gone.toml: cannot be read: No such file.*give the configuration with -c"):
        load(tmp_path / "gone.toml", {}, tmp_path)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are refused with the file's name."""
    (tmp_path / "fanout.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match=r"fanout.toml: is not UTF-8 text"):
        load(None, {}, tmp_path)


def test_a_plugin_that_fails(tmp_path: Path) -> None:
    """A plugin whose module raises is named with what it raised, and is not half-loaded by the next attempt."""
    (tmp_path / "topologies").mkdir()
    (tmp_path / "topologies" / "copy.py").write_text("raise RuntimeError('no dice')")
    for _attempt in range(2):
        with pytest.raises(Misconfigured, match=r"topologies.copy.kind: cannot import .*RuntimeError: no dice"):
            load_text(tmp_path)
