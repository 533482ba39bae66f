"""TableReader on a full export in S3: rows as they were at its moment, no read capacity used."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline.aws.errors import translated
from pipeline.aws.rows import row_of
from pipeline.aws.session import READ, Aws
from pipeline.model.errors import Corrupt
from pipeline.ports import RowPage
from pipeline.wire.exported import ExportFile, item_of

CHUNK_BYTES = 1 << 20
LINE_BYTES_MAX = 4 << 20
"""More than the JSON of an item of 400 KB ever is."""
PAGE_BYTES_MAX = 1 << 20
_AGAIN = "restore the object, or export the table again"


class _Place(NamedTuple):
    """Where a segment stands: a number of its files, and lines read of that one."""

    file: int = 0
    line: int = 0

    @classmethod
    def read(cls, start: bytes | None) -> _Place:
        return cls(*map(int, start.split(b":"))) if start else cls()

    def spelt(self) -> bytes:
        return b"%d:%d" % self


class _Opened(NamedTuple):
    place: _Place
    lines: gzip.GzipFile


class ExportReader:
    """The rows of one table; a segment is each n-th file. Files are fetched into a folder, one a segment at a time."""

    def __init__(
        self,
        aws: Aws,
        region: str,
        bucket: str,
        files: Sequence[ExportFile],
        table: str,
        key_names: Sequence[str],
        folder: Path,
    ) -> None:
        self.table = table
        self._reads = aws.s3(region, READ)
        self._bucket = bucket
        self._files = files
        self._key_names = tuple(key_names)
        self._folder = folder
        self._opened: dict[int, _Opened] = {}

    async def page(self, segment: int, segments: int, start: bytes | None, rows_max: int) -> RowPage:
        """Read the next lines. Raises Corrupt, naming the object, for a file that is not what the manifest lists."""
        files = self._files[segment::segments]
        with translated("s3:GetObject", f"bucket {self._bucket}"):
            return await self._reads.run(self._page, segment, files, _Place.read(start), rows_max)

    async def about(self) -> int:
        """Return how many items there are."""
        return sum(file.items for file in self._files)

    def _page(self, segment: int, files: Sequence[ExportFile], place: _Place, rows_max: int) -> RowPage:
        rows: list[tuple[bytes, bytes | None]] = []
        size_bytes = 0
        while place.file < len(files) and len(rows) < rows_max and size_bytes < PAGE_BYTES_MAX:
            file, lines = files[place.file], self._at(segment, files, place)
            line = _read_line(file, lines)
            if line:
                rows.append(_row(file, line, self._key_names))
                size_bytes += len(line)
                place = _Place(place.file, place.line + 1)
                self._opened[segment] = _Opened(place, lines)
            else:
                self._close(segment, file, lines, place.line)
                place = _Place(place.file + 1)
        return RowPage(tuple(rows), place.spelt() if place.file < len(files) else None, 0.0)

    def _at(self, segment: int, files: Sequence[ExportFile], place: _Place) -> gzip.GzipFile:
        """Return the lines of a file from a place on; it is fetched unless the segment stands there."""
        opened = self._opened.pop(segment, None)
        if opened is not None and opened.place == place:
            return opened.lines
        if opened is not None:
            opened.lines.close()
        file = files[place.file]
        lines = gzip.GzipFile(self._fetched(segment, file))
        for _ in range(place.line):
            _read_line(file, lines)
        return lines

    def _fetched(self, segment: int, file: ExportFile) -> Path:
        path, digest = self._folder / f"segment-{segment}.json.gz", hashlib.md5(usedforsecurity=False)
        with path.open("wb") as stored:
            for chunk in _chunks(self._reads.client, self._bucket, file.key):
                digest.update(chunk)
                stored.write(chunk)
        if digest.digest() != file.md5:
            raise Corrupt(f"object {file.key} of bucket {self._bucket} does not fit its MD5", hint=_AGAIN)
        return path

    def _close(self, segment: int, file: ExportFile, lines: gzip.GzipFile, count: int) -> None:
        lines.close()
        (self._folder / f"segment-{segment}.json.gz").unlink()
        if count != file.items:
            raise Corrupt(f"object {file.key} has {count} items, the manifest says {file.items}", hint=_AGAIN)


def _chunks(client: Any, bucket: str, key: str) -> Any:
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK_BYTES)
    except client.exceptions.NoSuchKey:
        raise Corrupt(f"object {key} of bucket {bucket} is missing", hint=_AGAIN) from None


def _read_line(file: ExportFile, lines: gzip.GzipFile) -> bytes:
    try:
        line = lines.readline(LINE_BYTES_MAX)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Corrupt(f"object {file.key} is damaged", hint=_AGAIN) from error
    if len(line) == LINE_BYTES_MAX:
        raise Corrupt(f"object {file.key} has a line that is no item's", hint=_AGAIN)
    return line


def _row(file: ExportFile, line: bytes, key_names: Sequence[str]) -> tuple[bytes, bytes]:
    try:
        return row_of(item_of(line), key_names)
    except (msgspec.DecodeError, KeyError, Corrupt) as error:
        raise Corrupt(f"object {file.key} has a line that is no item of the table", hint=_AGAIN) from error
