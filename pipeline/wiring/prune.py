"""`fanout archive prune`: what no restore inside a window needs is deleted."""

import asyncio
import re
from dataclasses import asdict
from typing import Any

from pipeline.aws.session import Aws
from pipeline.history.moment import SECOND_MS, text_of
from pipeline.history.prune import Tell, counted, keeping, prune
from pipeline.model.errors import Misconfigured
from pipeline.settings import Settings
from pipeline.wiring.archive import archive_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.reading import aside

_UNITS_SECONDS = {"s": 1, "h": 3_600, "d": 24 * 3_600, "w": 7 * 24 * 3_600}


def duration_ms(text: str) -> int:
    """Return the milliseconds of a text such as 35d, 12h or 8w. Raises Misconfigured, for m too: months?"""
    found = re.fullmatch(r"([1-9]\d{0,6})([shdw])", text)
    if found is None:
        raise Misconfigured(
            f"--keep {text!r} is no duration", hint="hours, days or weeks: write it like 12h, 35d or 8w"
        )
    return int(found[1]) * _UNITS_SECONDS[found[2]] * SECOND_MS


def horizon(now_ms: int, keep_ms: int) -> int:
    """Return the end of the second with which the window begins; the first second of all when it is older than time."""
    return max(SECOND_MS, (now_ms - keep_ms) // SECOND_MS * SECOND_MS)


def pruned(settings: Settings, *, topology: str, keep: str, dry_run: bool, tell: Tell) -> dict[str, Any]:
    """Delete, or with `dry_run` only count; return the report. Raises Misconfigured or Corrupt, nothing deleted."""
    keep_ms = duration_ms(keep)
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_prune(parts_of(settings, aws), topology, keep_ms, dry_run, tell))


async def _prune(parts: Parts, topology: str, keep_ms: int, dry_run: bool, tell: Tell) -> dict[str, Any]:
    objects = archive_of(parts, topology)
    horizon_ms = horizon(parts.around.clock.now_ms(), keep_ms)
    with aside(parts) as folder:
        base = await keeping(objects, folder, horizon_ms)
    head = {"keeps_from": text_of(horizon_ms), "begins_with": base.name, "dry_run": dry_run}
    deleted = await (counted(objects, base) if dry_run else prune(objects, base, tell))
    return head | asdict(deleted)
