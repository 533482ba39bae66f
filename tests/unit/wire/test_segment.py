"""Segments: what is written is read, and nothing else is."""

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.change import Batch, ChangeKind
from pipeline.model.errors import Corrupt, Misconfigured, PipelineError
from pipeline.testing.changes import SHARD, STREAM, batch, history, put
from pipeline.wire import packed, segment

GOLDEN = Path(__file__).parents[2] / "golden" / "segment"
GENESIS = segment.KIND.genesis(STREAM, SHARD)
NAME = segment.KIND.name(STREAM, SHARD, 1)
CHANGES = history(["a", "b", "a", "-a", "b"])


def worst() -> Batch:
    """Return a batch with several sources, every field set, escapes, and the largest numbers."""
    plain = put("k", 1, {"t": {"S": 'é🜁"\\\n'}})
    strange = plain._replace(
        table="t-2.x", epoch="2027", shard="shardId-9", sequence=10**40 - 1, kind=ChangeKind.REMOVE, before=plain.after
    )
    strange = strange._replace(after=None, by_ttl=True, event_id='a"b\\c', time_ms=2**53)
    return Batch(STREAM, SHARD, 1, 10_000, (plain, strange, plain), (2, 9_999, 10_000))


CASES = {"zero": batch(CHANGES, 1, 5, without=range(1, 6)), "typical": batch(CHANGES, 1, 5), "worst": worst()}


@pytest.mark.parametrize("compression", packed.COMPRESSIONS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_read(case: str, compression: str) -> None:
    """A batch comes back whole: range, positions, and every field of every change."""
    given_batch = CASES[case]
    read = segment.decode(NAME, segment.encode(given_batch, GENESIS, compression)).batch
    assert list(read) == list(given_batch)
    assert (read.stream, read.shard, read.first, read.last) == (STREAM, SHARD, given_batch.first, given_batch.last)


@pytest.mark.parametrize("compression", packed.COMPRESSIONS)
def test_equal_batches_give_equal_bytes(compression: str) -> None:
    """Nothing but the batch and its predecessor decides the bytes: no time, no order of a dictionary."""
    assert len({segment.encode(CASES["typical"], GENESIS, compression) for _ in range(3)}) == 1


@pytest.mark.parametrize("case", CASES)
def test_the_format_is_the_golden_one(case: str) -> None:
    """Version 1 stays as it is, byte by byte before compression."""
    data = segment.encode(CASES[case], GENESIS)
    assert zstandard.ZstdDecompressor().decompress(data) == (GOLDEN / f"{case}-v1.jsonl").read_bytes()


@pytest.mark.fault("P9")
@pytest.mark.parametrize("suffix", packed.COMPRESSIONS)
@pytest.mark.parametrize("case", CASES)
def test_stored_segments_of_version_1_stay_readable(case: str, suffix: str) -> None:
    """Objects that were stored by the first version can be read."""
    stored = (GOLDEN / f"{case}-v1.{suffix}").read_bytes()
    assert list(segment.decode(NAME, stored).batch) == list(CASES[case])


def outcome(data: bytes) -> object:
    """Return what a stored object holds, or how its error starts."""
    try:
        return list(segment.decode(NAME, data).batch)
    except Corrupt as error:
        return error.reason.partition(":")[0]


@pytest.mark.fault("S5")
@settings(max_examples=300)
@given(st.integers(0, 10_000), st.integers(1, 255), st.sampled_from(packed.COMPRESSIONS))
def test_a_changed_byte_is_found(place: int, flip: int, compression: str) -> None:
    """No changed byte is taken for another change: decoding says Corrupt and names the object, or gives the same."""
    data = bytearray(segment.encode(CASES["worst"], GENESIS, compression))
    data[place % len(data)] ^= flip
    assert outcome(bytes(data)) in (f"object {NAME} is damaged", list(CASES["worst"]))


@pytest.mark.fault("T5")
@given(st.binary(max_size=200) | st.binary(max_size=50).map(lambda b: b"\x28\xb5\x2f\xfd" + b))
def test_any_bytes_are_refused(data: bytes) -> None:
    """Bytes that are no segment are Corrupt, never another error."""
    with pytest.raises(Corrupt, match="segments/"):
        segment.decode(NAME, data)


@pytest.mark.fault("S5")
@pytest.mark.parametrize("compression", packed.COMPRESSIONS)
def test_a_cut_or_a_longer_object_is_found(compression: str) -> None:
    """An object that lost its end, or got more bytes, is Corrupt."""
    data = segment.encode(CASES["typical"], GENESIS, compression)
    for wrong in (data[:-1], data[:10], data + b"x", data + data, b""):
        with pytest.raises(Corrupt):
            segment.decode(NAME, wrong)


def lines_of(case: str) -> list[bytes]:
    """Return the golden lines."""
    return (GOLDEN / f"{case}-v1.jsonl").read_bytes().splitlines()


@pytest.mark.fault("P9")
@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: lines[:-1],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [lines[0].replace(b'"last":5', b'"last":4'), *lines[1:]],
        lambda lines: [lines[0].replace(b'"shardId-source"', b'"other"', 1).replace(b'"sources"', b'"x"'), *lines[1:]],
        lambda lines: [lines[0].replace(b'"first":1', b'"first":0'), *lines[1:]],
        lambda lines: [lines[0], lines[1].replace(b'"s":0', b'"s":-1'), *lines[2:]],
        lambda lines: [lines[0], lines[1].replace(b'"c":"I"', b'"c":"Z"'), *lines[2:]],
        lambda lines: lines[1:],
        lambda lines: [lines[0].replace(b"fanout-segment", b"fanout-chain"), *lines[1:]],
        lambda lines: [lines[0].replace(b'"version":1', b'"version":9'), *lines[1:]],
    ],
)
def test_wrong_lines_in_a_sound_frame_are_found(edit: Callable[[list[bytes]], list[bytes]]) -> None:
    """Lines that are missing, repeated, swapped or out of range are Corrupt, and so is a newer version."""
    with pytest.raises(Corrupt):
        segment.decode(NAME, packed.pack(edit(lines_of("typical"))))


def test_another_name_is_refused() -> None:
    """An object that was stored or moved under another name is Corrupt."""
    with pytest.raises(Corrupt, match="another name"):
        segment.decode(segment.KIND.name(STREAM, SHARD, 2), segment.encode(CASES["typical"], GENESIS))


@pytest.mark.fault("T5")
def test_a_bomb_is_refused_before_it_expands() -> None:
    """A small object that expands to too much is refused, in either compression, also if it hides its size."""
    zeros = bytes(packed.EXPANDED_BYTES_MAX + 1)
    compress = zlib.compressobj(wbits=31)
    stream = zstandard.ZstdCompressor().compressobj()
    endless = stream.compress(zeros) + stream.flush()
    for bomb in (zstandard.compress(zeros), endless, compress.compress(zeros) + compress.flush()):
        with pytest.raises(Corrupt, match=r"expands|cut"):
            segment.decode(NAME, bomb)


def test_images_with_a_line_end_are_never_stored() -> None:
    """An image on several lines would make an object nobody can read: it is refused before it is stored."""
    broken = CHANGES[0]._replace(after=b'{"id":\n{"S":"a"}}')
    with pytest.raises(Corrupt, match="line end"):
        segment.encode(Batch(STREAM, SHARD, 1, 1, (broken,), (1,)), GENESIS)


def test_a_batch_too_large_to_be_read_is_never_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader would refuse for its size is refused before it is stored."""
    monkeypatch.setattr(packed, "EXPANDED_BYTES_MAX", 100)
    with pytest.raises(Misconfigured, match="too large"):
        segment.encode(CASES["typical"], GENESIS)


def test_errors_show_no_content() -> None:
    """An error about a damaged object does not repeat what was in it."""
    lines = lines_of("typical")
    lines[1] = lines[1].replace(b'"q":"', b'"q":"secret')
    with pytest.raises(PipelineError) as caught:
        segment.decode(NAME, packed.pack(lines))
    assert "secret" not in str(caught.value)
