"""Checkpoints as fields of a state row, version 1."""

from collections.abc import Mapping

import msgspec
import zstandard

from pipeline.model.errors import Corrupt
from pipeline.model.progress import Checkpoint
from pipeline.ports import FieldValue

VERSION = 1
SEEN_BYTES_MAX = 16 * 1024 * 1024
_SHARD_END = "SHARD_END"
_TRIM_HORIZON = "TRIM_HORIZON"

_SeenTable = dict[str, dict[int, tuple[str, int]]]
_decoder = msgspec.msgpack.Decoder(_SeenTable)
_compressor = zstandard.ZstdCompressor(level=3, write_content_size=True)


def to_fields(checkpoint: Checkpoint) -> dict[str, FieldValue]:
    """Return a checkpoint as row fields; `checkpoint` is spelled as KCL does: digits, TRIM_HORIZON or SHARD_END."""
    seen: _SeenTable = {}
    for (shard, lane), (sequence, arrival_ms) in sorted(checkpoint.seen.items()):
        seen.setdefault(shard, {})[lane] = (str(sequence), arrival_ms)
    sequence_text = _TRIM_HORIZON if checkpoint.sequence is None else str(checkpoint.sequence)
    return {
        "format": VERSION,
        "checkpoint": _SHARD_END if checkpoint.ended else sequence_text,
        "sequence": sequence_text,
        "position": checkpoint.position,
        "delivered": checkpoint.delivered,
        "seen": _compressor.compress(msgspec.msgpack.encode(seen)),
    }


def from_fields(fields: Mapping[str, FieldValue], where: str) -> Checkpoint:
    """Return the checkpoint of a row. Raises Corrupt, naming `where`, when it cannot be read by this version."""
    if fields.get("format") != VERSION:
        msg = f"the checkpoint {where} has format {fields.get('format')!r}, this version reads {VERSION}"
        raise Corrupt(msg, hint="it was written by another version: upgrade, or start from a clean state table")
    sequence, seen = fields.get("sequence"), fields.get("seen")
    position, delivered = fields.get("position"), fields.get("delivered")
    if not (
        isinstance(sequence, str)
        and isinstance(seen, bytes)
        and isinstance(position, int)
        and isinstance(delivered, int)
    ):
        msg = f"the checkpoint {where} lacks a field"
        raise Corrupt(msg, hint="was the row edited by hand?")
    try:
        table = _decoder.decode(zstandard.decompress(seen, max_output_size=SEEN_BYTES_MAX))
        number = None if sequence == _TRIM_HORIZON else int(sequence)
        flat = {(s, lane): (int(q), ms) for s, lanes in table.items() for lane, (q, ms) in lanes.items()}
    except (zstandard.ZstdError, msgspec.DecodeError, ValueError) as error:
        msg = f"the checkpoint {where} cannot be decoded"
        raise Corrupt(msg, hint="was the row edited by hand?") from error
    return Checkpoint(number, position, delivered, flat, fields.get("checkpoint") == _SHARD_END)
