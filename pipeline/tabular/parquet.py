"""Items as Parquet files: the attributes of the key, and the whole item as JSON text."""

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.model.errors import Misconfigured
from pipeline.tabular.columns import Columns
from pipeline.wire.export import DATA, DataFile, digest_of

ROWS_A_GROUP = 10_000
"""Rows that are gathered before they are compressed: with the finished part of one file, what memory holds."""


class ParquetFiles:
    """Cuts items into Parquet files, as `pipeline.wire.export.DataFiles` cuts lines.

    Columns: each attribute of the key, text for S and, with all its digits, for N, bytes for B; then `item`, the item
    in DynamoDB JSON. Raises Misconfigured when the extra is not installed.
    """

    def __init__(self, keys: Mapping[str, str], bytes_max: int) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415  # an extra: most installations do without
            from pyarrow import parquet  # noqa: PLC0415  # an extra: most installations do without
        except ImportError as error:
            raise Misconfigured("--format parquet needs PyArrow", hint="pip install 'fanout[parquet]'") from error
        self._arrow: Any = pa
        self._parquet: Any = parquet
        self._keys = dict(keys)
        self._bytes_max = bytes_max
        self._number = 0
        types = {name: pa.binary() if kind == "B" else pa.string() for name, kind in keys.items()}
        self._schema = pa.schema([*types.items(), (Columns(keys).item, pa.string())])
        self._open()

    def add(self, image: bytes) -> DataFile | None:
        """Take in an item in DynamoDB JSON; return the file that is full with it."""
        item = orjson.loads(image)
        row = [
            base64.b64decode(item[name][kind]) if kind == "B" else item[name][kind] for name, kind in self._keys.items()
        ]
        self._rows.append((*row, image.decode()))
        self._bytes += len(image)
        if len(self._rows) == ROWS_A_GROUP or self._bytes >= self._bytes_max:
            self._pack()
        return self._close() if self._bytes >= self._bytes_max else None

    def end(self) -> DataFile | None:
        """Return the last file; an export without items has one empty file."""
        return self._close() if self._items or self._rows or not self._number else None

    def _open(self) -> None:
        self._out = self._arrow.BufferOutputStream()
        self._writer = self._parquet.ParquetWriter(self._out, self._schema, compression="zstd")
        self._rows: list[tuple[Any, ...]] = []
        self._items = self._bytes = 0

    def _pack(self) -> None:
        columns = zip(*self._rows, strict=True)
        arrays = [self._arrow.array(column, each.type) for column, each in zip(columns, self._schema, strict=True)]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._items += len(self._rows)
        self._rows = []

    def _close(self) -> DataFile:
        if self._rows:
            self._pack()
        self._writer.close()
        data, items = self._out.getvalue().to_pybytes(), self._items
        self._number += 1
        self._open()
        return DataFile(f"{DATA}{self._number:06d}-{digest_of(data)[:16]}.parquet", data, items)
