"""`fanout archive compact`: a snapshot of the archive at a moment, from the last one and the segments since."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.aws.session import Aws
from pipeline.history.base import base_at, load, moments
from pipeline.history.compact import Compaction, Progress
from pipeline.history.moment import Moment, moment, text_of
from pipeline.history.reading import must_be_complete, must_not_lie_ahead
from pipeline.model.errors import Misconfigured
from pipeline.settings import Settings
from pipeline.wire.manifest import Manifest, name_of
from pipeline.wiring.archive import archive_of, reach_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.reading import aside

Tell = Callable[[Progress], None]


class Wish(NamedTuple):
    """Of which archive, and when."""

    topology: str = "archive"
    at: str = ""
    """Empty: as late as the archive is complete."""
    zone: str = ""
    unproven: bool = False


def compact(settings: Settings, wish: Wish, tell: Tell) -> dict[str, Any]:
    """Make a snapshot and return the report. Raises Misconfigured for a moment that cannot be, or Corrupt."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_compact(parts_of(settings, aws), wish, tell))


async def _compact(parts: Parts, wish: Wish, tell: Tell) -> dict[str, Any]:
    at_ms = await _moment(parts, wish)
    report = await compact_at(parts, wish.topology, at_ms, tell)
    if report is None:
        raise Misconfigured(
            f"the archive has nothing before {text_of(at_ms)}: a snapshot would be empty", hint="give a later time"
        )
    return report


async def compact_at(parts: Parts, topology: str, at_ms: int, tell: Tell) -> dict[str, Any] | None:
    """Make the snapshot of a moment that the archive is known to reach, or find it made; return the report.

    None when the archive has nothing before the moment. Raises PipelineError.
    """
    objects = archive_of(parts, topology)
    known = (await moments(objects)).get(at_ms)
    with aside(parts) as folder:
        if known is not None:
            base = await load(objects, folder, known)
            return _report(base.manifest, known, made=False)
        last = await base_at(objects, folder, at_ms)
        made = await Compaction(objects, folder, at_ms, last, progress=tell).run()
    return None if made is None else _report(made, name_of(at_ms), made=True)


async def _moment(parts: Parts, wish: Wish) -> int:
    now_ms = parts.around.clock.now_ms()
    if wish.at:
        asked = moment(wish.at, wish.zone)
        must_not_lie_ahead(asked, now_ms)
        if not wish.unproven:
            must_be_complete(asked, (await reach_of(parts, wish.topology)).watermark)
        return asked.end_ms
    if wish.unproven:
        raise Misconfigured("--unproven needs a moment", hint="give --at too: nobody is asked how far the archive is")
    mark = (await reach_of(parts, wish.topology)).watermark
    if not mark.time_ms:
        must_be_complete(Moment(now_ms), mark)
    return mark.time_ms


def _report(found: Manifest, name: str, *, made: bool) -> dict[str, Any]:
    return {
        "snapshot": name,
        "at": text_of(found.at_ms - 1000),
        "made": made,
        "from": found.previous or None,
        "shards": len(found.ends),
        "tables": [
            {
                "table": each.table,
                "items": each.items - each.removed,
                "removed": each.removed,
                "incomplete": each.incomplete,
                "gaps": len(each.gaps),
                "parts": len(each.parts),
                "size_bytes": sum(part.size_bytes for part in each.parts),
            }
            for each in found.tables
        ],
    }
