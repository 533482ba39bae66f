"""Checkpoints as fields of a state row, versions 1 to 3; 2 has keys in quarantine, 3 lies behind a gap of Kinesis.

A checkpoint that has neither is written as version 1, so that an older worker can go on from it; one that has must not
be read by a worker that would write the parked changes, or number those behind the gap like others before it.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
import zstandard

from pipeline.model.errors import Corrupt
from pipeline.model.progress import Checkpoint, ParkedKey, Why
from pipeline.ports import FieldValue
from pipeline.wire import snapshots

VERSION = 3
_WITH_PARKED = 2
_PLAIN = 1
SEEN_BYTES_MAX = 16 * 1024 * 1024
PARKED_BYTES_MAX = 1024 * 1024
_SHARD_END = "SHARD_END"
_TRIM_HORIZON = "TRIM_HORIZON"

_SeenTable = dict[str, dict[int, tuple[str, int]]]
_ParkedRow = tuple[str, str, str, int, Why, int, str, str]
"""First epoch and sequence, hash key, creation time, why, count, last epoch and sequence; large numbers as text."""
_seen = msgspec.msgpack.Decoder(_SeenTable)
_parked = msgspec.msgpack.Decoder(dict[str, _ParkedRow])
_compressor = zstandard.ZstdCompressor(level=3, write_content_size=True)
T = TypeVar("T")


def to_fields(checkpoint: Checkpoint) -> dict[str, FieldValue]:
    """Return a checkpoint as row fields; `checkpoint` is spelled as KCL does: digits, TRIM_HORIZON or SHARD_END."""
    seen: _SeenTable = {}
    for (shard, lane), (sequence, arrival_ms) in sorted(checkpoint.seen.items()):
        seen.setdefault(shard, {})[lane] = (str(sequence), arrival_ms)
    sequence_text = _TRIM_HORIZON if checkpoint.sequence is None else str(checkpoint.sequence)
    fields: dict[str, FieldValue] = {
        "format": VERSION if checkpoint.part else _WITH_PARKED if checkpoint.parked else _PLAIN,
        "checkpoint": _SHARD_END if checkpoint.ended else sequence_text,
        "sequence": sequence_text,
        "position": checkpoint.position,
        "delivered": checkpoint.delivered,
        "timeMs": checkpoint.time_ms,
        "throughMs": checkpoint.through_ms,
        "seen": _compressor.compress(msgspec.msgpack.encode(seen)),
        **snapshots.to_fields(checkpoint.snapshots),
    }
    if checkpoint.part:
        fields["part"] = checkpoint.part
    if checkpoint.parked:
        rows = {digest: _row(key) for digest, key in sorted(checkpoint.parked.items())}
        fields["parked"] = _compressor.compress(msgspec.msgpack.encode(rows))
    return fields


def from_fields(fields: Mapping[str, FieldValue], where: str) -> Checkpoint:
    """Return the checkpoint of a row. Raises Corrupt, naming `where`, when it cannot be read by this version."""
    version = fields.get("format")
    if version not in (_PLAIN, _WITH_PARKED, VERSION):
        msg = f"the checkpoint {where} has format {version!r}, this version reads up to {VERSION}"
        raise Corrupt(msg, hint="it was written by another version: upgrade, or start from a clean state table")
    sequence, seen, parked = fields.get("sequence"), fields.get("seen"), fields.get("parked", b"")
    part = fields.get("part", 0)
    position, delivered = fields.get("position"), fields.get("delivered")
    if not (
        isinstance(sequence, str)
        and isinstance(seen, bytes)
        and isinstance(position, int)
        and isinstance(delivered, int)
        and isinstance(parked, bytes)
        and isinstance(part, int)
        and (parked or version != _WITH_PARKED)
        and (part > 0) is (version == VERSION)
    ):
        msg = f"the checkpoint {where} lacks a field"
        raise Corrupt(msg, hint="was the row edited by hand?")
    try:
        table = _unpacked(seen, _seen, SEEN_BYTES_MAX)
        number = None if sequence == _TRIM_HORIZON else int(sequence)
        flat = {(s, lane): (int(q), ms) for s, lanes in table.items() for lane, (q, ms) in lanes.items()}
        rows = _unpacked(parked, _parked, PARKED_BYTES_MAX) if parked else {}
        keys = {digest: _parked_key(row) for digest, row in rows.items()}
    except (zstandard.ZstdError, msgspec.DecodeError, ValueError) as error:
        msg = f"the checkpoint {where} cannot be decoded"
        raise Corrupt(msg, hint="was the row edited by hand?") from error
    ended = fields.get("checkpoint") == _SHARD_END
    known = snapshots.from_fields(fields, where)
    arrived_ms = max((ms for _, ms in flat.values()), default=0)  # rows of earlier versions say no more
    time_ms, through_ms = _number(fields, "timeMs", 0), _number(fields, "throughMs", arrived_ms)
    return Checkpoint(number, position, delivered, flat, ended, time_ms, keys, known, through_ms, part)


def _number(fields: Mapping[str, FieldValue], name: str, default: int) -> int:
    value = fields.get(name, default)
    assert isinstance(value, int)
    return value


def _unpacked(data: bytes, decoder: msgspec.msgpack.Decoder[T], bytes_max: int) -> T:
    return decoder.decode(zstandard.decompress(data, max_output_size=bytes_max))


def _row(key: ParkedKey) -> _ParkedRow:
    epoch, sequence = key.last
    return (key.epoch, str(key.sequence), str(key.hash_key), key.time_ms, key.why, key.count, epoch, str(sequence))


def _parked_key(row: _ParkedRow) -> ParkedKey:
    epoch, sequence, hash_key, time_ms, why, count, last_epoch, last = row
    return ParkedKey(epoch, int(sequence), int(hash_key), time_ms, why, count, (last_epoch, int(last)))
