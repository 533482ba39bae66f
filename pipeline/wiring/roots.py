"""Signed roots from settings: who signs, where the log and the second copy are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.aws.folder import FolderObjectStore
from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import CONTROL, WRITE, Aws
from pipeline.aws.signing import FileSigner, KmsSigner
from pipeline.coordination.alone import Alone
from pipeline.coordination.leases import Leases
from pipeline.delivery.roots import Places, Rhythm, RootWriter
from pipeline.ports import ObjectStore, Signer
from pipeline.settings import ConfiguredTopology, Settings
from pipeline.wiring.build import Parts

KIND = "audit"
"""The topology whose log has roots."""


def root_writers_of(parts: Parts) -> dict[str, RootWriter]:
    """Return a writer for each audit log whose roots are to be signed, by topology."""
    around = parts.around
    return {
        name: RootWriter(
            name,
            around.log.name,
            places_of(parts.settings, parts.aws, configured),
            signer,
            around.store,
            around.clock,
            Rhythm(configured.options.root_entries, configured.options.root_minutes),
        )
        for name, configured in parts.settings.topologies.items()
        if (signer := signer_of(parts.settings, parts.aws, configured)) is not None
    }


def signers_of(parts: Parts, writers: Mapping[str, RootWriter]) -> list[Alone]:
    """Return what has the roots of each log written by one worker of all."""
    around, chores = parts.around, []
    for name, writer in writers.items():
        group, seconds = f"{around.log.name}/roots/{name}", around.lease_seconds
        leases = Leases(around.store, around.clock, owner=around.owner, group=group, lease_seconds=seconds)
        chores.append(Alone(f"signing of {name}", leases, around.clock, seconds / 3, writer.run))
    return chores


def places_of(settings: Settings, aws: Aws, configured: ConfiguredTopology) -> Places:
    """Return where the log is, and where the second copy of its roots is."""
    options, home = configured.options, settings.stream.region
    log = S3ObjectStore(aws, options.region or home, options.bucket, options.prefix, options.storing)
    return Places(log, _witness(aws, options, home))


def _witness(aws: Aws, options: Any, home: str) -> ObjectStore | None:
    if options.witness_bucket:
        region = options.witness_region or home
        return S3ObjectStore(aws, region, options.witness_bucket, options.witness_prefix, options.storing)
    if options.witness_folder:
        return FolderObjectStore(Path(options.witness_folder), aws.threads(WRITE))
    return None


def signer_of(settings: Settings, aws: Aws, configured: ConfiguredTopology) -> Signer | None:
    """Return what signs the roots of a log, None when nothing shall or the topology is no audit log."""
    options = configured.options
    if configured.topology.name != KIND:
        return None
    if options.signing_kms_key:
        return KmsSigner(aws.kms(options.region or settings.stream.region), options.signing_kms_key)
    if options.signing_key_file:
        return FileSigner(Path(options.signing_key_file), aws.threads(CONTROL))
    return None
