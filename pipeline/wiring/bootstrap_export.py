"""`fanout bootstrap --export`: a table's rows from a full export in S3, brought up to date by what the stream has."""

import datetime as dt
import re
from pathlib import Path
from typing import NamedTuple

from pipeline.aws.export_rows import ExportReader
from pipeline.aws.inspector import AwsInspector
from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.kinesis import KinesisControl
from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import CONTROL
from pipeline.aws.tables import TableDescription
from pipeline.capture.copy import Newer
from pipeline.delivery.since_export import SinceExport
from pipeline.history.moment import text_of
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.model.gap import CLOCK_MARGIN_MS, SURELY_KEPT_MS
from pipeline.ports import TableReader
from pipeline.wire.export import CHECKSUM, FILES, ROOT, SUMMARY, checksum
from pipeline.wire.exported import Exported, ExportFile, read_files, read_summary
from pipeline.wiring.build import Parts

SWITCHING_ON_MS = 60_000
"""How long a stream may take, from the moment in its label, until it has every change."""
_PLACE = re.compile(rf"s3://([a-z0-9][a-z0-9.-]+[a-z0-9])/((?:.+/)?{ROOT}/([0-9A-Za-z-]+))/?(?:{re.escape(SUMMARY)})?")


class ExportPlace(NamedTuple):
    """Where an export is."""

    bucket: str
    folder: str
    id: str

    @classmethod
    def read(cls, text: str) -> "ExportPlace":
        """Return the place a text names. Raises Misconfigured."""
        found = _PLACE.fullmatch(text)
        if found is None:
            hint = f"write it like s3://bucket/prefix/{ROOT}/01693685827463-2d8752fd"
            raise Misconfigured(f"--export {text!r} names no export", hint=hint)
        return cls(*found.groups())

    @property
    def name(self) -> str:
        """Return the name its copy is gone on with."""
        return f"export-{self.id}"


class Opened(NamedTuple):
    """An export that can be copied from."""

    place: ExportPlace
    region: str
    summary: Exported
    files: list[ExportFile]

    def reader(self, parts: Parts, table: TableDescription, folder: Path) -> TableReader:
        """Return what reads its rows; files are laid into `folder`."""
        names = [key.name for key in table.keys]
        return ExportReader(parts.aws, self.region, self.place.bucket, self.files, table.name, names, folder)

    def newer(self, parts: Parts, table: TableDescription) -> Newer:
        """Return what knows which rows have changed since."""
        around = parts.around
        return SinceExport(
            around.log,
            around.claims,
            DynamoDBItemStore(parts.aws, table.region, around.clock),
            table.name,
            parts.settings.stream.lanes,
            self.summary.export_ms - CLOCK_MARGIN_MS,
            around.clock,
            around.chance,
        )


async def opened(parts: Parts, text: str) -> Opened:
    """Return an export, its manifests read. Raises Misconfigured or Corrupt."""
    place = ExportPlace.read(text)
    home = parts.settings.source.region
    region = await AwsInspector(parts.aws, parts.around.clock, home).bucket(place.bucket)
    if region is None:
        raise Misconfigured(f"there is no bucket {place.bucket}", hint="correct --export")
    objects = S3ObjectStore(parts.aws, region, place.bucket)
    data = await objects.read(f"{place.folder}/{SUMMARY}")
    if data is None:
        raise Misconfigured(
            f"--export {text}: there is no {SUMMARY}", hint="is the export complete, and the path right?"
        )
    await _must_be_as_written(objects, f"{place.folder}/{SUMMARY}", data)
    summary = read_summary(data)
    listed = await objects.read(summary.files_key)
    if listed is None:
        raise Corrupt(f"object {summary.files_key} of the export is missing", hint="export the table again")
    await _must_be_as_written(objects, summary.files_key, listed)
    files = read_files(listed)
    if sum(file.items for file in files) != summary.items:
        raise Corrupt(f"{SUMMARY} and {FILES} of the export count other items", hint="export the table again")
    return Opened(place, region, summary, files)


async def _must_be_as_written(objects: S3ObjectStore, name: str, data: bytes) -> None:
    """Raise Corrupt for a manifest that does not fit the checksum beside it, where there is one."""
    told = await objects.read(name.removesuffix(".json") + CHECKSUM)
    if told is not None and told.strip() != checksum(data):
        raise Corrupt(f"object {name} of the export does not fit its checksum", hint="export the table again")


async def must_fit(parts: Parts, found: Exported, table: TableDescription) -> None:
    """Raise Misconfigured unless the streams have every change of the table since the export's moment."""
    if table.id and found.table_id and table.id != found.table_id:
        raise Misconfigured(
            f"the export is of another table that was called {table.name}", hint="export the table that is there now"
        )
    control = KinesisControl(parts.aws.kinesis(parts.settings.stream.region, CONTROL), parts.around.clock)
    stream = await control.describe(parts.around.log.name)
    for what, on_ms in (
        ("its stream was on for sure", _label_ms(table) + SWITCHING_ON_MS),
        (f"the Kinesis stream {parts.around.log.name} was made", stream.created_ms if stream else 0),
    ):
        if found.export_ms < on_ms:
            raise Misconfigured(
                f"the export shows {table.name} at {text_of(found.export_ms)}, before {what} ({text_of(on_ms)}): what"
                " changed in between is in neither",
                hint="export the table again, or leave out --export",
            )
    if found.export_ms > parts.around.clock.now_ms() + CLOCK_MARGIN_MS:
        raise Misconfigured(
            f"the export shows {table.name} at {text_of(found.export_ms)}, which has not come yet",
            hint="is the clock of this machine right?",
        )
    kept_ms = min(SURELY_KEPT_MS, await parts.around.log.kept_ms()) - CLOCK_MARGIN_MS
    if parts.around.clock.now_ms() - found.export_ms > kept_ms:
        raise Misconfigured(
            f"the export shows {table.name} at {text_of(found.export_ms)}, longer ago than the streams surely tell what"
            f" has changed since ({kept_ms // 3_600_000} h)",
            hint="export the table again, or leave out --export",
        )


def _label_ms(table: TableDescription) -> int:
    try:
        label = dt.datetime.fromisoformat(table.stream_label)
    except ValueError:
        raise Misconfigured(
            f"the label of the stream of table {table.name} is no time, so that nobody knows since when it is on",
            hint="leave out --export",
        ) from None
    return round((label if label.tzinfo else label.replace(tzinfo=dt.UTC)).timestamp() * 1000)
