"""The compact wire: one Kinesis record carries one lane's run of changes.

Version 1: the four bytes `FAN` 0x01, the header's length as four bytes (big endian), the header as JSON, then one zstd
frame of JSON lines (`ChangeLine`). The header says whose changes these are and which sequences they span, so that a
repeat is recognised without decompressing. A claimed record carries no frame: its header names the object of it.
"""

import hashlib
from collections.abc import Sequence

import msgspec
import zstandard

from pipeline.model.change import Change
from pipeline.model.errors import Corrupt
from pipeline.wire.json import LINE_DECODER, UNREADABLE, change_from_line, change_to_json

MAGIC = b"FAN"
VERSION = 1
_PREFIX_BYTES = 8
"""Magic, version, header length."""
EXPANDED_BYTES_MAX = 64 * 1024 * 1024
"""A frame that says it holds more is refused before anything is allocated."""

_NEWER = "written by a newer version? Upgrade the workers before the capture."


class Claim(msgspec.Struct, frozen=True, gc=False):
    """Where the frame of a record lies that was too large for the stream."""

    name: str
    sha256: str


class Header(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Whose changes a record carries."""

    table: str
    epoch: str
    shard: str
    lane: int
    count: int
    first: str
    last: str
    claim: Claim | None = None


_header = msgspec.json.Decoder(Header)
_compressor = zstandard.ZstdCompressor(level=1, write_content_size=True)


def encode_frame(run: Sequence[Change]) -> bytes:
    """Return the zstd frame of a run of changes."""
    return _compressor.compress(b"\n".join(change_to_json(change) for change in run))


def encode_record(run: Sequence[Change], lane: int, frame: bytes, claim_name: str = "") -> bytes:
    """Return the record of a run that `frame` holds; with `claim_name`, the record that points to it instead."""
    head = run[0]
    claim = Claim(claim_name, hashlib.sha256(frame).hexdigest()) if claim_name else None
    header = msgspec.json.encode(
        Header(head.table, head.epoch, head.shard, lane, len(run), str(head.sequence), str(run[-1].sequence), claim)
    )
    return b"".join((MAGIC, bytes([VERSION]), len(header).to_bytes(4), header, b"" if claim else frame))


def is_compact(data: bytes) -> bool:
    """Return True for a record of this wire, of any version."""
    return data.startswith(MAGIC)


def decode_header(data: bytes) -> tuple[Header, bytes]:
    """Return a record's header and its frame (empty when claimed). Raises Corrupt."""
    if len(data) < _PREFIX_BYTES or not is_compact(data):
        msg = "a record is cut short"
        raise Corrupt(msg, hint="look at the stream's other producers: only fanout may write to it")
    if data[3] != VERSION:
        msg = f"a record has wire version {data[3]}, this worker reads {VERSION}"
        raise Corrupt(msg, hint=_NEWER)
    end = _PREFIX_BYTES + int.from_bytes(data[4:8])
    try:
        return _header.decode(data[_PREFIX_BYTES:end]), data[end:]
    except UNREADABLE as error:
        msg = "a record's header cannot be read"
        raise Corrupt(msg, hint=_NEWER) from error


def decode_frame(header: Header, frame: bytes) -> tuple[Change, ...]:
    """Return the changes of a frame. Raises Corrupt when it is damaged, too large or not what the header says."""
    where = f"record of table {header.table}, shard {header.shard}, from sequence {header.first}"
    try:
        if zstandard.frame_content_size(frame) > EXPANDED_BYTES_MAX:
            msg = f"the {where} expands to more than {EXPANDED_BYTES_MAX} bytes"
            raise Corrupt(msg)
        lines = LINE_DECODER.decode_lines(zstandard.decompress(frame, max_output_size=EXPANDED_BYTES_MAX))
    except (zstandard.ZstdError, *UNREADABLE) as error:
        msg = f"the {where} cannot be decoded"
        raise Corrupt(msg, hint="nothing was skipped; the shard waits before this record") from error
    changes = tuple(change_from_line(line, header.table, header.epoch, header.shard) for line in lines)
    if len(changes) != header.count or str(changes[-1].sequence) != header.last:
        msg = f"the {where} does not hold the changes its header names"
        raise Corrupt(msg)
    return changes


def expanded_bytes(frame: bytes) -> int:
    """Return what a frame holds once expanded: the measure of memory."""
    return int(zstandard.frame_content_size(frame))


def check_claim(claim: Claim, frame: bytes | None) -> bytes:
    """Return a claimed frame once its digest is right. Raises Corrupt when it is missing or changed."""
    if frame is None or hashlib.sha256(frame).hexdigest() != claim.sha256:
        state = "missing" if frame is None else "not what was stored"
        msg = f"the claimed object {claim.name} is {state}"
        raise Corrupt(
            msg, hint="claimed objects must outlive the stream's retention; check the bucket's lifecycle rules"
        )
    return frame
