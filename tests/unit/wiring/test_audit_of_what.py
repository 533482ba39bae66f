"""`fanout audit verify` looks at audit logs, and says so when it is pointed at something else."""

from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from pipeline.settings import Settings
from pipeline.wiring.audit import verify
from tests.unit.settings.configurations import RIGHT, load_text


def configured(folder: Path) -> Settings:
    """Return a configuration with an archive, and an audit log under another name."""
    common = RIGHT.partition("[topologies.copy]")[0]
    return load_text(
        folder, f'{common}[topologies.archive]\nbucket = "b-1"\n[topologies.log]\nkind = "audit"\nbucket = "b-2"\n'
    )


def test_an_archive_is_no_audit_log(tmp_path: Path) -> None:
    """An archive has no chain: it would verify as an empty log, which is sound."""
    with pytest.raises(Misconfigured, match=r"topologies.archive: is of kind archive.* \(.*kind audit: log\)"):
        verify(configured(tmp_path), topology="archive")


def test_a_topology_that_is_not_there(tmp_path: Path) -> None:
    """A name nobody configured is refused with the names there are."""
    with pytest.raises(Misconfigured, match=r"topologies.audit: is not configured.* \(.*kind audit: log\)"):
        verify(configured(tmp_path), topology="audit")
