"""`fanout export`: a table as it was, in the layout of DynamoDB's own full export."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline.aws.folder import FolderObjectStore
from pipeline.aws.inspector import AwsInspector
from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import CONTROL, WRITE, Aws
from pipeline.aws.tables import Tables
from pipeline.history.export import LINES_BYTES_MAX, Export
from pipeline.history.moment import Moment, moment, text_of
from pipeline.history.reading import Pass, gather, must_have_begun
from pipeline.history.traces import Traces
from pipeline.model.errors import Misconfigured
from pipeline.model.gap import GapState
from pipeline.ports import ObjectStore
from pipeline.settings import Settings
from pipeline.tabular.parquet import ParquetFiles
from pipeline.wire.attributes import AttributePolicy, Revealing
from pipeline.wire.export import DYNAMODB_JSON, PARQUET, About, DataFiles, Files, export_id
from pipeline.wiring.archive import archive_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.gaps import gap_row
from pipeline.wiring.policies import closed, kept_from, revealing_of
from pipeline.wiring.reading import Question, Source, aside, reach_for, source_of

S3 = "s3://"
KEYS_LISTED_MAX = 100
FORMATS = {"dynamodb-json": DYNAMODB_JSON, "parquet": PARQUET}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()=/-]*")


class Talk(NamedTuple):
    """Whom it is told: read so far, items written so far."""

    read: Callable[[Pass], None]
    written: Callable[[int], None]


class Place(NamedTuple):
    """Where an export goes: a bucket and prefix, or a local folder; the other is empty."""

    bucket: str = ""
    prefix: str = ""
    folder: str = ""

    @classmethod
    def read(cls, text: str) -> "Place":
        """Return the place a text names. Raises Misconfigured."""
        if not text.startswith(S3):
            if not text or "://" in text:
                raise Misconfigured(f"--to {text!r} is no place", hint="give s3://bucket/prefix or a local folder")
            return cls(folder=text)
        bucket, _, prefix = text.removeprefix(S3).partition("/")
        if not _BUCKET.fullmatch(bucket) or not _PREFIX.fullmatch(prefix):
            raise Misconfigured(f"--to {text!r} names no bucket and prefix", hint="write it like s3://bucket/prefix")
        return cls(bucket, prefix.strip("/"))

    def __str__(self) -> str:
        return self.folder or f"{S3}{self.bucket}/{self.prefix}"


def export(settings: Settings, question: Question, at: str, to: str, form: str, talk: Talk) -> dict[str, Any]:
    """Write the export; return the report, `complete` False when it lacks something. Raises PipelineError."""
    place = Place.read(to)
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_export(parts_of(settings, aws), question, at, place, form, talk))


async def _export(parts: Parts, question: Question, at: str, place: Place, form: str, talk: Talk) -> dict[str, Any]:
    asked = moment(at, question.zone)
    archive_of(parts, question.topology)
    _must_lie_apart(parts.settings, place)
    shown = revealing_of(parts.settings, question.topology, reveal=question.reveal)
    reach = await reach_for(parts, question, [asked])
    around = parts.around
    left_out: list[bytes] = []
    with aside(parts) as folder:
        source = await source_of(parts, question, folder, asked.end_ms)
        about = await _about(parts, source, asked, place, FORMATS[form], revealed=question.reveal)
        objects = await _objects(parts, place, about)
        writer = Export(objects, about, _files(source, about), around.clock, around.chance)
        await writer.look()  # reading may take hours: what can be refused is refused before
        traces = Traces(source.scope(), (asked.end_ms,), folder, base=source.traces_of, shown=shown)
        met = await gather(source.objects, source.table, traces, reach.delivered, base=source.base, progress=talk.read)
        must_have_begun(asked, met.first_ms, source.table)
        await writer.claim()
        gaps = [gap_row(gap) for gap in met.gaps.values() if gap.state is not GapState.HEALED]
        kept = await kept_from(source.objects, parts.settings.topologies[question.topology])
        done = await writer.write(
            _images(traces, left_out),
            talk.written,
            lacks=lambda: _lacking(kept, shown, f"{len(gaps)} gaps" if gaps else "", left_out),
        )
    return {
        "complete": not gaps and not left_out,
        "table": source.table,
        "at": str(asked),
        "complete_up_to": None if question.unproven else text_of(reach.watermark.time_ms - 1000),
        "export_id": about.export_id,
        "to": str(place),
        "folder": about.folder,
        "items": done.items,
        "files": done.files,
        "size_bytes": done.size_bytes,
        "left_out": len(left_out),
        "left_out_keys": [orjson.loads(keys) for keys in left_out[:KEYS_LISTED_MAX]],
        "gaps": gaps,
        **closed(shown),
    }


def _lacking(kept: AttributePolicy, shown: Revealing | None, gaps: str, left_out: Sequence[bytes]) -> list[str]:
    """Return what the items of an export lack, in words, for whoever copies from it."""
    hidden = kept.encrypt if shown is None else sorted(shown.closed)
    found = [f"attribute {name}" for name in dict.fromkeys((*kept.drop, *kept.hash, *hidden))]
    return [*found, *([gaps] if gaps else []), *([f"{len(left_out)} items in quarantine"] if left_out else [])]


def _must_lie_apart(settings: Settings, place: Place) -> None:
    """Raise Misconfigured for a place below the prefix of an archive, an audit log or any topology's objects."""
    for name, each in settings.topologies.items():
        for bucket, prefix in (("bucket", "prefix"), ("witness_bucket", "witness_prefix")):
            theirs = str(getattr(each.options, prefix, "")).strip("/")
            if not place.bucket or getattr(each.options, bucket, "") != place.bucket:
                continue
            if not theirs or f"{place.prefix}/".startswith(f"{theirs}/"):
                raise Misconfigured(
                    f"--to {place}: that is where topology {name} keeps its objects, whose readers would trip over it",
                    hint="give another bucket, or a prefix beside it",
                )


async def _images(traces: Traces, left_out: list[bytes]) -> AsyncIterator[bytes]:
    """Yield the items; those with a change in quarantine are left out, for what is known of them is older than that."""
    async with aclosing(traces.each()) as each:
        async for trace in each:
            image = trace.state(0)
            if trace.incomplete:
                left_out.append(trace.keys)
            elif image is not None:
                yield image


def _files(source: Source, about: About) -> Files:
    if about.output_format == DYNAMODB_JSON:
        return DataFiles(LINES_BYTES_MAX)
    return ParquetFiles(dict(zip(source.schema.names, source.schema.types, strict=True)), LINES_BYTES_MAX)


async def _about(
    parts: Parts, source: Source, asked: Moment, place: Place, output_format: str, *, revealed: bool
) -> About:
    region = parts.settings.source.region
    table = await Tables(parts.aws.dynamodb(region, CONTROL), parts.around.clock).describe(source.table)
    return About(
        table_arn=table.arn if table else f"arn:aws:dynamodb:{region}::table/{source.table}",
        table_id=table.id if table else "",
        bucket=place.bucket,
        prefix=place.prefix,
        export_id=export_id(asked.end_ms, parts.settings.stream.name, source.table, *["revealed"] * revealed),
        export_ms=asked.second_ms,
        start_ms=parts.around.clock.now_ms(),
        output_format=output_format,
    )


async def _objects(parts: Parts, place: Place, about: About) -> ObjectStore:
    if place.folder:
        return FolderObjectStore(Path(place.folder, about.folder), parts.aws.threads(WRITE))
    home = parts.settings.source.region
    region = await AwsInspector(parts.aws, parts.around.clock, home).bucket(place.bucket)
    if region is None:
        raise Misconfigured(f"there is no bucket {place.bucket}", hint="create it, or correct the name")
    return S3ObjectStore(parts.aws, region, place.bucket, about.folder)
