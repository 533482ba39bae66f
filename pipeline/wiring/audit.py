"""`fanout audit verify`: the chains of a log against themselves, and their ends against the checkpoints."""

import asyncio
from dataclasses import asdict
from typing import Any

from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import Aws
from pipeline.coordination.checkpoints import read_many
from pipeline.model.errors import Misconfigured
from pipeline.settings import Settings
from pipeline.verification.audit import Report, verify_chain
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.core import checkpoint_key
from pipeline.wiring.gaps import gap_row

KIND = "audit"
"""The topology whose log this is: the archive's objects have no chain, and would look like an empty, sound log."""


def verify(settings: Settings, *, topology: str) -> dict[str, Any]:
    """Return the report; `verified` says whether the log is complete and unaltered. Raises Misconfigured."""
    configured = settings.topologies.get(topology)
    if configured is None or configured.topology.name != KIND:
        what = "is not configured" if configured is None else f"is of kind {configured.topology.name}"
        logs = ", ".join(name for name, each in settings.topologies.items() if each.topology.name == KIND)
        msg = f"topologies.{topology}: {what}, so that it has no audit log to verify"
        raise Misconfigured(msg, hint=f"give --topology; those of kind {KIND}: {logs or 'none'}")
    options = configured.options
    with Aws(settings.aws.plain_http_hosts) as aws:
        region = options.region or settings.stream.region
        objects = S3ObjectStore(aws, region, options.bucket, options.prefix)
        return asyncio.run(_verify(parts_of(settings, aws), objects, topology))


async def _verify(parts: Parts, objects: S3ObjectStore, topology: str) -> dict[str, Any]:
    # The checkpoints first: what is appended after they were read can only put a chain further ahead.
    delivered = await _delivered(parts, topology)
    report = await verify_chain(objects)
    _look_at_ends(report, delivered)
    return {
        "verified": report.sound,
        "entries": report.entries,
        "parked": report.parked,
        "objects": report.objects,
        "chains": [{"chain": name, **asdict(head)} for name, head in sorted(report.heads.items())],
        "gaps": [gap_row(gap) for gap in sorted(report.gaps.values(), key=lambda gap: gap.noticed_ms)],
        "problems_count": report.problems_count,
        "problems": [asdict(problem) for problem in report.problems],
    }


async def _delivered(parts: Parts, topology: str) -> dict[str, int]:
    """Return the position up to which each chain must reach, by `chain/<stream>/<shard>`."""
    log = parts.around.log
    keys = {shard.id: checkpoint_key(log.name, shard.id, topology) for shard in await log.shards()}
    stored = await read_many(parts.around.store, list(keys.values()))
    return {f"chain/{log.name}/{shard}": stored[key].delivered for shard, key in keys.items() if key in stored}


def _look_at_ends(report: Report, delivered: dict[str, int]) -> None:
    """Add a problem for every chain that ends before its topology's checkpoint: its last objects were removed."""
    for name, position in sorted(delivered.items()):
        head = report.heads.get(name)
        reached = head.position if head else 0
        if reached < position:
            report.add(name, reached + 1, position, "the chain ends before what its checkpoint says was written")
