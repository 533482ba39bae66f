"""`fanout history` and `fanout diff`: what the archive tells without restoring."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import orjson

from pipeline.aws.session import Aws
from pipeline.history.archive import segments
from pipeline.history.base import starts_of
from pipeline.history.check import ends
from pipeline.history.item import history_of
from pipeline.history.moment import moment, text_of
from pipeline.history.reading import Pass, counted, gather, must_have_begun
from pipeline.history.trace import equal
from pipeline.history.traces import Traces
from pipeline.model.change import Change
from pipeline.model.errors import Misconfigured, PipelineError
from pipeline.settings import Settings
from pipeline.wire.attributes import turned
from pipeline.wire.diff import diff
from pipeline.wiring.archive import Reach, archive_of, complete_up_to, reach_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.policies import closed, revealing_of
from pipeline.wiring.reading import Question, aside, reach_for, source_of

Progress = Callable[[Pass], None]


def history(
    settings: Settings, question: Question, key: str, *, images: bool, changes_max: int, progress: Progress
) -> dict[str, Any]:
    """Return the changes of one item. Raises Misconfigured or Corrupt."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_history(parts_of(settings, aws), question, key, images, changes_max, progress))


async def _history(
    parts: Parts, question: Question, key: str, images: bool, changes_max: int, progress: Progress
) -> dict[str, Any]:
    archive_of(parts, question.topology)
    shown = revealing_of(parts.settings, question.topology, reveal=question.reveal)
    with aside(parts) as place:
        source = await source_of(parts, question, place)
    keys = source.schema.read(key)
    reach, met = await _reach(parts, question.topology), Pass()
    if source.base is not None:
        met.begin(source.base, source.table)
    read = counted(segments(source.objects, starts_of(source.base)), met, source.table, progress)
    found = await history_of(read, source.table, keys, changes_max=changes_max)
    if isinstance(reach, Reach):
        for problem in ends(met.reached, reach.delivered):
            raise problem.error()
    return {
        "table": source.table,
        **complete_up_to(reach),
        "pruned_before": text_of(source.base.manifest.at_ms) if source.base else None,
        "older_changes_not_shown": found.older,
        "changes": [_row(turned(change, shown) if shown else change, images=images) for change in found.changes],
        **closed(shown),
    }


async def _reach(parts: Parts, topology: str) -> Reach | PipelineError:
    """Return how far the archive is, or why that is not known: a history is to be readable when all else is gone."""
    try:
        return await reach_of(parts, topology)
    except PipelineError as error:
        return error


def _row(change: Change, *, images: bool) -> dict[str, Any]:
    """Return a change as a row: attribute names, and with `images` the content."""
    row: dict[str, Any] = {
        "time": text_of(change.time_ms),
        "kind": change.kind.value,
        "by": "time to live" if change.by_ttl else "",
        "attributes": list(orjson.loads(diff(change.before, change.after))),
        "sequence": str(change.sequence),
    }
    if images:
        row["before"], row["after"] = (image and orjson.loads(image) for image in (change.before, change.after))
    return row


class Difference(NamedTuple):
    """One item that is another at the second moment."""

    keys: bytes
    what: str
    earlier: bytes | None
    later: bytes | None

    def row(self, *, content: bool) -> dict[str, Any]:
        """Return it as a row: key and attribute names, and with `content` their values, old and new."""
        changed = orjson.loads(diff(self.earlier, self.later))
        row = {"key": orjson.loads(self.keys), "what": self.what, "attributes": list(changed)}
        return {**row, "content": changed} if content else row


def differences(
    settings: Settings,
    question: Question,
    times: tuple[str, str],
    limits: tuple[Sequence[str], Sequence[str]],
    *,
    items_max: int,
    content: bool,
    progress: Progress,
) -> dict[str, Any]:
    """Return what is different at the second of two times: counts, and the first items. Raises PipelineError."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        parts = parts_of(settings, aws)
        return asyncio.run(_differences(parts, question, times, limits, items_max, content, progress))


async def _differences(
    parts: Parts,
    question: Question,
    times: tuple[str, str],
    limits: tuple[Sequence[str], Sequence[str]],
    items_max: int,
    content: bool,
    progress: Progress,
) -> dict[str, Any]:
    earlier, later = (moment(text, question.zone) for text in times)
    if later < earlier:
        raise Misconfigured(f"{times[0]} is later than {times[1]}", hint="exchange them: EARLIER comes first")
    archive_of(parts, question.topology)
    shown = revealing_of(parts.settings, question.topology, reveal=question.reveal)
    reach = await reach_for(parts, question, (earlier, later))
    counts = {"inserted": 0, "modified": 0, "removed": 0}
    rows: list[dict[str, Any]] = []
    with aside(parts) as place:
        source = await source_of(parts, question, place, earlier.end_ms)
        moments_ms = (earlier.end_ms, later.end_ms)
        traces = Traces(source.scope(*limits), moments_ms, place, base=source.traces_of, shown=shown)
        met = await gather(source.objects, source.table, traces, reach.delivered, base=source.base, progress=progress)
        must_have_begun(earlier, met.first_ms, source.table)
        async for found in _each(traces):
            counts[found.what] += 1
            if len(rows) < items_max:
                rows.append(found.row(content=content))
    return {"table": source.table, "from": str(earlier), "to": str(later), **counts, "items": rows, **closed(shown)}


async def _each(traces: Traces) -> AsyncIterator[Difference]:
    async for trace in traces.each():
        before, after = trace.state(0), trace.state(1)
        if not equal(before, after):
            what = "inserted" if before is None else "removed" if after is None else "modified"
            yield Difference(trace.keys, what, before, after)
