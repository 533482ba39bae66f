"""`fanout verify`: the source tables against what each topology that mirrors them has."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import orjson

from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.rows import DynamoDBTableReader
from pipeline.aws.session import CONTROL, Aws
from pipeline.aws.tables import TableDescription, Tables
from pipeline.coordination.pace import Pace
from pipeline.history.keys import KeySchema
from pipeline.history.moment import text_of
from pipeline.model.errors import Misconfigured
from pipeline.settings import ConfiguredTopology, Settings
from pipeline.verification.judge import WRONG, Finding, Judge, Kind
from pipeline.verification.passage import Passage
from pipeline.verification.side import Reading, Side
from pipeline.verification.verify import Count, Verification
from pipeline.wire.parked import digest_of
from pipeline.wiring.archive import source_bounds
from pipeline.wiring.attributes import mirror_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.core import checkpoint_key
from pipeline.wiring.reading import listed
from pipeline.wiring.repair import Pair, Repair
from pipeline.wiring.resources import pipeline_name, source_tables
from pipeline.wiring.status import standing

ITEMS_PER_PART = 200_000
"""About how many items are read before those that were not seen equal are judged."""
FINDINGS_LISTED_MAX = 100


class Wish(NamedTuple):
    """What to compare, and how."""

    topologies: tuple[str, ...] = ()
    """Empty for all that mirror a table."""
    tables: tuple[str, ...] = ()
    """Empty for all that they get."""
    read_units_per_second: float = 0.0
    keys: tuple[str, ...] = ()
    """Only these items; empty for all."""
    part: tuple[int, int] | None = None
    """The n-th, from 1, of so many parts of each table; None for all parts."""
    findings_max: int = 10_000
    report_file: str = ""
    show_items: bool = False
    repair: bool = False


Tell = Callable[[Pair, Count], None]


def verify(settings: Settings, wish: Wish, tell: Tell) -> dict[str, Any]:
    """Compare, and return the report; `equal` says that nothing differs. Raises PipelineError."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(Verifying(parts_of(settings, aws), wish, tell).all())


def keep_verifying(
    settings: Settings, wish: Wish, tell: Tell, every_seconds: float, report: Callable[[dict[str, Any]], None]
) -> NoReturn:
    """Compare again and again, until it is interrupted; report each time. Raises PipelineError."""

    async def rounds(parts: Parts) -> NoReturn:
        while True:
            report(await Verifying(parts, wish, tell).all())
            await parts.around.clock.sleep(every_seconds)

    with Aws(settings.aws.plain_http_hosts) as aws:
        asyncio.run(rounds(parts_of(settings, aws)))


class Verifying:
    """One comparison of all that was asked for."""

    def __init__(self, parts: Parts, wish: Wish, tell: Tell) -> None:
        self._parts = parts
        self._wish = wish
        self._tell = tell
        self._rows: list[dict[str, Any]] = []

    async def all(self) -> dict[str, Any]:
        """Compare each pair."""
        path = self._wish.report_file
        pairs = await self._pairs()
        pipeline = await pipeline_name(self._parts.around.store, self._parts.around.log.name)
        began = self._parts.around.clock.now_ms()
        try:
            with Path(path).open("wb") if path else nullcontext() as file:  # noqa: ASYNC230  # lines to a local file
                done = [await self._pair(pair, pipeline, file) for pair in pairs]
        except OSError as error:
            raise Misconfigured(
                f"--report {path}: {error.strerror}", hint="is there such a folder, and room?"
            ) from error
        return {
            "equal": all(each["equal"] for each in done),
            "began": text_of(began),
            "compared": done,
            "findings": self._rows,
        }

    async def _pairs(self) -> list[Pair]:
        wish, settings = self._wish, self._parts.settings
        names = wish.topologies or tuple(n for n, each in settings.topologies.items() if each.topology.mirror)
        for name in names:
            if name not in settings.topologies or settings.topologies[name].topology.mirror is None:
                able = ", ".join(n for n, each in settings.topologies.items() if each.topology.mirror)
                msg = f"topologies.{name}: there is no topology of that name whose tables can be compared"
                raise Misconfigured(msg, hint=f"those that can: {able or 'none'}")
        if not names:
            raise Misconfigured("no topology keeps a copy of a table", hint="configure a replica, or name a topology")
        tables = {each.name: each for each in await source_tables(self._parts)}
        chosen = [settings.topologies[name] for name in names]
        pairs = [
            await self._pair_of(configured, tables[table])
            for configured in chosen
            for table in configured.tables
            if not wish.tables or table in wish.tables
        ]
        for pair in pairs if wish.keys else ():  # a key of no use is refused before anything is compared, or repaired
            self._wanted(pair.table)
        if missing := set(wish.tables) - {pair.table.name for pair in pairs}:
            raise Misconfigured(
                f"no such topology gets the table {', '.join(sorted(missing))}",
                hint=f"tables: {', '.join(dict.fromkeys(table for each in chosen for table in each.tables))}",
            )
        return pairs

    async def _pair_of(self, configured: ConfiguredTopology, table: TableDescription) -> Pair:
        mirror = mirror_of(configured)
        assert mirror is not None
        name = mirror.table or table.name
        tables = Tables(self._parts.aws.dynamodb(mirror.region, CONTROL), self._parts.around.clock)
        described = await tables.describe(name)
        if described is None:
            raise Misconfigured(f"there is no table {name} in {mirror.region}", hint="`fanout setup` creates it")
        if described.keys != table.keys:
            raise Misconfigured(
                f"the table {mirror.region}/{name} has other key attributes than its source {table.name}",
                hint=f"topologies.{configured.name}: name another table, or create it anew with its source's keys",
            )
        return Pair(configured, table, mirror, name)

    async def _pair(self, pair: Pair, pipeline: str, file: BinaryIO | None) -> dict[str, Any]:
        around, wish = self._parts.around, self._wish
        reading = Reading(Pace(around.clock, wish.read_units_per_second), around.clock, around.chance)
        source = self._side(reading, pair.table.region, pair.table.name, pair.table, pair.mirror.expected)
        copy = self._side(reading, pair.mirror.region, pair.copy, pair.table, pair.mirror.held)
        judge = Judge(
            pair.table.name,
            source,
            copy,
            self._passage(pair),
            around.clock,
            expected=pair.mirror.expected,
            parked=partial(digest_of, pipeline, pair.table.name),
        )
        tell = partial(self._tell, pair)
        verification = Verification(source, copy, judge, around.clock, findings_max=wish.findings_max, progress=tell)
        wrong: list[Finding] = []
        async for finding in self._findings(verification, pair.table, await source.about()):
            self._note(pair, finding, file)
            if wish.repair and finding.kind in WRONG:
                wrong.append(finding._replace(source=None, copy=None))
        row = _row_of(pair, verification.count)
        if wrong:
            row |= await Repair(self._parts, pair, judge, reading).all(wrong)
            right = not row["left"] and verification.count.differences == len(wrong)
            row["equal"] = right and not verification.count.found[Kind.UNDECIDED]
        return {**row, "read_units": round(reading.read_units)}

    async def _findings(
        self, verification: Verification, table: TableDescription, about: int
    ) -> AsyncIterator[Finding]:
        if self._wish.keys:
            found = verification.items(self._wanted(table))
        elif self._wish.part is not None:
            number, of = self._wish.part
            found = verification.parts(number - 1, number - 1, of)
        else:
            of = max(1, about // ITEMS_PER_PART)
            found = verification.parts(0, of - 1, of)
        async for finding in found:
            yield finding

    def _wanted(self, table: TableDescription) -> list[bytes]:
        """Return the keys of --keys, each once. Raises Misconfigured where one is no key of the table."""
        schema = KeySchema(tuple(key.name for key in table.keys), tuple(key.type for key in table.keys))
        try:
            return list(dict.fromkeys(map(schema.read, listed(self._wish.keys))))
        except Misconfigured as error:
            several = "; give --table" if len(self._parts.settings.source.tables) > 1 else ""
            raise Misconfigured(f"table {table.name}: {error.reason}", hint=f"{error.hint}{several}") from error

    def _side(
        self,
        reading: Reading,
        region: str,
        name: str,
        table: TableDescription,
        look: Callable[[bytes], bytes | None],
    ) -> Side:
        reader = DynamoDBTableReader(self._parts.aws, region, name, [key.name for key in table.keys])
        return Side(reader, DynamoDBItemStore(self._parts.aws, region, self._parts.around.clock), look, reading)

    def _passage(self, pair: Pair) -> Passage:
        around, parts = self._parts.around, self._parts

        async def oldest() -> tuple[int, str] | None:
            bounds = await source_bounds(parts, pair.table.name)
            first = min(bounds, key=lambda bound: bound.time_ms, default=None)
            return None if first is None else (first.time_ms, f"{first.place}: {first.why}")

        key = partial(checkpoint_key, around.log.name, name=pair.configured.name)
        stands = partial(standing, around, pair.configured.name)
        return Passage(
            around.log,
            around.claims,
            around.store,
            around.clock,
            around.chance,
            key=key,
            uncaptured=oldest,
            standing=stands,
        )

    def _note(self, pair: Pair, finding: Finding, file: BinaryIO | None) -> None:
        row: dict[str, Any] = {
            "table": pair.table.name,
            "topology": pair.configured.name,
            "key": orjson.loads(finding.keys),
            "kind": finding.kind.value,
            "attributes": list(finding.attributes),
            "why": finding.why,
        }
        if self._wish.show_items:
            row["source"], row["copy"] = (each and orjson.loads(each) for each in (finding.source, finding.copy))
        if file is not None:
            file.write(orjson.dumps(row) + b"\n")
        if len(self._rows) < FINDINGS_LISTED_MAX:
            self._rows.append(row)


def _row_of(pair: Pair, count: Count) -> dict[str, Any]:
    return {
        "table": f"{pair.table.region}/{pair.table.name}",
        "topology": pair.configured.name,
        "copy": f"{pair.mirror.region}/{pair.copy}",
        "equal": not (count.differences or count.found[Kind.UNDECIDED]),
        "source_items": count.source_items,
        "copy_items": count.copy_items,
        "looked_at_again": count.judged,
        **{kind.value: count.found[kind] for kind in Kind},
        "ended_early": count.limited,
    }
