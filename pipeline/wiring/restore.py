"""`fanout restore`: a plan from the archive, a question, and the writing of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.session import CONTROL, Aws
from pipeline.aws.tables import Tables
from pipeline.history.cost import usd
from pipeline.history.keys import Scope
from pipeline.history.moment import Moment, moment, text_of
from pipeline.history.plan import Action, Aim, Tally, Whole, Window, since
from pipeline.history.reading import Pass, gather, must_have_begun
from pipeline.history.restore import Target, carry_out, plan
from pipeline.history.traces import Traces
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.settings import Settings
from pipeline.wire.attributes import Image, Revealing
from pipeline.wiring.archive import archive_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.destination import new_file, table_place
from pipeline.wiring.gaps import gap_row
from pipeline.wiring.policies import closed, kept_from, restoring_of, revealing_of
from pipeline.wiring.reading import Question, Source, aside, reach_for, source_of
from pipeline.wiring.restore_report import Note, Times, asked, note_store, outcome, row_of

UNITS_PER_SECOND = 1000.0
ITEMS_LISTED_MAX = 100


class Destination(NamedTuple):
    """Where to: `region/table`, a table in the source's region, or a file; the other is empty."""

    into: str = ""
    file: str = ""


class Manner(NamedTuple):
    """How it is done."""

    dry_run: bool = False
    overwrite: bool = False
    content: bool = False
    plan_file: str = ""
    units_per_second: float = UNITS_PER_SECOND


class Talk(NamedTuple):
    """Whom it is told: read so far, planned so far, written so far; and the question whether to go on."""

    read: Callable[[Pass], None]
    planned: Callable[[int], None]
    written: Callable[[Tally], None]
    agreed: Callable[[Mapping[str, Any]], bool]


class _Place(NamedTuple):
    region: str
    table: str
    live: bool

    def __str__(self) -> str:
        return f"{self.region}/{self.table}"


def restore(
    settings: Settings,
    question: Question,
    times: Times,
    limits: tuple[Sequence[str], Sequence[str]],
    destination: Destination,
    manner: Manner,
    talk: Talk,
) -> dict[str, Any]:
    """Plan, ask, write; return the report. Raises PipelineError before anything is written, or with what to do."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        run = _Restore(parts_of(settings, aws), question, destination, manner, talk)
        return asyncio.run(run.all(times, limits))


class _Restore:
    """One run of the command."""

    def __init__(self, parts: Parts, question: Question, destination: Destination, manner: Manner, talk: Talk) -> None:
        self._parts = parts
        self._question = question
        self._destination = destination
        self._manner = manner
        self._talk = talk
        self._revealing: Revealing | None = None

    async def all(self, times: Times, limits: tuple[Sequence[str], Sequence[str]]) -> dict[str, Any]:
        """Do it all, in the order in which it can still be refused."""
        self._must_be_free()
        archive_of(self._parts, self._question.topology)
        question = self._question
        self._revealing = revealing_of(self._parts.settings, question.topology, reveal=question.reveal)
        moments = self._moments(times)
        reach = await reach_for(self._parts, self._question, moments)
        with aside(self._parts) as folder:
            source = await source_of(self._parts, self._question, folder, moments[0].end_ms)
            place = self._place(source)
            aim = self._aim(times, moments, place)
            scope = source.scope(*limits)
            traces = Traces(scope, aim.moments, folder, base=source.traces_of, shown=await self._shown(source, place))
            met = await gather(
                source.objects, source.table, traces, reach.delivered, base=source.base, progress=self._talk.read
            )
            must_have_begun(moments[0], met.first_ms, source.table)
            head = {
                "table": source.table,
                "into": str(place) if place else self._destination.file,
                "live": bool(place and place.live),
                **asked(aim, times, moments),
                "complete_up_to": text_of(reach.watermark.time_ms - 1000) if not self._question.unproven else None,
                "snapshot": met.snapshot or None,
                "segments": met.segments,
                "changes": traces.changes,
                "gaps": [gap_row(gap) for gap in met.gaps.values()],
                "keys_not_in_archive": await _unknown(traces, scope),
            }
            if place is None:
                report = {**head, **await self._into_file(traces, aim)}
            else:
                report = await self._into_table(traces, aim, place, source, scope, head)
            return {**report, "incomplete_items": traces.incomplete, **closed(self._revealing)}

    def _moments(self, times: Times) -> list[Moment]:
        if bool(times.at) == bool(times.start):
            raise Misconfigured("a restore needs one time", hint="give --at, or --from and --to of the bad changes")
        if times.at:
            return [moment(times.at, self._question.zone)]
        start = moment(times.start, self._question.zone)
        end = moment(times.end, self._question.zone) if times.end else start
        return [Moment(start.second_ms), end]

    def _aim(self, times: Times, moments: list[Moment], place: _Place | None) -> Aim:
        if place is None or not place.live:
            if times.start:
                raise Misconfigured(
                    "--from and --to are for the live table", hint=f"give --at; live is --into {self._live_name()}"
                )
            return Whole(moments[0].end_ms)
        if times.at:
            return since(moments[0].end_ms, overwrite=self._manner.overwrite)
        return Window(moments[0].end_ms, moments[1].end_ms, self._manner.overwrite)

    def _live_name(self) -> str:
        return self._question.table or self._parts.settings.source.tables[0]

    def _place(self, source: Source) -> _Place | None:
        if bool(self._destination.into) == bool(self._destination.file):
            raise Misconfigured("a restore needs one place to go to", hint="give --into TABLE or --file FILE")
        if self._destination.file:
            return None
        home = self._parts.settings.source.region
        region, table = table_place(self._destination.into, home)
        return _Place(region, table, (region, table) == (home, source.table))

    async def _shown(self, source: Source, place: _Place | None) -> Image | None:
        """Return what items go through: into the live table goes none that lacks something by a policy."""
        if place is None or not place.live:
            return self._revealing
        kept = await kept_from(source.objects, self._parts.settings.topologies[self._question.topology])
        return restoring_of(kept, self._revealing)

    def _must_be_free(self) -> None:
        """Refuse places that cannot be: reading may take hours."""
        file, plan_file = self._destination.file, self._manner.plan_file
        if self._destination.into:
            table_place(self._destination.into, self._parts.settings.source.region)
        if file:
            new_file(Path(file), "--file")
        if file and plan_file and Path(file).absolute() == Path(plan_file).absolute():
            raise Misconfigured(f"--plan {plan_file}: the same file as --file", hint="give another name")

    async def _into_file(self, traces: Traces, aim: Aim) -> dict[str, Any]:
        """Write the items as lines `{"Item":…}`; the file has its name only once it is whole."""
        tally, path = Tally(), Path(self._destination.file)
        if self._manner.dry_run:
            async for trace in traces.each():
                _count(tally, aim, trace)
            return outcome(tally, None)
        unfinished = path.with_name(path.name + ".unfinished")
        try:
            with unfinished.open("wb") as file:  # of an earlier run, if there is one
                async for trace in traces.each():
                    image = _count(tally, aim, trace)
                    if image is not None:
                        file.write(b'{"Item":%b}\n' % image)
            unfinished.replace(path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise RetryLater(f"--file {path}: {error.strerror}", hint="make room, or give another place") from error
        return outcome(tally, tally)

    async def _into_table(
        self, traces: Traces, aim: Aim, place: _Place, source: Source, scope: Scope, head: dict[str, Any]
    ) -> dict[str, Any]:
        target, exists = await self._target(place, source)
        planned, rows = await self._plan(traces, aim, target)
        report = {**head, "table_exists": exists, **outcome(planned, None), "items": rows}
        units = self._manner.units_per_second
        report |= {"usd": round(usd(planned.units), 4), "seconds_at_least": round(planned.units / units)}
        if self._manner.dry_run or not self._talk.agreed(report):
            return report
        if not exists:
            tables = Tables(self._parts.aws.dynamodb(place.region, CONTROL), self._parts.around.clock)
            await tables.create(place.table, source.key_attributes)
        note = Note(
            note_store(self._parts, self._question.topology),
            self._parts.around.clock.now_ms(),
            head,
            scope,
            aim,
            planned,
        )
        name = await note.begin()
        done = await carry_out(traces, aim, target, self._talk.written)
        await note.end(done)
        return {**report, **outcome(planned, done), "record": name}

    async def _target(self, place: _Place, source: Source) -> tuple[Target, bool]:
        """Return the table to write to, and whether it is there. Raises Misconfigured for one with other keys."""
        around = self._parts.around
        described = await Tables(self._parts.aws.dynamodb(place.region, CONTROL), around.clock).describe(place.table)
        items = DynamoDBItemStore(self._parts.aws, place.region, around.clock)
        if described is None and place.live:
            raise Misconfigured(
                f"there is no table {place}", hint="it was deleted: restore into it with --at, as a new one"
            )
        if described is not None and described.keys != tuple(source.key_attributes):
            raise Misconfigured(
                f"the table {place} has other key attributes than {source.schema}", hint="give another name"
            )
        fresh = described is None or not (place.live or await _holds_items(items, place.table))
        target = Target(
            items,
            place.table,
            around.clock,
            around.chance,
            units_per_second=self._manner.units_per_second,
            fresh=fresh,
        )
        return target, described is not None

    async def _plan(self, traces: Traces, aim: Aim, target: Target) -> tuple[Tally, list[dict[str, Any]]]:
        """Return what would be done, and the first items of it; with `plan_file`, all of them go there."""
        tally, rows = Tally(), list[dict[str, Any]]()
        path = self._manner.plan_file
        try:
            with Path(path).open("wb") if path else nullcontext() as file:  # noqa: ASYNC230  # lines to a local file
                async for step in plan(traces, aim, target):
                    tally.add(step.action, step.wish, step.have)
                    self._talk.planned(sum(tally.counts.values()))
                    if step.action is Action.KEEP or not (path or len(rows) < ITEMS_LISTED_MAX):
                        continue
                    row = row_of(step, content=self._manner.content)
                    if file is not None:
                        file.write(orjson.dumps(row) + b"\n")
                    if len(rows) < ITEMS_LISTED_MAX:
                        rows.append(row)
        except OSError as error:
            raise Misconfigured(f"--plan {path}: {error.strerror}", hint="is there such a folder, and room?") from error
        return tally, rows


async def _holds_items(items: DynamoDBItemStore, table: str) -> bool:
    async for _ in items.scan(table):
        return True
    return False


async def _unknown(traces: Traces, scope: Scope) -> list[Any]:
    """Return the keys that were listed and of which the archive has no change: mistyped ones, perhaps."""
    if scope.keys is None:
        return []
    known = {trace.keys async for trace in traces.each()}
    return [orjson.loads(keys) for keys in sorted(set(scope.keys) - known)[:ITEMS_LISTED_MAX]]


def _count(tally: Tally, aim: Aim, trace: Any) -> bytes | None:
    wish = aim.wish(trace)
    if wish is None:
        return None
    tally.add(Action.PUT, wish, None)
    return wish.then
