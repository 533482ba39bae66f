"""Reading back, through the same adapters, what the demo's pipeline has done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline.aws.folder import FolderObjectStore
from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import READ
from pipeline.coordination.checkpoints import read_many
from pipeline.delivery.reader import Place, ShardReader
from pipeline.history.archive import segments
from pipeline.history.fold import fold
from pipeline.history.moment import text_of
from pipeline.history.watermark import SETTLING_SECONDS
from pipeline.model.errors import PipelineError
from pipeline.model.progress import Checkpoint
from pipeline.ports import ObjectStore
from pipeline.verification.compare import compare, items_of
from pipeline.wire import chain, segment
from pipeline.wire.packed import Kind, unpack
from pipeline.wiring import audit, restore
from pipeline.wiring.build import Parts
from pipeline.wiring.demo.gauges import Group
from pipeline.wiring.demo.proof import Evidence, mark_of_change, mark_of_entry
from pipeline.wiring.demo.stage import REPLICA_REGION, SOURCE_REGION, TABLE
from pipeline.wiring.demo.workload import KEY_NAMES
from pipeline.wiring.reading import Question
from pipeline.wiring.resources import begin
from pipeline.wiring.restore_report import Times

PAGES_MAX = 100_000
"""Pages of one Kinesis shard: more than any demo fills."""
SETTLED_SECONDS = SETTLING_SECONDS + 2
"""How long after a second the archive counts as complete up to it, when nothing is on its way."""
RESTORED = "orders-as-it-was"
"""The table that the demo restores into."""
PROBLEMS_MAX = 3
"""Problems of the audit log that are quoted."""


class Photograph(NamedTuple):
    """The source table as it was during a quiet second."""

    second_ms: int
    items: Sequence[Mapping[str, Any]]

    async def scan(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the items."""
        for item in self.items:
            yield item


class Reading:
    """What can be read back of one demo."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        options = {name: each.options for name, each in parts.settings.topologies.items()}
        region = parts.settings.stream.region
        self._source = DynamoDBItemStore(parts.aws, SOURCE_REGION, parts.around.clock)
        self._replica = DynamoDBItemStore(parts.aws, REPLICA_REGION, parts.around.clock)
        self._positions_table = options["replica"].positions_table
        self._archive = S3ObjectStore(parts.aws, region, options["archive"].bucket, options["archive"].prefix)
        self._audit = S3ObjectStore(parts.aws, region, options["audit"].bucket, options["audit"].prefix)
        self._folder = FolderObjectStore(Path(options["folder"].path), parts.aws.threads(READ))

    async def photograph(self) -> Photograph:
        """Return the source in the second that begins now, and return when that is over; nobody may write meanwhile."""
        clock = self._parts.around.clock
        await clock.sleep(1.0 - clock.now_ms() % 1000 / 1000)
        second_ms = clock.now_ms() // 1000 * 1000
        items = [dict(item) async for item in self._source.scan(TABLE)]
        await clock.sleep(max(0.0, (second_ms + 1000 - clock.now_ms()) / 1000))
        return Photograph(second_ms, items)

    async def everything(self, sink_repeats: int, taken: Photograph | None) -> Evidence:
        """Return all evidence; what cannot be read is a problem in it."""
        found = Evidence(sink_repeats=sink_repeats)
        for name, look in (
            ("replica", self._look_at_replica(found)),
            ("archive", self._look_at_archive(found)),
            ("audit", self._look_at_audit(found)),
            ("restore", self._look_at_restore(found, taken)),
            ("folder", self._look_at_folder(found)),
            ("stream", self._look_at_stream(found)),
        ):
            await _noting(name, look, found)
        return found

    async def ahead_of_checkpoints(self, group: Group) -> dict[str, int]:
        """Return, for each topology, how many changes its sink has beyond its checkpoint: they will come again.

        A negative number would be a checkpoint ahead of its effect.
        """
        out: dict[str, int] = {}
        for name in group.topologies:
            keys = dict(zip(group.shards, group.checkpoint_keys(name), strict=True))
            saved = await read_many(self._parts.around.store, list(keys.values()))
            at = {shard: saved.get(key, Checkpoint()).position for shard, key in keys.items()}
            out[name] = sum([await self._effect(name, shard) - at[shard] for shard in group.shards])
        return out

    async def _effect(self, topology: str, shard: str) -> int:
        """Return the last position of a shard that is at a topology's sink."""
        stream = self._parts.around.log.name
        match topology:
            case "replica":
                row = f"replica/{await begin(self._parts)}/{shard}"
                return await self._replica.position(self._positions_table, row)
            case "archive":
                return await _last(self._archive, segment.KIND, stream, shard)
            case "audit":
                return await _last(self._audit, chain.KIND, stream, shard)
            case _:
                return sum([1 async for _ in self._folder.names(f"{await begin(self._parts)}/{shard}/")])

    async def _look_at_replica(self, found: Evidence) -> None:
        found.replica_against_source = await compare(self._source.scan(TABLE), self._replica.scan(TABLE), KEY_NAMES)

    async def _look_at_archive(self, found: Evidence) -> None:
        marks: dict[bytes, list[int]] = {}
        found.archive = marks
        async for each in segments(self._archive):
            found.archive_segments += 1
            for change in each.batch.changes:
                marks.setdefault(change.keys, []).append(mark_of_change(change))
        left = await fold(self._archive)
        found.archive_against_source = await compare(self._source.scan(TABLE), items_of(left.values()), KEY_NAMES)

    async def _look_at_audit(self, found: Evidence) -> None:
        marks: dict[bytes, list[int]] = {}
        found.audit = marks
        report = await asyncio.to_thread(audit.verify, self._parts.settings, topology="audit")
        found.audit_entries, found.audit_sound = report["entries"], report["verified"]
        found.problems += [f"audit: {each['object']}: {each['reason']}" for each in report["problems"][:PROBLEMS_MAX]]
        async for name in self._audit.names(f"{chain.KIND.folder}/"):
            for line in chain.decode(name, await self._audit.read(name) or b"").lines[1:]:
                entry = orjson.loads(line)
                marks.setdefault(orjson.dumps(entry["keys"]), []).append(mark_of_entry(entry))

    async def _look_at_restore(self, found: Evidence, taken: Photograph | None) -> None:
        """Restore to the second of the photograph, as the command does, into a new table."""
        if taken is None:
            found.problems.append("restore: the source was never quiet, so there is nothing to compare with")
            return
        clock = self._parts.around.clock
        await clock.sleep(max(0.0, taken.second_ms / 1000 + SETTLED_SECONDS - clock.now_ms() / 1000))
        found.restored_to = text_of(taken.second_ms)
        talk = restore.Talk(lambda _: None, lambda _: None, lambda _: None, lambda _: True)
        await asyncio.to_thread(
            restore.restore,
            self._parts.settings,
            Question(),
            Times(at=found.restored_to),
            ((), ()),
            restore.Destination(into=RESTORED),
            restore.Manner(),
            talk,
        )
        found.restored_against_source = await compare(taken.scan(), self._source.scan(RESTORED), KEY_NAMES)

    async def _look_at_folder(self, found: Evidence) -> None:
        found.folder_files = sum([1 async for _ in self._folder.names("")])

    async def _look_at_stream(self, found: Evidence) -> None:
        carried = 0
        distinct: set[tuple[str, str, int]] = set()
        for shard in await self._parts.around.log.shards():
            start = Place(None, self._parts.around.clock.now_ms())
            reader = ShardReader(self._parts.around.log, None, shard.id, start, lambda: None)
            for _ in range(PAGES_MAX):
                page = await reader.read()
                carried += sum(len(record.changes) for record in page.records)
                distinct.update((c.epoch, c.shard, c.sequence) for record in page.records for c in record.changes)
                if page.ended or not (page.records or page.behind_ms):
                    break
        found.stream_repeats = carried - len(distinct)


async def _noting(name: str, look: Awaitable[None], found: Evidence) -> None:
    try:
        await look
    except PipelineError as error:
        found.problems.append(f"{name}: {error}")


async def _last(objects: ObjectStore, kind: Kind, stream: str, shard: str) -> int:
    """Return the last position of a log of objects, 0 when it is empty."""
    names = [name async for name in objects.names(kind.prefix(stream, shard))]
    if not names:
        return 0
    header, _ = unpack(kind, names[-1], await objects.read(names[-1]) or b"")
    return header.last
