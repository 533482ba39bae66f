"""`fanout bootstrap`: what is in the source tables already, to the topologies, while changes flow."""

import asyncio
import logging
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.aws.rows import DynamoDBTableReader
from pipeline.aws.session import Aws
from pipeline.aws.tables import TableDescription
from pipeline.capture.copy import Newer, TableCopy
from pipeline.capture.packing import Packer, Packing, WireForm
from pipeline.coordination.arrivals import arrivals, is_complete
from pipeline.coordination.copies import Copies, Phase, Run
from pipeline.coordination.pace import Pace
from pipeline.model.errors import Misconfigured
from pipeline.model.snapshot import EXPORT_RUN, Arrived, shard_of
from pipeline.ports import TableReader
from pipeline.settings import Settings
from pipeline.wiring.bootstrap_export import ExportPlace, must_fit, opened
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.core import checkpoint_key
from pipeline.wiring.resources import begin, check_stream, source_tables

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
ROUNDS_MAX = 3
"""How often a table is read again because a topology refused rows: too much changed at once while they were read."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to copy, for whom, and how fast."""

    tables: tuple[str, ...] = ()
    """Empty for all source tables."""
    topologies: tuple[str, ...] = ()
    """Empty for all."""
    segments: int = 1
    read_units_per_second: float = 0.0
    again: bool = False
    wait: bool = True
    export: str = ""
    """A full export in S3 to take the rows from; empty: the table is scanned."""


@dataclass(slots=True)
class Progress:
    """What is known of a table's copy while it goes on."""

    table: str
    about: int = 0
    rows: int = 0
    read_units: float = 0.0
    arrived: int = 0
    overtaken: int = 0
    phase: str = ""


Tell = Callable[[Progress], None]


def bootstrap(settings: Settings, wish: Wish, tell: Tell) -> dict[str, Any]:
    """Copy, and return the report; `tell` is called about every second. Raises Misconfigured, Gap or LeaseLost."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_bootstrap(parts_of(settings, aws), wish, tell))


def copies_of(parts: Parts, tables: Sequence[TableDescription]) -> list[Callable[[], Awaitable[None]]]:
    """Return for each table what copies it inside a service, and says so once it has arrived."""

    async def copy(table: TableDescription) -> None:
        done = await CopyOfTable(parts, table, Wish(), lambda _: None).run()
        logger.info(
            "what table %s had is copied: %d rows, %d changed since", table.name, done["rows"], done["overtaken"]
        )

    return [partial(copy, table) for table in tables]


def change_phase(settings: Settings, tables: Sequence[str], phase: Phase, *, export: str = "") -> dict[str, str]:
    """Pause, resume or cancel the copies of tables that have one, or that of an export; return the phase of each."""
    names = [ExportPlace.read(export).name] if export else tables or settings.source.tables
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_change_phase(parts_of(settings, aws), names, phase))


async def _bootstrap(parts: Parts, wish: Wish, tell: Tell) -> dict[str, Any]:
    unknown = set(wish.topologies) - set(parts.settings.topologies)
    if unknown:
        msg = f"there is no topology {', '.join(sorted(unknown))}"
        raise Misconfigured(msg, hint=f"configured: {', '.join(parts.settings.topologies)}")
    await check_stream(parts)
    tables = [each for each in await source_tables(parts) if not wish.tables or each.name in wish.tables]
    missing = set(wish.tables) - {each.name for each in tables}
    if missing:
        msg = f"source.tables does not name {', '.join(sorted(missing))}"
        raise Misconfigured(msg, hint=f"configured: {', '.join(parts.settings.source.tables)}")
    await begin(parts)
    if wish.export:
        return await _from_export(parts, wish, tables, tell)
    report = [await CopyOfTable(parts, table, wish, tell).run() for table in tables]
    return {"done": all(each["phase"] in ("copied", "arrived") for each in report), "tables": report}


async def _from_export(parts: Parts, wish: Wish, tables: Sequence[TableDescription], tell: Tell) -> dict[str, Any]:
    found = await opened(parts, wish.export)
    table = next((each for each in tables if each.name == found.summary.table), None)
    if table is None:
        names = ", ".join(each.name for each in tables)
        raise Misconfigured(f"the export is of table {found.summary.table}", hint=f"the tables to copy: {names}")
    await must_fit(parts, found.summary, table)
    with tempfile.TemporaryDirectory(prefix="fanout-export-") as folder:
        reader, newer = found.reader(parts, table, Path(folder)), found.newer(parts, table)
        done = await CopyOfTable(parts, table, wish, tell, reader=reader, name=found.place.name, newer=newer).run()
    return {"done": done["phase"] in ("copied", "arrived"), "tables": [done]}


async def _change_phase(parts: Parts, names: Sequence[str], phase: Phase) -> dict[str, str]:
    phases: dict[str, str] = {}
    for name in names:
        copies = Copies(parts.around.store, parts.around.log.name, name, owner=parts.around.owner)
        run = await copies.run()
        movable = run is not None and run.phase in (Phase.COPYING, Phase.PAUSED)
        phases[name] = (await copies.set_phase(phase)).phase.value if movable else run.phase.value if run else "none"
    return phases


def reader_of(parts: Parts, table: TableDescription) -> TableReader:
    """Return what scans a table."""
    return DynamoDBTableReader(parts.aws, table.region, table.name, [key.name for key in table.keys])


class CopyOfTable:
    """The copy of one table, from its first row to the last topology that has it.

    `reader` reads it another way than by a scan; such a copy has a `name` of its own, under which it is gone on with.
    """

    def __init__(
        self,
        parts: Parts,
        table: TableDescription,
        wish: Wish,
        tell: Tell,
        *,
        reader: TableReader | None = None,
        name: str = "",
        newer: Newer | None = None,
    ) -> None:
        self._parts = parts
        self._table = table
        self._wish = wish
        self._tell = tell
        around = parts.around
        self._copies = Copies(around.store, around.log.name, name or table.name, owner=around.owner)
        self._reader = reader or reader_of(parts, table)
        self._newer = newer
        self._packer = packer_of(parts, table)
        self._progress = Progress(table.name)

    async def run(self) -> dict[str, Any]:
        """Copy, wait until it has arrived, and return what was done."""
        self._progress.about = await self._reader.about()
        for _ in range(ROUNDS_MAX):
            run = await self._begun()
            await self._copy(run)
            if self._progress.phase != Phase.COPIED or not self._wish.wait or await self._has_arrived(run):
                break
            await self._copies.set_phase(Phase.CANCELLED)
        return {name: getattr(self._progress, name) for name in Progress.__slots__}

    async def _begun(self) -> Run:
        """Return the run to go on with, or a new one."""
        run = await self._copies.run()
        if run is not None and run.epoch == self._table.stream_label and self._may_go_on(run):
            return await self._copies.set_phase(Phase.COPYING) if run.phase is Phase.PAUSED else run
        wish, clock = self._wish, self._parts.around.clock
        name = (EXPORT_RUN if self._newer else "") + secrets.token_hex(4)
        fresh = Run(name, self._table.stream_label, wish.segments, wish.topologies, started_ms=clock.now_ms())
        await self._copies.put_run(fresh)
        return fresh

    def _may_go_on(self, run: Run) -> bool:
        """Return True for a run that does what is wished. Raises Misconfigured beside one for other topologies."""
        if run.phase is Phase.CANCELLED:
            return False
        ours, theirs = set(self._wish.topologies), set(run.topologies)
        if run.phase is Phase.COPIED:
            first = not self._progress.phase
            return not (self._wish.again and first) and (not theirs or (bool(ours) and ours <= theirs))
        if ours != theirs:
            whom = "".join(f" --topology {name}" for name in sorted(theirs)) or " without --topology"
            raise Misconfigured(
                f"a copy of table {self._table.name} for other topologies is not done",
                hint=f"finish it (`fanout bootstrap`{whom}), or give it up with --cancel",
            )
        return True

    async def _copy(self, run: Run) -> None:
        around = self._parts.around
        pace = Pace(around.clock, self._wish.read_units_per_second)
        copy = TableCopy(
            self._reader, around.log, self._packer, self._copies, around.clock, around.chance, pace, newer=self._newer
        )
        telling = asyncio.ensure_future(self._keep_telling(copy))
        try:
            self._progress.phase = (await copy.run(run)).value
        finally:
            telling.cancel()
            self._take(copy)
            self._tell(self._progress)

    async def _keep_telling(self, copy: TableCopy) -> None:
        while True:
            await self._parts.around.clock.sleep(POLL_SECONDS)
            self._take(copy)
            self._tell(self._progress)

    def _take(self, copy: TableCopy) -> None:
        self._progress.rows = sum(segment.rows for segment in copy.segments.values())
        self._progress.read_units = sum(segment.read_units for segment in copy.segments.values())

    async def _has_arrived(self, run: Run) -> bool:
        """Wait for every topology; return False when one refused rows, so that the table must be read again."""
        while True:
            found = await arrivals_of(self._parts, self._table, run)
            self._progress.arrived = min((sum(each.rows for each in of) for of in found), default=0)
            self._progress.overtaken = max((sum(each.passed for each in of) for of in found), default=0)
            self._tell(self._progress)
            if any(each.refused for of in found for each in of):
                return False
            if all(is_complete(each, self._parts.settings.stream.lanes) for of in found for each in of):
                self._progress.phase = "arrived"
                return True
            await self._parts.around.clock.sleep(POLL_SECONDS)


async def arrivals_of(parts: Parts, table: TableDescription, run: Run) -> list[list[Arrived]]:
    """Return, for each topology that gets a run's rows, how far they have arrived. Raises RetryLater or Corrupt."""
    around = parts.around
    sources = [f"{table.name}/{run.epoch}/{shard_of(run.id, number, run.topologies)}" for number in range(run.segments)]
    wanting = [
        name
        for name, topology in parts.settings.topologies.items()
        if table.name in topology.tables and (not run.topologies or name in run.topologies)
    ]
    shards = [shard.id for shard in await around.log.shards()]
    keys = {name: [checkpoint_key(around.log.name, shard, name) for shard in shards] for name in wanting}
    return list((await arrivals(around.store, keys, sources)).values())


def packer_of(parts: Parts, table: TableDescription) -> Packer:
    """Return what packs a table's rows for its lanes."""
    stream = parts.settings.stream
    packing = Packing(WireForm(stream.wire), stream.lanes, stream.record_bytes_max, table.region)
    return Packer(packing, parts.around.claims)
