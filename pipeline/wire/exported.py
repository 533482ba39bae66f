"""Reading a full export of a table: what its manifests say, and the items of its lines.

The layout is that of the developer guide, "DynamoDB table export output format", version 2020-06-30.
"""

import base64
import binascii
import datetime as dt
from typing import NamedTuple

import msgspec

from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.wire.export import DYNAMODB_JSON, FILES, LACKS, SUMMARY, VERSION

FULL = "FULL_EXPORT"
_AGAIN = "export the table again, in full, as DynamoDB JSON"


class Exported(NamedTuple):
    """What the summary says."""

    table: str
    table_id: str
    export_ms: int
    """The moment the items are of."""
    items: int
    files_key: str


class ExportFile(NamedTuple):
    """One data file, as the manifest lists it."""

    key: str
    items: int
    md5: bytes


class _Summary(msgspec.Struct, rename="camel"):
    version: str
    table_arn: str
    item_count: int
    manifest_files_key: str = msgspec.field(name="manifestFilesS3Key")
    export_time: str = ""
    output_format: str = DYNAMODB_JSON
    table_id: str = ""
    export_type: str = FULL
    lacks: list[str] = msgspec.field(name=LACKS, default_factory=list)


class _File(msgspec.Struct, rename="camel"):
    item_count: int
    md5: str = msgspec.field(name="md5Checksum")
    key: str = msgspec.field(name="dataFileS3Key")


class _Line(msgspec.Struct):
    item: msgspec.Raw = msgspec.field(name="Item")


_summary = msgspec.json.Decoder(_Summary)
_file = msgspec.json.Decoder(_File)
_line = msgspec.json.Decoder(_Line)


def read_summary(data: bytes) -> Exported:
    """Return what manifest-summary.json says. Raises Corrupt, and Misconfigured for one that is not full."""
    try:
        found = _summary.decode(data)
        if found.version != VERSION or found.output_format != DYNAMODB_JSON or found.export_type != FULL:
            kind = f"version {found.version}, {found.output_format}, {found.export_type}"
            raise Misconfigured(f"the export is of {kind}, not {VERSION}, {DYNAMODB_JSON}, {FULL}", hint=_AGAIN)
        moment = dt.datetime.fromisoformat(found.export_time)
    except (msgspec.DecodeError, ValueError) as error:
        raise Corrupt(f"{SUMMARY} of the export is not what was written", hint=_AGAIN) from error
    if moment.tzinfo is None:
        raise Corrupt(f"{SUMMARY} of the export has a time without a zone", hint=_AGAIN)
    if found.lacks:
        raise Misconfigured(
            f"the export was made by `fanout export` of an archive, and lacks {', '.join(found.lacks)}",
            hint="take an export that DynamoDB makes of the table",
        )
    table = found.table_arn.rpartition("/")[2]
    return Exported(table, found.table_id, round(moment.timestamp() * 1000), found.item_count, found.manifest_files_key)


def read_files(data: bytes) -> list[ExportFile]:
    """Return what manifest-files.json lists. Raises Corrupt."""
    try:
        files = [_file.decode(line) for line in data.splitlines() if line.strip()]
        return [ExportFile(each.key, each.item_count, base64.b64decode(each.md5, validate=True)) for each in files]
    except (msgspec.DecodeError, binascii.Error) as error:
        raise Corrupt(f"{FILES} of the export is not what was written", hint=_AGAIN) from error


def item_of(line: bytes) -> bytes:
    """Return the item of a line, as its bytes. Raises DecodeError."""
    return bytes(_line.decode(line).item)
