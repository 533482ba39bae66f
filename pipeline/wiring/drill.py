"""`fanout drill`: a restore at a random second into a scratch file, compared, measured, and told in a signed report."""

import asyncio
import hashlib
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import orjson

from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.session import Aws
from pipeline.history.archive import segments
from pipeline.history.base import base_at
from pipeline.history.drill import Restored, differing, sampled, second_of
from pipeline.history.keys import Scope
from pipeline.history.moment import SECOND_MS, moment, text_of
from pipeline.history.reading import Pass, gather, must_be_complete, must_have_begun, must_not_lie_ahead
from pipeline.history.trace import NOW, equal
from pipeline.history.traces import Traces
from pipeline.history.watermark import Watermark
from pipeline.model.capacity import GET_ITEMS_MAX
from pipeline.model.errors import Misconfigured
from pipeline.ports import ObjectStore, Signer
from pipeline.settings import Settings
from pipeline.wire.attributes import without
from pipeline.wire.root import signed
from pipeline.wire.signature import PublicKey
from pipeline.wiring.archive import archive_of, reach_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.policies import kept_from
from pipeline.wiring.reading import Question, Source, aside, source_of
from pipeline.wiring.restore_report import note_store
from pipeline.wiring.roots import signer_of

LATER_LOOKS_MAX = 30
LATER_SECONDS = 2.0
"""How often, and how far apart, it is looked whether a change that the live table shows has reached the archive."""
Tell = Callable[[str], None]


class Wish(NamedTuple):
    """How large a drill, and which."""

    items_max: int | None = 1_000
    """None: every item."""
    seed: str = ""
    """Empty: one is made, and told."""
    at: str = ""
    """Empty: a random second."""


@dataclass(frozen=True, slots=True)
class _Seeded:
    """Chance that a seed repeats, also on another machine and version."""

    seed: str

    def fraction(self) -> float:
        """Return the same float in [0, 1) each time."""
        return int.from_bytes(hashlib.sha256(self.seed.encode()).digest()[:6]) / 2**48


def drill(settings: Settings, question: Question, wish: Wish, tell: Tell) -> dict[str, Any]:
    """Return the report, which is stored too; `passed` says whether every comparison held. Raises PipelineError."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_Drill(parts_of(settings, aws), question, wish, tell).run())


class _Drill:
    def __init__(self, parts: Parts, question: Question, wish: Wish, tell: Tell) -> None:
        self._parts = parts
        self._question = question
        self._items_max = wish.items_max
        self._left_out: tuple[str, ...] = ()
        self._seed = wish.seed or secrets.token_hex(8)
        self._at = wish.at
        self._tell = tell

    async def run(self) -> dict[str, Any]:
        """Restore, compare, measure, sign, store."""
        clock = self._parts.around.clock
        objects = archive_of(self._parts, self._question.topology)
        configured = self._parts.settings.topologies[self._question.topology]
        self._left_out = (await kept_from(objects, configured)).names
        await self._signer()  # a drill takes long: a key that cannot be used is told before
        reach = await reach_of(self._parts, self._question.topology)
        asked_ms = clock.now_ms()
        with aside(self._parts) as folder, tempfile.TemporaryFile() as scratch:
            source = await source_of(self._parts, self._question, folder)
            at_ms = await self._moment(source, reach.watermark)
            began = clock.monotonic()
            met, sample = await self._restored(source, folder, at_ms, reach.delivered, scratch)
            took = clock.monotonic() - began
            size_bytes = scratch.tell()
            self._tell("comparing with what the segments say")
            wrong = await differing(source.objects, source.table, at_ms, sample, source.base)
            self._tell("comparing with the live table")
            live = await self._against_live(source, folder, at_ms, sample)
        report = {
            "passed": not wrong and not live["differ"],
            "table": source.table,
            "seed": self._seed,
            "as_it_was_at": text_of(at_ms - SECOND_MS),
            "began_with": met.snapshot or None,
            "segments": met.segments,
            "items_compared": len(sample),
            "items_incomplete": sum(each.incomplete for each in sample.values()),
            "differ_from_segments": len(wrong),
            "live": live,
            "attributes_not_compared": list(self._left_out),
            "restored_bytes": size_bytes,
            "rto_seconds": round(took, 3),
            "rpo_seconds": round(max(0, asked_ms - reach.watermark.time_ms) / 1000, 3),
            "done_at": text_of(clock.now_ms()),
        }
        return report | await self._kept(report)

    async def _moment(self, source: Source, mark: Watermark) -> int:
        """Return the end of the second asked for, or of a random one between the archive's beginning and watermark."""
        first_ms = source.base.manifest.at_ms - SECOND_MS if source.base else await _first_ms(source)
        if self._at:
            asked = moment(self._at, self._question.zone)
            must_not_lie_ahead(asked, self._parts.around.clock.now_ms())
            must_be_complete(asked, mark)
            must_have_begun(asked, first_ms, source.table)
            return asked.end_ms
        if not first_ms or first_ms + SECOND_MS > mark.time_ms:
            raise Misconfigured(
                "the archive is not complete up to any second yet", hint="`fanout archive check` shows its watermark"
            )
        return second_of(first_ms, mark.time_ms, _Seeded(self._seed))

    async def _restored(
        self, source: Source, folder: ObjectStore, at_ms: int, delivered: Mapping[str, int], scratch: BinaryIO
    ) -> tuple[Pass, dict[bytes, Restored]]:
        """Restore the whole table as `fanout restore --file` does; return what was met and what is to be compared."""
        base = await base_at(source.objects, folder, at_ms)
        traces = Traces(Scope(source.table), (at_ms,), folder, base=base.traces if base else None)
        read = self._read_so_far
        met = await gather(source.objects, source.table, traces, delivered, base=base, progress=read)
        sample = await sampled(
            traces, self._items_max, self._seed, lambda image: scratch.write(b'{"Item":%b}\n' % image)
        )
        return met, sample

    def _read_so_far(self, met: Pass) -> None:
        self._tell(f"restoring: {met.segments:,} segments, {met.changes:,} changes")

    async def _against_live(
        self, source: Source, folder: ObjectStore, at_ms: int, sample: dict[bytes, Restored]
    ) -> dict[str, int]:
        """Compare the items that nothing has happened to since with the live table; count what differs."""
        around = self._parts.around
        items = DynamoDBItemStore(self._parts.aws, self._parts.settings.source.region, around.clock)
        keys = [each for each, found in sample.items() if found.unchanged and not found.incomplete]
        odd: set[bytes] = set()
        for start in range(0, len(keys), GET_ITEMS_MAX):
            some = keys[start : start + GET_ITEMS_MAX]
            found = await items.get(source.table, some)
            odd |= {each for each in some if not equal(*map(self._compared, (found.get(each), sample[each].image)))}
        seen_ms = around.clock.now_ms()
        excused = await self._changed_since(source, folder, at_ms, odd, seen_ms) if odd else set()
        return {"compared": len(keys), "changed_meanwhile": len(excused), "differ": len(odd - excused)}

    def _compared(self, image: bytes | None) -> bytes | None:
        """Return what is compared of an item: attributes that are or were kept from the archive are not."""
        return image and without(image, self._left_out)

    async def _changed_since(
        self, source: Source, folder: ObjectStore, at_ms: int, odd: set[bytes], seen_ms: int
    ) -> set[bytes]:
        """Return those that a change explains, once the archive is complete up to where the live table was read."""
        for _ in range(LATER_LOOKS_MAX):
            if (await reach_of(self._parts, self._question.topology)).watermark.time_ms > seen_ms:
                break
            await self._parts.around.clock.sleep(LATER_SECONDS)
        base = await base_at(source.objects, folder, at_ms)
        scope = Scope(source.table, keys=odd)
        traces = Traces(scope, (at_ms,), folder, base=base.traces if base else None, folder="later/")
        await gather(source.objects, source.table, traces, {}, base=base)
        return {trace.keys async for trace in traces.each() if trace.changed_between(0, NOW)}

    async def _signer(self) -> tuple[Signer | None, str]:
        """Return who signs the roots of an audit log, and the id of the key; None where nobody does."""
        settings = self._parts.settings
        signers = [signer_of(settings, self._parts.aws, each) for each in settings.topologies.values()]
        signer = next((each for each in signers if each is not None), None)
        return signer, PublicKey.of(await signer.public_key()).id if signer else ""

    async def _kept(self, report: Mapping[str, Any]) -> dict[str, str]:
        """Store the report, signed where roots of an audit log are; return where, and by which key."""
        signer, key = await self._signer()
        words = orjson.dumps({**report, "key": key})
        data = signed(words, await signer.sign(words)) if signer else words + b"\n"
        digest = hashlib.sha256(data).hexdigest()
        stamp = str(report["done_at"]).replace(":", "")
        name = f"drills/{stamp}-{digest[:12]}.json"
        await note_store(self._parts, self._question.topology).create(name, data)
        return {"record": name, "sha256": digest, "signed_by": orjson.loads(words)["key"]}


async def _first_ms(source: Source) -> int:
    """Return the creation time of the table's first change that is met; the archive begins about there."""
    met = Pass()
    async for each in segments(source.objects):
        met.note(each, source.table)
        if met.first_ms:
            break
    return met.first_ms
