"""Parquet files: read by another library, row by row what was given."""

import io
import json
import sys

import pyarrow.parquet
import pytest

from pipeline.model.errors import Misconfigured
from pipeline.tabular.parquet import ParquetFiles
from pipeline.wire.export import DataFile

KEYS = {"pk": "B", "sk": "N"}
IMAGES = [
    json.dumps({"pk": {"B": "AQI="}, "sk": {"N": f"{number}.5"}, "text": {"S": "ü" * 30}}).encode()
    for number in range(10)
]


def files_of(images: list[bytes], bytes_max: int) -> list[DataFile]:
    """Return the files that items are cut into."""
    files = ParquetFiles(KEYS, bytes_max)
    return [file for file in (*(files.add(image) for image in images), files.end()) if file is not None]


def test_rows_are_the_items() -> None:
    """Several files have all items in order: the key's attributes with their digits and bytes, and the whole item."""
    made = files_of(IMAGES, 1_000)
    tables = [pyarrow.parquet.read_table(io.BytesIO(file.data)) for file in made]
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["item"].encode() for row in rows] == IMAGES
    assert [(row["pk"], row["sk"]) for row in rows] == [(b"\x01\x02", f"{number}.5") for number in range(10)]
    assert [file.items for file in made] == [table.num_rows for table in tables]
    assert len(made) > 1


def test_no_items_are_one_empty_file() -> None:
    """Its columns are those of any other."""
    (made,) = files_of([], 1_000)
    table = pyarrow.parquet.read_table(io.BytesIO(made.data))
    assert (table.num_rows, table.column_names) == (0, ["pk", "sk", "item"])


def test_equal_items_give_equal_files() -> None:
    """A second run finds its own files by name."""
    assert files_of(IMAGES, 1_000) == files_of(IMAGES, 1_000)


def test_without_the_extra_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not installed PyArrow learns how."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Misconfigured, match="needs PyArrow") as caught:
        ParquetFiles(KEYS, 1)
    assert "fanout[parquet]" in caught.value.hint
