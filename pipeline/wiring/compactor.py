"""Snapshots that the workers make by themselves: one of them at a time, off the way of the changes."""

import logging
from collections.abc import Mapping
from functools import partial

from pipeline.aws.session import Aws
from pipeline.coordination.alone import Alone
from pipeline.coordination.leases import Leases
from pipeline.history.archive import has_more
from pipeline.history.base import base_at, moments, starts_of
from pipeline.history.moment import SECOND_MS, text_of
from pipeline.settings import ConfiguredTopology
from pipeline.wiring.archive import archive_of, reach_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.compact import compact_at
from pipeline.wiring.reading import aside
from pipeline.worker.room import Room

LOOK_SECONDS = 60.0
"""How often it is looked whether a snapshot is due, and the archive is complete up to it."""
HOUR_MS = 3_600 * SECOND_MS

logger = logging.getLogger(__name__)


def compactors_of(parts: Parts, topologies: Mapping[str, ConfiguredTopology]) -> list[Alone]:
    """Return what makes the snapshots of each archive that is to have some."""
    archives = {name: each.options for name, each in topologies.items() if each.topology.name == "archive"}
    wanting = {name: int(getattr(options, "snapshot_hours", 0)) for name, options in archives.items()}
    return [_alone(parts, name, hours) for name, hours in wanting.items() if hours]


def due_ms(now_ms: int, hours: int) -> int:
    """Return the last moment for which there is to be a snapshot: the same for all workers."""
    return now_ms // (hours * HOUR_MS) * (hours * HOUR_MS)


def _alone(parts: Parts, topology: str, hours: int) -> Alone:
    around = parts.around
    what = f"compaction of {topology}"
    leases = Leases(
        around.store,
        around.clock,
        owner=around.owner,
        group=f"{around.log.name}/compaction/{topology}",
        lease_seconds=around.lease_seconds,
    )
    return Alone(what, leases, around.clock, around.lease_seconds / 3, Compactor(parts, topology, hours).run)


class Compactor:
    """Looks again and again whether a snapshot is due; makes it in a thread and with clients of its own."""

    def __init__(self, parts: Parts, topology: str, hours: int) -> None:
        self._parts = parts
        self._topology = topology
        self._hours = hours
        self._settled_ms = 0
        """The last due moment that was seen to."""

    async def run(self) -> None:
        """Run until cancelled. Raises PipelineError when a snapshot cannot be made."""
        room = Room(f"compaction-{self._topology}")
        try:
            while True:
                at_ms = due_ms(self._parts.around.clock.now_ms(), self._hours)
                if at_ms > self._settled_ms and await room.run(partial(self._see_to, at_ms)):
                    self._settled_ms = at_ms
                await self._parts.around.clock.sleep(LOOK_SECONDS)
        finally:
            room.close()

    async def _see_to(self, at_ms: int) -> bool:
        """Make the snapshot unless it is there, or nothing has come since the last; False when it is too early.

        Where nothing lies before the moment, there is nothing to make.
        """
        settings = self._parts.settings
        with Aws(settings.aws.plain_http_hosts) as aws:
            parts = parts_of(settings, aws)
            objects = archive_of(parts, self._topology)
            if at_ms in await moments(objects):
                return True
            with aside(parts) as folder:
                if not await has_more(objects, starts_of(await base_at(objects, folder, at_ms))):
                    return True
            if (await reach_of(parts, self._topology)).watermark.time_ms < at_ms:
                return False
            report = await compact_at(parts, self._topology, at_ms, lambda _: None)
        items = sum(table["items"] for table in report["tables"]) if report else 0
        logger.info("the archive %s has a snapshot of %s: %d items", self._topology, text_of(at_ms - SECOND_MS), items)
        return True
