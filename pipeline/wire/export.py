"""A full export in DynamoDB's own layout: `{"Item":…}` lines in gzip files, listed by two manifests.

The layout is that of the developer guide, "DynamoDB table export output format", version 2020-06-30. Its checksum files
are called `.checksum` there; the service itself writes `.md5`, and so does this.
"""

import base64
import datetime as dt
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

VERSION = "2020-06-30"
ROOT = "AWSDynamoDB"
PARQUET_ROOT = "parquet"
STARTED = "_started"
SUMMARY = "manifest-summary.json"
FILES = "manifest-files.json"
CHECKSUM = ".md5"
DATA = "data/"
DYNAMODB_JSON = "DYNAMODB_JSON"
PARQUET = "PARQUET"
"""No format of the service's: its manifests, over files of ours."""
LACKS = "fanoutLacks"
GZIP = 31
"""zlib's number for gzip with the largest window. The header has no time: equal lines give equal bytes."""

_LINE_ENDS = {text.encode(): b"\\u%04x" % ord(text) for text in ("\u0085", "\u2028", "\u2029")}
"""What some readers take for the end of a line, though JSON allows it inside a text: it is escaped."""


class DataFile(NamedTuple):
    """One finished file of items."""

    name: str
    """Below the export's folder."""
    data: bytes
    items: int


class Files(Protocol):
    """What cuts items into files."""

    def add(self, image: bytes) -> DataFile | None:
        """Take in an item in DynamoDB JSON; return the file that is full with it."""

    def end(self) -> DataFile | None:
        """Return the last file; an export without items has one empty file."""


class DataFiles:
    """Cuts items into files: one is full when its lines have so many bytes. Memory is one compressed file."""

    def __init__(self, lines_bytes_max: int) -> None:
        self._lines_bytes_max = lines_bytes_max
        self._number = 0
        self._open()

    def add(self, image: bytes) -> DataFile | None:
        """Take in an item in DynamoDB JSON; return the file that is full with it."""
        line = b'{"Item":%b}\n' % on_one_line(image)
        self._parts.append(self._packer.compress(line))
        self._items += 1
        self._bytes += len(line)
        return self._close() if self._bytes >= self._lines_bytes_max else None

    def end(self) -> DataFile | None:
        """Return the last file; an export without items has one empty file."""
        return self._close() if self._items or not self._number else None

    def _open(self) -> None:
        self._packer = zlib.compressobj(6, zlib.DEFLATED, GZIP)
        self._parts: list[bytes] = []
        self._items = self._bytes = 0

    def _close(self) -> DataFile:
        data, items = b"".join([*self._parts, self._packer.flush()]), self._items
        self._number += 1
        self._open()
        return DataFile(f"{DATA}{self._number:06d}-{digest_of(data)[:16]}.json.gz", data, items)


class Listed(NamedTuple):
    """What the manifest of files says of one."""

    name: str
    items: int
    md5: bytes


@dataclass(frozen=True, slots=True)
class About:
    """What the summary says beside the counts."""

    table_arn: str
    table_id: str
    bucket: str
    """Empty for a folder."""
    prefix: str
    """Without slashes at its ends."""
    export_id: str
    export_ms: int
    start_ms: int
    output_format: str = DYNAMODB_JSON

    @property
    def root(self) -> str:
        """Return the folder that is all exports' of this format."""
        return ROOT if self.output_format == DYNAMODB_JSON else PARQUET_ROOT

    @property
    def folder(self) -> str:
        """Return the key of the export's folder, with the slash at its end."""
        return f"{self.prefix}/{self.root}/{self.export_id}/".lstrip("/")


def digest_of(data: bytes) -> str:
    """Return what names a data file, so that equal names are equal bytes."""
    return _md5(data).hex()


def export_id(end_ms: int, *named: str) -> str:
    """Return the name of an export, in the service's form: the same state of the same table has the same name."""
    digest = hashlib.sha256("\0".join(named).encode()).hexdigest()[:8]
    return f"{end_ms:014d}-{digest}"


def on_one_line(image: bytes) -> bytes:
    """Return DynamoDB JSON that means the same and is one line for whoever reads it."""
    for text, escaped in _LINE_ENDS.items():
        image = image.replace(text, escaped)
    return image


def listed(file: DataFile) -> Listed:
    """Return a file as the manifest lists it."""
    return Listed(file.name, file.items, _md5(file.data))


def files_manifest(about: About, files: Iterable[Listed]) -> bytes:
    """Return manifest-files.json. `etag` is what S3 gives an object stored in one part and without a KMS key."""
    return b"".join(
        orjson.dumps(
            {
                "itemCount": each.items,
                "md5Checksum": base64.b64encode(each.md5).decode(),
                "etag": each.md5.hex(),
                "dataFileS3Key": about.folder + each.name,
            }
        )
        + b"\n"
        for each in files
    )


def summary_manifest(about: About, items: int, end_ms: int, lacks: Sequence[str] = ()) -> bytes:
    """Return manifest-summary.json. Where items lack something of the table, LACKS says so: a field of ours."""
    summary: dict[str, Any] = {
        "version": VERSION,
        "exportArn": f"{about.table_arn}/export/{about.export_id}",
        "startTime": _iso(about.start_ms),
        "endTime": _iso(end_ms),
        "tableArn": about.table_arn,
        "tableId": about.table_id,
        "exportTime": _iso(about.export_ms),
        "s3Bucket": about.bucket,
        "s3Prefix": about.prefix or None,
        "s3SseAlgorithm": None,
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": about.folder + FILES,
        "billedSizeBytes": 0,
        "itemCount": items,
        "outputFormat": about.output_format,
    }
    return orjson.dumps({**summary, LACKS: lacks} if lacks else summary)


def checksum(data: bytes) -> bytes:
    """Return what a checksum file holds."""
    return base64.b64encode(_md5(data))


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _iso(time_ms: int) -> str:
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
