"""`fanout query`: SQL over the archive's tables as of a second, and over its changes up to then."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import orjson

from pipeline.aws.session import Aws
from pipeline.history.archive import segments
from pipeline.history.base import starts_of
from pipeline.history.check import ends
from pipeline.history.moment import Moment, moment
from pipeline.history.reading import Pass, gather, must_be_complete, must_have_begun
from pipeline.history.traces import Traces
from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Misconfigured
from pipeline.model.gap import GapState
from pipeline.settings import Settings
from pipeline.tabular.columns import Columns
from pipeline.tabular.sql import Answer, Database, tables_of
from pipeline.wire.attributes import Revealing, turned
from pipeline.wiring.archive import Reach, archive_of, reach_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.export import Talk
from pipeline.wiring.policies import revealing_of
from pipeline.wiring.reading import Question, aside, reach_for, source_of

INTERRUPT_SECONDS = 0.2
CHANGES = "changes"
CHANGES_COLUMNS = {
    "time": "TIMESTAMP",
    "source": "VARCHAR",
    "key": "JSON",
    "kind": "VARCHAR",
    "old": "JSON",
    "new": "JSON",
    "sequence": "VARCHAR",
    "by_ttl": "BOOLEAN",
    "epoch": "VARCHAR",
    "shard": "VARCHAR",
}
_IDENTITY = ("source", "epoch", "shard", "sequence")


class Queried(NamedTuple):
    """The answer, and what it was asked of."""

    at: str
    answer: Answer
    left_out: int
    """Items whose state is not known, because a change of theirs waits in quarantine."""
    gaps: int
    """Gaps of the tables that were read: changes that are in no archive."""
    still_encrypted: list[str]
    """Attributes that were to be revealed, and could not be."""


def query(settings: Settings, question: Question, sql: str, at: str, rows_max: int, talk: Talk) -> Queried:
    """Return the answer to a SELECT. Raises PipelineError."""
    wanted = tables_of(sql)
    with Aws(settings.aws.plain_http_hosts) as aws, tempfile.TemporaryDirectory(prefix="fanout-query-") as folder:
        run = _Query(parts_of(settings, aws), question, Path(folder), talk)
        return asyncio.run(run.all(sql, wanted, at, rows_max))


class _Query:
    """One run of the command."""

    def __init__(self, parts: Parts, question: Question, folder: Path, talk: Talk) -> None:
        self._parts = parts
        self._question = question
        self._folder = folder
        self._talk = talk
        self._database = Database(folder)
        self._left_out = 0
        self._gaps: set[str] = set()
        self._shown: Revealing | None = None

    async def all(self, sql: str, wanted: frozenset[str], at: str, rows_max: int) -> Queried:
        """Load what the query reads, and nothing else; then ask."""
        archive_of(self._parts, self._question.topology)
        question = self._question
        self._shown = revealing_of(self._parts.settings, question.topology, reveal=question.reveal)
        tables, changes = self._tables(wanted)
        asked, reach = await self._moment(at)
        for table in tables:
            await self._load_items(table, asked, reach)
        if changes:
            await self._load_changes(asked, reach)
        answer = await self._ask(sql, rows_max)
        still = sorted(self._shown.closed) if self._shown else []
        return Queried(str(asked), answer, self._left_out, len(self._gaps), still)

    async def _ask(self, sql: str, rows_max: int) -> Answer:
        """Ask in another thread, so that Ctrl-C is heard meanwhile."""
        asking = asyncio.ensure_future(asyncio.to_thread(self._database.ask, sql, rows_max))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            while not asking.done():  # one interrupt may come before the query has begun
                self._database.interrupt()
                await asyncio.wait([asking], timeout=INTERRUPT_SECONDS)
            asking.exception()  # that it was interrupted is no news
            raise

    async def _moment(self, at: str) -> tuple[Moment, Reach]:
        """Return the second asked for, or the last one that the archive has for certain."""
        now_ms = self._parts.around.clock.now_ms()
        if at or self._question.unproven:
            asked = moment(at, self._question.zone) if at else Moment(now_ms // 1000 * 1000)
            return asked, await reach_for(self._parts, self._question, [asked])
        reach = await reach_of(self._parts, self._question.topology)
        if not reach.watermark.time_ms:
            must_be_complete(Moment(now_ms), reach.watermark)
        return Moment(reach.watermark.time_ms), reach

    def _tables(self, wanted: frozenset[str]) -> tuple[list[str], bool]:
        """Return which tables to load, and whether the changes. Raises Misconfigured for a name that is neither."""
        configured = self._parts.settings.topologies.get(self._question.topology)
        known = {name.casefold(): name for name in (configured.tables if configured else ())}
        names = {name.casefold() for name in wanted}
        strangers = sorted(names - known.keys() - {CHANGES})
        if strangers:
            hint = f'there are {", ".join([*known.values(), CHANGES])}; a name with a hyphen or dot is quoted: "a-b"'
            raise Misconfigured(f"there is no table {', '.join(strangers)}", hint=hint)
        return [name for folded, name in known.items() if folded in names], CHANGES in names - known.keys()

    async def _load_items(self, table: str, asked: Moment, reach: Reach) -> None:
        question = self._question._replace(table=table)
        with aside(self._parts) as folder:
            source = await source_of(self._parts, question, folder, asked.end_ms)
            traces = Traces(source.scope(), (asked.end_ms,), folder, base=source.traces_of, shown=self._shown)
            met = await gather(
                source.objects, table, traces, reach.delivered, base=source.base, progress=self._talk.read
            )
            must_have_begun(asked, met.first_ms, table)
            self._note_gaps(met)
            columns = Columns(dict(zip(source.schema.names, source.schema.types, strict=True)))
            numbers: dict[str, int] = {}
            file = self._folder / "items.jsonl"
            with file.open("wb") as lines:  # lines to a local file
                async for image in self._images(traces):
                    values = columns.values(orjson.loads(image))
                    fields = {f"c{numbers.setdefault(name, len(numbers))}": text for name, text in values.items()}
                    lines.write(b'{"item":%b,%b\n' % (image, orjson.dumps(fields)[1:] if fields else b'"_":""}'))
        types = columns.types()
        for name in types:
            numbers.setdefault(name, len(numbers))
        chosen = {name: (f"c{numbers[name]}", kind) for name, kind in types.items()}
        self._database.load(table, file, [*(of for of, _ in chosen.values()), "item"], {**chosen, columns.item: _ITEM})
        file.unlink()

    async def _images(self, traces: Traces) -> AsyncIterator[bytes]:
        written = 0
        async with aclosing(traces.each()) as each:
            async for trace in each:
                image = trace.state(0)
                self._left_out += trace.incomplete
                if image is not None and not trace.incomplete:
                    written += 1
                    self._talk.written(written)
                    yield image

    async def _load_changes(self, asked: Moment, reach: Reach) -> None:
        with aside(self._parts) as folder:
            question = self._question
            tables = self._parts.settings.topologies[question.topology].tables
            source = await source_of(self._parts, question._replace(table=question.table or tables[0]), folder)
        met = Pass()
        if source.base is not None:
            met.begin(source.base, source.table)
        file = self._folder / "changes.jsonl"
        with file.open("wb") as lines:  # lines to a local file
            async for found in segments(source.objects, starts_of(source.base)):
                for table in tables:
                    met.note(found, table)
                self._talk.read(met)
                lines.writelines(_lines(self._as_shown(found.batch.changes), tables, asked))
        for problem in ends(met.reached, reach.delivered):
            raise problem.error()
        self._note_gaps(met)
        columns = {name: (name, kind) for name, kind in CHANGES_COLUMNS.items()}
        self._database.load(CHANGES, file, list(CHANGES_COLUMNS), columns, once=_IDENTITY)
        file.unlink()

    def _as_shown(self, changes: Sequence[Change]) -> Sequence[Change]:
        return changes if self._shown is None else [turned(change, self._shown) for change in changes]

    def _note_gaps(self, met: Pass) -> None:
        self._gaps |= {gap.id for gap in met.gaps.values() if gap.state is not GapState.HEALED}


_ITEM = ("item", "JSON")


def _lines(changes: Sequence[Change], tables: Sequence[str], asked: Moment) -> list[bytes]:
    """Return the changes of some tables up to a moment as lines of CHANGES_COLUMNS."""
    return [
        b'{"key":%b,"old":%b,"new":%b,%b\n'
        % (change.keys, change.before or b"null", change.after or b"null", orjson.dumps(_fields(change))[1:])
        for change in changes
        if change.kind is not ChangeKind.GAP and change.time_ms < asked.end_ms and change.table in tables
    ]


def _fields(change: Change) -> Mapping[str, str]:
    seconds, milliseconds = divmod(change.time_ms, 1000)
    return {
        "time": str(Moment((seconds + 1) * 1000)).removesuffix("Z") + f".{milliseconds:03d}",
        "source": change.table,
        "kind": change.kind.value,
        "sequence": str(change.sequence),
        "by_ttl": str(change.by_ttl).lower(),
        "epoch": change.epoch,
        "shard": change.shard,
    }
