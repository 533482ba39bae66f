"""Whatever DynamoDB can hold passes both wires, segments and chains byte by byte; whatever it cannot is refused."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.aws.folder import FolderObjectStore
from pipeline.capture.packing import Packer, Packing, WireForm
from pipeline.model.change import Batch, Change, ChangeKind
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.ports import LogRecord
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import chain, segment
from pipeline.wire.json import canonical_keys
from pipeline.wire.record import decode
from pipeline.wire.source import SourceShard
from tests.faults.items import changes, fuzzed, images, keys, numbers

SHARD = SourceShard("orders", "2026-01-01T00:00:00.000", "shardId-1", "id")


async def carried(form: WireForm, run: list[Change]) -> list[Change]:
    """Return the changes as delivery gets them: packed, put, decoded."""
    claims = FakeObjectStore()
    packer = Packer(Packing(form, 4, 2_000, "us-east-1"), claims)
    out: list[Change] = []
    for lane, part in packer.by_lane(run).items():
        for number, record in enumerate(await packer.pack(lane, part)):
            read = await decode(LogRecord(number, record.data, record.partition_key, 0), claims)
            assert read.lane == lane
            out += read.changes
    return sorted(out, key=lambda change: change.sequence)


@pytest.mark.fault("T1", "T2", "T3", "K11")
@pytest.mark.parametrize("form", list(WireForm))
@fuzzed
@given(run=changes())
def test_every_change_passes_both_wires(form: WireForm, run: list[Change]) -> None:
    """Keys, images, digits, spellings, times: what goes in comes out, also through the claim bucket."""
    assert asyncio.run(carried(form, run)) == run


@pytest.mark.fault("T1", "T2", "T3")
@pytest.mark.parametrize("compression", ["zstd", "gzip"])
@fuzzed
@given(run=changes())
def test_every_change_passes_the_archive(compression: str, run: list[Change]) -> None:
    """A segment gives back every change as it was, and its name holds nothing of them."""
    whole = Batch("changes", "shardId-1", 1, len(run), tuple(run), range(1, len(run) + 1))
    name = segment.KIND.name("changes", "shardId-1", 1)
    data = segment.encode(whole, segment.KIND.genesis("changes", "shardId-1"), compression)
    assert segment.decode(name, data).batch.changes == tuple(run)


@pytest.mark.fault("T2", "T3")
@fuzzed
@given(run=changes())
def test_every_change_has_an_entry(run: list[Change]) -> None:
    """The audit log takes whatever an item holds; its chain is sound, and shows when any one line is left out."""
    whole = Batch("changes", "shardId-1", 1, len(run), tuple(run), range(1, len(run) + 1))
    name = chain.KIND.name("changes", "shardId-1", 1)
    data, _ = chain.ChainForm().encode(whole, chain.KIND.genesis("changes", "shardId-1"))
    assert list(chain.breaks(chain.decode(name, data))) == []
    lines = zstandard.decompress(data).split(b"\n")
    for at in range(1, len(lines) - 2):
        without = zstandard.compress(b"\n".join(lines[:at] + lines[at + 1 :]))
        assert list(chain.breaks(chain.decode(name, without)))


@pytest.mark.fault("T1", "T2", "T3")
@fuzzed
@given(image=images(), key=keys(), number=numbers())
def test_images_leave_the_stream_as_they_came(image: dict[str, Any], key: dict[str, Any], number: str) -> None:
    """Whatever the spelling of the answer, the image is its bytes: no number passes through a float."""
    text = json.dumps({**image, **key, "number": {"N": number}}, ensure_ascii=len(number) % 2 == 0).encode()
    body = b'{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":%b,"SequenceNumber":"%b","NewImage":%b}}]}' % (
        orjson.dumps(key),
        b"7" * 40,
        text,
    )
    (change,) = SHARD.page(body).changes
    assert change.after == text
    assert change.sequence == int("7" * 40)
    assert canonical_keys(change.keys, "id") == change.keys


@pytest.mark.fault("T1")
@fuzzed
@given(number=numbers())
def test_a_key_has_one_spelling_by_value(number: str) -> None:
    """However a number is spelled, its key is one; another number is another key, in the last of 38 digits too."""
    key = canonical_keys(orjson.dumps({"id": {"N": number}}), "id")
    padded = number + ("0" if "." in number and "E" not in number else "")
    assert canonical_keys(orjson.dumps({"id": {"N": padded}}), "id") == key
    digits = "12345678901234567890123456789012345678"
    assert canonical_keys(b'{"id":{"N":"%b"}}' % digits.encode(), "id") != canonical_keys(
        b'{"id":{"N":"%b"}}' % (digits[:-1] + "9").encode(), "id"
    )


@pytest.mark.fault("T3")
@fuzzed
@given(name=st.text(max_size=60))
def test_no_name_leads_out_of_a_folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A name is refused, or its file lies inside the folder: for any text, dots, slashes and NUL included."""
    folder = tmp_path_factory.getbasetemp() / "inside"
    with ThreadPoolExecutor(1) as threads:
        store = FolderObjectStore(folder, threads)
        try:
            asyncio.run(store.replace(name, b"data"))
        except Misconfigured:
            return
        asyncio.run(store.delete(name))
        assert (folder / name).resolve().is_relative_to(folder.resolve())


HOSTILE = ["../../etc/passwd", "a\x00b", "x\nERROR forged", "\u202egnp.exe", "<script>alert(1)</script>", "=cmd()"]


@pytest.mark.fault("T3")
@pytest.mark.parametrize("text", HOSTILE)
def test_no_key_is_in_a_name_a_record_key_or_an_error(text: str, tmp_path: Path) -> None:
    """Objects, partition keys, claims and errors are named by stream, shard and position, never by a key."""
    key = orjson.dumps({"id": {"S": text}})
    change = Change("orders", SHARD.epoch, SHARD.shard, 10**21, ChangeKind.INSERT, key, None, key, 0)
    claims = FakeObjectStore()
    for form in WireForm:
        packer = Packer(Packing(form, 4, 10, "us-east-1"), claims)
        records = asyncio.run(packer.pack(0, [change]))
        assert all(_words(text).isdisjoint(_words(record.partition_key)) for record in records)
    assert all(_words(text).isdisjoint(_words(name)) for name in claims.objects)
    with pytest.raises(Corrupt) as caught:
        SHARD.page(b'{"Records":[{"eventName":"RENAME","dynamodb":{"Keys":%b,"SequenceNumber":"1"}}]}' % key)
    assert text not in str(caught.value)


def _words(text: str) -> set[str]:
    return {text[at : at + 4] for at in range(len(text) - 3)}


@pytest.mark.fault("T4")
@pytest.mark.parametrize(
    "record",
    [
        {"eventName": "RENAME"},
        {"eventName": "insert"},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"X": "a"}}, "SequenceNumber": "1"}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"M": {}}}, "SequenceNumber": "1"}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {}, "SequenceNumber": "1"}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"N": "ten"}}, "SequenceNumber": "1"}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "a"}}, "SequenceNumber": "-1"}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "a"}}, "SequenceNumber": "1e3"}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "a"}}}},
    ],
)
def test_a_record_that_is_not_understood_is_refused(record: dict[str, Any]) -> None:
    """An event, a type of key or a sequence nobody knows is Corrupt, not a guess."""
    known = {"dynamodb": {"Keys": {"id": {"S": "a"}}, "SequenceNumber": "1", "NewImage": {"id": {"S": "a"}}}}
    with pytest.raises(Corrupt):
        SHARD.page(orjson.dumps({"Records": [{**known, **record}]}))


@pytest.mark.fault("T4", "D8")
@pytest.mark.parametrize("body", [b"{}", b'{"message":"Service unavailable"}', b"null", b"[]", b""])
def test_an_answer_without_records_is_not_the_end_of_a_shard(body: bytes) -> None:
    """Only an answer that has its records can say that none follow: else a shard would end where something broke."""
    with pytest.raises(Corrupt):
        SHARD.page(body)


@pytest.mark.fault("T4")
@pytest.mark.parametrize("image", [b"{}", b'{"id":{"S":"a"},"new":{"XS":["?"]}}'])
def test_what_images_hold_is_opaque(image: bytes) -> None:
    """An image without attributes, or with a type of the future, is carried as it is."""
    body = (
        b'{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}},"SequenceNumber":"1","NewImage":%b}}]}'
    )
    (change,) = SHARD.page(body % image).changes
    assert asyncio.run(carried(WireForm.COMPACT, [change])) == [change]
