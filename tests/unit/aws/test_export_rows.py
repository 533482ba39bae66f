"""Rows of an export in S3: read page by page, from any line on, and told when a file is not what is listed."""

import asyncio
import gzip
import hashlib
from pathlib import Path

import pytest

from pipeline.aws import export_rows
from pipeline.aws.export_rows import ExportReader
from pipeline.aws.session import READ, Aws
from pipeline.model.errors import Corrupt
from pipeline.wire.exported import ExportFile
from tests.unit.aws.canned import Answer, Canned

ROWS = 5
LINES = b"".join(b'{"Item":{"n":{"N":"%d"},"pk":{"S":"k%d"}}}\n' % (n, n) for n in range(ROWS))
DATA = gzip.compress(LINES)


def listed(data: bytes, items: int = ROWS) -> ExportFile:
    """Return a file as its manifest lists it."""
    return ExportFile("data/a.json.gz", items, hashlib.md5(data, usedforsecurity=False).digest())


def reader_of(aws: Aws, folder: Path, files: list[ExportFile], *answers: Answer) -> tuple[ExportReader, Canned]:
    """Return a reader of files, which S3 answers with."""
    canned = Canned(aws.s3("us-east-1", READ).client, *answers)
    return ExportReader(aws, "us-east-1", "exports", files, "orders", ["pk"], folder), canned


def keys(reader: ExportReader, rows_max: int, start: bytes | None = None) -> list[list[str]]:
    """Return the keys of each page from a place on, each page by the place that the one before told."""
    pages = []
    while True:
        page = asyncio.run(reader.page(0, 1, start, rows_max))
        assert page.read_units == 0
        pages.append([keys.decode() for keys, _ in page.rows])
        start = page.next
        if start is None:
            return pages


def key(number: int) -> str:
    """Return an item's canonical key."""
    return f'{{"pk":{{"S":"k{number}"}}}}'


def test_pages_follow_each_other_over_files_and_in_a_new_process(aws: Aws, tmp_path: Path) -> None:
    """Every row comes once, in pages of the size asked for; another reader goes on in the middle of a file."""
    reader, canned = reader_of(aws, tmp_path, [listed(DATA)] * 2, (200, DATA))
    pages = keys(reader, 2)
    assert [each for page in pages for each in page] == [key(n) for n in range(ROWS)] * 2
    assert len(canned.bodies) == 2, "each file is fetched once"
    assert not list(tmp_path.iterdir())
    another, _ = reader_of(aws, tmp_path, [listed(DATA)] * 2, (200, DATA))
    assert [each for page in keys(another, 3, b"0:3") for each in page] == [key(3), key(4), *map(key, range(ROWS))]


def test_segments_share_the_files(aws: Aws, tmp_path: Path) -> None:
    """Each file belongs to one segment; one without a file is done at once."""
    reader, _ = reader_of(aws, tmp_path, [listed(DATA)] * 2, (200, DATA))
    pages = [asyncio.run(reader.page(number, 3, None, 100)) for number in range(3)]
    assert [len(page.rows) for page in pages] == [ROWS, ROWS, 0]
    assert [page.next for page in pages] == [None] * 3


@pytest.mark.parametrize(
    ("data", "told", "reason"),
    [
        (DATA, listed(DATA + b"x"), "does not fit its MD5"),
        (DATA[:-20], listed(DATA[:-20]), "is damaged"),
        (b"not gzip", listed(b"not gzip"), "is damaged"),
        (DATA, listed(DATA, ROWS + 1), f"has {ROWS} items, the manifest says {ROWS + 1}"),
        (gzip.compress(b'{"Item":{"other":{"S":"x"}}}\n'), None, "no item of the table"),
        (gzip.compress(b"[]\n"), None, "no item of the table"),
        (gzip.compress(b'{"Item":{"pk":{"L":[]}}}\n'), None, "no item of the table"),
    ],
    ids=["other bytes", "cut", "no gzip", "a count", "another item", "no item", "a key of another type"],
)
def test_a_file_that_is_not_what_is_listed_is_told(
    aws: Aws, tmp_path: Path, data: bytes, told: ExportFile | None, reason: str
) -> None:
    """Another MD5, a cut end, other bytes, fewer items, a line that is none of the table: by the object's name."""
    reader, _ = reader_of(aws, tmp_path, [told or listed(data, 1)], (200, data))
    with pytest.raises(Corrupt, match=f"object data/a.json.gz.*{reason}"):
        keys(reader, 100)


def test_a_line_without_end_is_not_read_whole(aws: Aws, tmp_path: Path) -> None:
    """A file that unpacks to a line longer than any item's is given up at that length."""
    bomb = gzip.compress(b"x" * (export_rows.LINE_BYTES_MAX + 1))
    reader, _ = reader_of(aws, tmp_path, [listed(bomb, 1)], (200, bomb))
    with pytest.raises(Corrupt, match="a line that is no item's"):
        keys(reader, 100)
