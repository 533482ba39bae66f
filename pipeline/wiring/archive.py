"""The archive as a command meets it: where it is, how far it reaches, whether it is whole."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import CONTROL, Aws
from pipeline.aws.tables import Tables
from pipeline.coordination.checkpoints import read_many
from pipeline.history.check import ArchiveReport, check
from pipeline.history.moment import text_of
from pipeline.history.watermark import Bound, Watermark, unarchived, uncaptured, watermark
from pipeline.model.backoff import CALLS
from pipeline.model.errors import Gap, Misconfigured, PipelineError, RetryLater
from pipeline.model.progress import Checkpoint, part_name
from pipeline.settings import Settings
from pipeline.wiring.build import Parts, parts_of, stream_of
from pipeline.wiring.core import CAPTURE, checkpoint_key, group_of

LOOKS_MAX = 8
"""How often a throttled look at the way of the changes is tried."""


class Reach(NamedTuple):
    """How far the archive goes, as the pipeline's state tells."""

    watermark: Watermark
    delivered: Mapping[str, int]
    """Up to which position each `<stream>/<shard>` must be there."""


def archive_of(parts: Parts, topology: str) -> S3ObjectStore:
    """Return the objects of the archive that a topology writes. Raises Misconfigured when there is none."""
    configured = parts.settings.topologies.get(topology)
    if configured is None or configured.topology.name != "archive":
        known = ", ".join(n for n, each in parts.settings.topologies.items() if each.topology.name == "archive")
        msg = f"topologies.{topology}: no archive of that name is configured"
        raise Misconfigured(msg, hint=f"give --topology; archives: {known or 'none'}")
    options = configured.options
    region = options.region or parts.settings.stream.region
    return S3ObjectStore(parts.aws, region, options.bucket, options.prefix)


async def reach_of(parts: Parts, topology: str) -> Reach:
    """Ask the tables' streams, the Kinesis stream and the state table how far an archive is. Raises PipelineError."""
    for attempt in range(1, LOOKS_MAX + 1):
        try:
            return await _look(parts, topology)
        except RetryLater as error:
            if attempt == LOOKS_MAX:
                raise
            await parts.around.clock.sleep(CALLS.seconds(attempt, parts.around.chance.fraction(), error.after_seconds))
    raise AssertionError("unreachable")


async def _look(parts: Parts, topology: str) -> Reach:
    around, source = parts.around, parts.settings.source
    asked_ms = around.clock.now_ms()
    bounds = [bound for name in source.tables for bound in await source_bounds(parts, name)]
    archived = await _checkpoints(parts, around.log.name, [shard.id for shard in await around.log.shards()], topology)
    bounds += await unarchived(around.log, around.claims, archived, asked_ms)
    delivered = {f"{around.log.name}/{part_name(shard, e.part)}": e.delivered for shard, e in archived.items()}
    return Reach(watermark(asked_ms, bounds), delivered)


async def source_bounds(parts: Parts, name: str) -> list[Bound]:
    """Return what a source table's stream has that the capture has not passed on. Raises RetryLater."""
    around = parts.around
    table = await Tables(parts.aws.dynamodb(parts.settings.source.region, CONTROL), around.clock).describe(name)
    if table is None or not table.stream_enabled:
        return [Bound(f"table {name}", 0, "it is gone, or its stream is switched off")]
    stream = stream_of(parts, table)
    group = group_of(around.log.name, table.name, table.stream_label)
    try:
        captured = await _checkpoints(parts, group, [shard.id for shard in await stream.shards()], CAPTURE)
        return await uncaptured(stream, captured, around.clock)
    except Gap as error:
        return [Bound(f"table {name}", 0, error.reason)]


async def _checkpoints(parts: Parts, group: str, shards: list[str], name: str) -> dict[str, Checkpoint]:
    keys = {shard: checkpoint_key(group, shard, name) for shard in shards}
    stored = await read_many(parts.around.store, list(keys.values()))
    return {shard: stored[key] for shard, key in keys.items() if key in stored}


def check_archive(settings: Settings, *, topology: str) -> dict[str, Any]:
    """Return the report of `fanout archive check`; `sound` says whether nothing is wrong. Raises Misconfigured."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_check(parts_of(settings, aws), topology))


async def _check(parts: Parts, topology: str) -> dict[str, Any]:
    objects = archive_of(parts, topology)
    reach: Reach | PipelineError
    try:
        reach = await reach_of(parts, topology)
    except PipelineError as error:  # the archive is to be readable when all else is gone
        reach = error
    delivered = reach.delivered if isinstance(reach, Reach) else {}
    return _report(await check(objects, delivered), reach)


def complete_up_to(reach: Reach | PipelineError) -> dict[str, str | None]:
    """Return the last second that the archive has for certain, or why that is not known."""
    if isinstance(reach, Reach):
        return {"watermark": text_of(reach.watermark.time_ms - 1000), "watermark_unknown": ""}
    return {"watermark": None, "watermark_unknown": str(reach)}


def _report(report: ArchiveReport, reach: Reach | PipelineError) -> dict[str, Any]:
    return {
        "sound": report.sound,
        "objects": report.objects,
        "changes": report.changes,
        "size_bytes": report.size_bytes,
        "first_moment": text_of(report.first_ms) if report.first_ms else None,
        "last_change": text_of(report.last_ms) if report.last_ms else None,
        **complete_up_to(reach),
        "held_back_by": [
            {"place": bound.place, "from": text_of(bound.time_ms) if bound.time_ms else None, "why": bound.why}
            for bound in (reach.watermark.bounds if isinstance(reach, Reach) else ())
        ],
        "shards": [
            {
                "shard": name,
                "objects_to": each.last,
                "changes": each.changes,
                "last_change": text_of(each.last_ms) if each.last_ms else None,
            }
            for name, each in sorted(report.shards.items())
        ],
        "pruned_before": text_of(report.snapshots.pruned.at_ms) if report.snapshots.pruned else None,
        "snapshots": [
            {
                "at": text_of(each.at_ms - 1000),
                "items": sum(table.items - table.removed for table in each.tables),
                "incomplete": sum(table.incomplete for table in each.tables),
                "size_bytes": sum(part.size_bytes for table in each.tables for part in table.parts),
            }
            for each in report.snapshots.manifests
        ],
        "unfinished_parts": report.snapshots.unfinished,
        "problems_count": report.problems_count,
        "problems": [problem._asdict() for problem in report.problems],
    }
