"""`fanout gaps heal`: what may have changed in a gap, read again and sent through the lanes."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.rows import DynamoDBTableReader
from pipeline.aws.session import Aws
from pipeline.aws.tables import TableDescription
from pipeline.capture.gaps import GapTeller
from pipeline.capture.outbox import Outbox
from pipeline.capture.packing import Packer, Packing, WireForm
from pipeline.coordination.copies import Phase
from pipeline.coordination.gaps import Gaps
from pipeline.model.errors import Gap, Misconfigured, RetryLater
from pipeline.model.gap import GapRecord, GapState
from pipeline.ports import TableReader
from pipeline.settings import Settings
from pipeline.settings.destinations import destinations
from pipeline.verification.healing import ChangedRows, NoRows, Place
from pipeline.wiring.attributes import mirror_of
from pipeline.wiring.bootstrap import CopyOfTable, Tell, Wish, reader_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.gaps import gap_row
from pipeline.wiring.resources import begin, check_stream, source_tables

TOLD_SECONDS_MAX = 60.0
"""How long to wait until the gap's mark is in every lane: a capture puts it there as soon as it has met the gap."""
POLL_SECONDS = 0.5

logger = logging.getLogger(__name__)


def heal(settings: Settings, gap_id: str, by: str, wish: Wish, tell: Tell) -> dict[str, Any]:
    """Heal a gap, or go on healing it; return its row and what was sent of each table.

    Raises Misconfigured when there is no such gap or no such table any more, RetryLater when nobody captures.
    """
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(Healing(parts_of(settings, aws), wish, tell).run(gap_id, by))


def _retried(error: RetryLater, attempt: int) -> None:
    logger.warning("the mark of the gap waits (attempt %d): %s", attempt, error)


class Healing:
    """The healing of one gap. Ended at any point, the next one goes on where it was."""

    def __init__(self, parts: Parts, wish: Wish, tell: Tell) -> None:
        self._parts = parts
        self._wish = wish
        self._tell = tell
        around = parts.around
        self._gaps = Gaps(around.store, around.log.name, around.clock)

    async def run(self, gap_id: str, by: str) -> dict[str, Any]:
        """Heal; see `heal`."""
        await check_stream(self._parts)
        await begin(self._parts)
        tables = await source_tables(self._parts)
        gap = await self._gaps.decide(gap_id, GapState.HEALING, by)
        report: list[dict[str, Any]] = []
        if gap.state is not GapState.HEALED:
            gap = await self._told(gap)
            report = [await self._heal_table(gap, table) for table in self._concerned(gap, tables)]
            if all(each["phase"] == "arrived" for each in report):
                gap = await self._finish(gap, by)
        return {"gap": gap_row(gap), "tables": report}

    async def _told(self, gap: GapRecord) -> GapRecord:
        """Return the gap once every lane has its mark: all that was captured before it lies before the mark."""
        if gap.topology:
            return gap  # it stands before that topology alone, in no lane
        clock = self._parts.around.clock
        until = clock.monotonic() + TOLD_SECONDS_MAX
        while not gap.told:
            if clock.monotonic() > until:
                raise RetryLater(f"the gap {gap.id} is in no lane yet: is a capture of {gap.table} running?")
            await clock.sleep(POLL_SECONDS)
            gap = next(each for each in await self._gaps.all() if each.id == gap.id)
        return gap

    def _concerned(self, gap: GapRecord, tables: Sequence[TableDescription]) -> list[TableDescription]:
        if gap.topology:
            topology = self._parts.settings.topologies.get(gap.topology)
            names = set(topology.tables) if topology else set()
        else:
            names = {gap.table}
        found = [table for table in tables if table.name in names]
        if not found:
            raise Misconfigured(
                f"gap {gap.id} is of {gap.topology or gap.table}, and the configuration has no such"
                f" {'topology' if gap.topology else 'table'}",
                hint="give the configuration of the workers with -c",
            )
        return found

    async def _heal_table(self, gap: GapRecord, table: TableDescription) -> dict[str, Any]:
        """Wait until all from before the gap has arrived, then send what is not the same, and wait for that."""
        wish = replace(self._wish, topologies=(gap.topology,) if gap.topology else ())
        name = f"{table.name}/gap-{gap.id}"
        await self._copy(table, replace(wish, segments=1), NoRows(table.name), f"{name}-before", lambda _: None)
        return await self._copy(table, wish, ChangedRows(self._source(table), self._copies_of(table)), name, self._tell)

    async def _copy(
        self, table: TableDescription, wish: Wish, reader: TableReader, name: str, tell: Tell
    ) -> dict[str, Any]:
        copy = CopyOfTable(self._parts, table, wish, tell, reader=reader, name=name)
        done = await copy.run()
        if done["phase"] == Phase.CANCELLED:
            raise Gap(f"{name} was refused again and again", hint="too much changes at once: use more --segments")
        return done

    def _source(self, table: TableDescription) -> Place:
        store = DynamoDBItemStore(self._parts.aws, table.region, self._parts.around.clock)
        return Place(reader_of(self._parts, table), store)

    def _copies_of(self, table: TableDescription) -> list[Place]:
        """Return the tables that topologies keep of a source table."""
        parts, settings = self._parts, self._parts.settings
        names = [key.name for key in table.keys]
        found = []
        for topology in settings.topologies.values():
            field, own = f"topologies.{topology.name}.table", {table.name, getattr(topology.options, "table", "")}
            mirror = mirror_of(topology) if table.name in topology.tables else None
            forms = (mirror.expected, mirror.held) if mirror else ()
            if table.name in topology.tables:
                found += [
                    Place(
                        DynamoDBTableReader(parts.aws, place.region, place.name, names),
                        DynamoDBItemStore(parts.aws, place.region, parts.around.clock),
                        *forms,
                    )
                    for name, place in destinations(settings)
                    if name == field and place.name in own
                ]
        return found

    async def _finish(self, gap: GapRecord, by: str) -> GapRecord:
        """Set the gap to healed, and tell every lane."""
        stream, around = self._parts.settings.stream, self._parts.around
        packing = Packing(
            WireForm(stream.wire), stream.lanes, stream.record_bytes_max, self._parts.settings.source.region
        )
        outbox = Outbox(around.log, around.clock, around.chance, _retried)
        healed = await self._gaps.decide(gap.id, GapState.HEALED, by)
        if gap.topology:
            return healed
        await GapTeller(self._gaps, Packer(packing, around.claims), outbox).tell_end(healed, healed.until)
        return healed
