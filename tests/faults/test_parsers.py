"""Bytes that nobody wrote as they are: each is read, or refused as damaged, in bounded memory, and breaks no parser."""

import asyncio
import gzip
import tracemalloc
from contextlib import suppress
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.change import Change
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.ports import LogRecord
from pipeline.wire import chain, compact
from pipeline.wire.checkpoint import from_fields
from pipeline.wire.record import Record, decode
from pipeline.wire.source import SourceShard
from tests.faults.items import changes, fuzzed

SHARD = SourceShard("orders", "2026-01-01T00:00:00.000", "shardId-1", "id")
MEMORY_BYTES_MAX = 80 << 20
"""More than one record may expand to, with what it is parsed into; less than a bomb would take."""


def attempt(data: bytes, partition_key: str = "fanout1|0|e|s") -> Record | None:
    """Decode a record; None when it was refused as it should be."""
    try:
        return asyncio.run(decode(LogRecord(1, data, partition_key, 0), None))
    except (Corrupt, Misconfigured):
        return None


@pytest.mark.fault("T5", "K10")
@fuzzed
@given(
    data=st.binary(max_size=300), prefix=st.sampled_from([b"", b"FAN\x01", b"FAN\x02", b"FAN\x01\x00\x00\x00\x02{}"])
)
def test_any_bytes_are_a_record_or_refused(data: bytes, prefix: bytes) -> None:
    """No bytes make the decoder raise what it does not raise on purpose."""
    attempt(prefix + data)
    attempt(prefix + data, data[:20].decode("latin-1"))


@pytest.mark.fault("T5", "K10")
@fuzzed
@given(run=changes(), at=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_record_is_refused_or_another_record(run: list[Change], at: int, bit: int, cut: bool) -> None:
    """A record that lost its end, or has a wrong bit, is refused, or decoded into what its header names."""
    part = [change for change in run if change.shard == run[0].shard]
    whole = compact.encode_record(part, 0, compact.encode_frame(part))
    at %= len(whole)
    broken = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    found = attempt(broken)
    assert found is None or len(found.changes) == len(part)


def bombs() -> dict[str, bytes]:
    """Return records that would take far more than they are."""
    zeros = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    header = orjson.dumps({"table": "t", "epoch": "e", "shard": "s", "lane": 0, "count": 1, "first": "1", "last": "1"})
    deep = b"[" * 200_000 + b"]" * 200_000
    huge = b"9" * 1_000_000

    def record(frame: bytes, head: bytes = header) -> bytes:
        return b"FAN\x01" + len(head).to_bytes(4) + head + frame

    line = b'{"q":"1","c":"I","k":{"id":{"S":"a"}},"n":%b}'
    pack = zstandard.ZstdCompressor().compress
    return {
        "a gigabyte in a frame": record(zeros),
        "a frame that hides its size": record(
            zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 27))
        ),
        "a deep image": record(pack(line % deep)),
        "a deep header": record(b"", deep),
        "a huge sequence": record(pack(b'{"q":"%b","c":"I","k":{}}' % huge)),
        "a huge sequence in the header": record(
            pack(line % b"{}"), header.replace(b'"last":"1"', b'"last":"%b"' % huge)
        ),
        "invalid UTF-8": record(pack(b'{"q":"1","c":"I","k":{"id":{"S":"\xff\xfe"}}}')),
        "an open record, deep": deep,
        "an open record with a huge sequence": (
            b'{"eventName":"INSERT","tableName":"t","dynamodb":{"Keys":{},"SequenceNumber":"%b"}}' % huge
        ),
        "no line at all": record(pack(b"")),
    }


@pytest.mark.fault("T5", "K10")
@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_in_bounded_memory(name: str) -> None:
    """Bombs, depth and huge numbers are refused, or carried as opaque bytes, without taking what they ask for."""
    data = bombs()[name]
    tracemalloc.start()
    try:
        attempt(data)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES_MAX
    finally:
        tracemalloc.stop()


@pytest.mark.fault("T5")
@pytest.mark.parametrize(
    "body",
    [
        b'{"Records":' + b"[" * 100_000,
        b'{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"\xff"}},"SequenceNumber":"1","NewImage":{}}}]}',
        b'{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"N":"1E999999999"}},"SequenceNumber":"1"}}]}',
        b'{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}},"SequenceNumber":"%b","NewImage":{}}}]}'
        % (b"9" * 100_000),
    ],
    ids=["deep", "UTF-8", "exponent", "digits"],
)
def test_a_page_that_is_not_dynamodbs_is_refused(body: bytes) -> None:
    """Depth, bytes that are no text and numbers without end stop the shard; the parser does not break."""
    with pytest.raises(Corrupt):
        SHARD.page(body)


@pytest.mark.fault("T5")
def test_doubled_keys_are_carried_as_they_are() -> None:
    """An image with one name twice is not ours to judge: its bytes pass."""
    image = b'{"id":{"S":"a"},"x":{"S":"1"},"x":{"S":"2"}}'
    body = (
        b'{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}},"SequenceNumber":"1","NewImage":%b}}]}'
    )
    (change,) = SHARD.page(body % image).changes
    assert change.after == image


ROW_FIELDS = st.sampled_from(["format", "sequence", "position", "delivered", "seen", "timeMs"])
ROW_VALUES = st.one_of(st.just(1), st.integers(), st.text(max_size=9), st.binary(max_size=30))


@pytest.mark.fault("T5", "E5")
@fuzzed
@given(st.dictionaries(ROW_FIELDS, ROW_VALUES))
def test_any_checkpoint_row_is_read_or_refused(fields: dict[str, Any]) -> None:
    """A row edited by hand is a checkpoint, or Corrupt."""
    with suppress(Corrupt):
        from_fields({"format": 1, **fields}, "the row")


@pytest.mark.fault("T5")
@fuzzed
@given(data=st.binary(max_size=200), packed=st.sampled_from([bytes, gzip.compress, zstandard.compress]))
def test_any_bytes_are_a_block_or_refused(data: bytes, packed: Any) -> None:
    """The reader of the audit log says Corrupt to what is no object of it."""
    with pytest.raises(Corrupt):
        chain.decode("name", packed(data))
