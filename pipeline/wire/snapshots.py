"""What a checkpoint keeps of readers, as a field of its state row; a row without the field knows of none."""

from collections.abc import Mapping

import msgspec
import zstandard

from pipeline.model.errors import Corrupt
from pipeline.model.snapshot import NONE, Arrived, Snapshots, Window
from pipeline.ports import FieldValue

FIELD = "snapshots"
BYTES_MAX = 16 * 1024 * 1024


class _Stored(msgspec.Struct, array_like=True):
    windows: list[tuple[str, int, int, list[bytes], bool]]
    """Source, lane, chunk, digests, refused."""
    arrived: list[tuple[str, int, int, bytes, list[int]]]
    """Source, rows, passed, lanes as big-endian bits, refused chunks."""


_decoder = msgspec.msgpack.Decoder(_Stored)
_compressor = zstandard.ZstdCompressor(level=3, write_content_size=True)


def to_fields(known: Snapshots) -> dict[str, FieldValue]:
    """Return the field, or nothing when there is nothing to keep."""
    if known == NONE:
        return {}
    windows = [(source, lane, w.chunk, sorted(w.touched), w.refused) for (source, lane), w in known.windows.items()]
    arrived = [
        (source, each.rows, each.passed, each.lanes.to_bytes((each.lanes.bit_length() + 7) // 8), list(each.refused))
        for source, each in known.arrived.items()
    ]
    return {FIELD: _compressor.compress(msgspec.msgpack.encode(_Stored(windows, arrived)))}


def from_fields(fields: Mapping[str, FieldValue], where: str) -> Snapshots:
    """Return what the field holds. Raises Corrupt, naming `where`, when it cannot be decoded."""
    value = fields.get(FIELD)
    if value is None:
        return NONE
    try:
        assert isinstance(value, bytes)
        stored = _decoder.decode(zstandard.decompress(value, max_output_size=BYTES_MAX))
    except (AssertionError, zstandard.ZstdError, msgspec.DecodeError) as error:
        msg = f"the checkpoint {where} does not tell what it knows of rows read from a table"
        raise Corrupt(msg, hint="was the row edited by hand?") from error
    windows = {(s, lane): Window(chunk, frozenset(t), refused) for s, lane, chunk, t, refused in stored.windows}
    arrived = {s: Arrived(n, p, int.from_bytes(bits), tuple(r)) for s, n, p, bits, r in stored.arrived}
    return Snapshots(windows, arrived)
