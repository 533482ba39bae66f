"""`fanout gaps`: what was lost, and the decision to go on without it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from pipeline.aws.session import Aws
from pipeline.coordination.gaps import Gaps
from pipeline.model.gap import GapRecord, GapState
from pipeline.settings import Settings
from pipeline.wiring.build import parts_of


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Return a row for every gap of the pipeline, the oldest first."""
    return [gap_row(gap) for gap in _with_gaps(settings, lambda gaps: gaps.all())]


def accept(settings: Settings, gap_id: str, by: str) -> dict[str, Any]:
    """Let the pipeline go on behind a gap; return its row. Raises Misconfigured when there is no such gap."""
    return gap_row(_with_gaps(settings, lambda gaps: gaps.decide(gap_id, GapState.ACCEPTED, by)))


def gap_row(gap: GapRecord) -> dict[str, Any]:
    """Return a gap as a row of a report."""
    return {
        "gap": gap.id,
        "state": gap.state.value,
        "cause": gap.cause.value,
        "table": gap.table,
        "stream": gap.epoch,
        "shard": gap.shard,
        "topology": gap.topology,
        "after": gap.after,
        "until": gap.until,
        "reason": gap.reason,
        "noticed": _time(gap.noticed_ms),
        "by": gap.by,
        "decided": _time(gap.decided_ms) if gap.decided_ms else "",
    }


def _with_gaps(settings: Settings, call: Callable[[Gaps], Awaitable[Any]]) -> Any:
    with Aws(settings.aws.plain_http_hosts) as aws:
        around = parts_of(settings, aws).around

        async def once() -> Any:
            return await call(Gaps(around.store, around.log.name, around.clock))

        return asyncio.run(once())


def _time(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
