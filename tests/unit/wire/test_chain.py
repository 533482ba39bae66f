"""Audit chains: every entry commits to the one before, and every edit shows."""

import hashlib
from pathlib import Path

import orjson
import pytest
import zstandard

from pipeline.model.change import Batch
from pipeline.model.errors import Corrupt
from pipeline.testing.changes import SHARD, STREAM, batch, history, put, remove
from pipeline.wire import chain, packed

GOLDEN = Path(__file__).parents[2] / "golden" / "chain"
GENESIS = chain.KIND.genesis(STREAM, SHARD)
NAME = chain.KIND.name(STREAM, SHARD, 1)
FORM = chain.ChainForm("by")
CHANGES = history(["a", "b", "a", "-a", "b"])
WORST = (
    put("k", 1, {"by": {"S": 'ann "é"'}, "set": {"NS": ["1", "2"]}}),
    put("k", 2, {"by": {"S": "bob"}, "set": {"NS": ["2", "1.0"]}}, over=put("k", 1, {"set": {"NS": ["1", "2"]}}).after),
    remove("k", 3)._replace(by_ttl=True, table="t-2.x", sequence=10**40 - 1),
)
CASES = {
    "zero": batch(CHANGES, 1, 5, without=range(1, 6)),
    "typical": batch(CHANGES, 1, 5),
    "worst": batch(WORST, 1, 3),
}


@pytest.mark.parametrize("case", CASES)
def test_the_format_is_the_golden_one(case: str) -> None:
    """Version 1 stays as it is, byte by byte before compression, and stored objects of it stay readable."""
    data, seal = FORM.encode(CASES[case], GENESIS)
    golden = (GOLDEN / f"{case}-v1.jsonl").read_bytes()
    assert zstandard.ZstdDecompressor().decompress(data) == golden
    stored = chain.decode(NAME, (GOLDEN / f"{case}-v1.zstd").read_bytes())
    assert [*stored.lines, orjson.dumps({"seal": seal})] == golden.splitlines()
    assert not list(chain.breaks(stored))


def test_hashes_can_be_checked_with_nothing_but_sha256() -> None:
    """Each line but the first holds the SHA-256 of the bytes of the line before: an auditor needs no tool of ours."""
    lines = (GOLDEN / "worst-v1.jsonl").read_bytes().splitlines()
    committed = [orjson.loads(line).get("previous") for line in lines[1:-1]] + [orjson.loads(lines[-1])["seal"]]
    assert committed == [hashlib.sha256(line).hexdigest() for line in lines[:-1]]


def test_an_entry_says_who_did_what() -> None:
    """An entry has the change's identity, actor, digests of both images, and only what differs."""
    _, modify, expired = (
        orjson.loads(line) for line in chain.decode(NAME, FORM.encode(CASES["worst"], GENESIS)[0]).lines[1:]
    )
    assert modify["actor"] == {"S": "bob"}
    assert modify["diff"] == {"v": [{"N": "1"}, {"N": "2"}], "by": [None, {"S": "bob"}]}
    assert modify["after"] == hashlib.sha256(WORST[1].after or b"").hexdigest()
    assert expired["actor"] == "ttl"
    assert expired["after"] is None
    assert (expired["table"], expired["sequence"], expired["kind"]) == ("t-2.x", "9" * 40, "REMOVE")


def test_the_chains_of_two_shards_start_differently() -> None:
    """A chain cannot be passed off as that of another shard."""
    assert chain.KIND.genesis(STREAM, "a").seal != chain.KIND.genesis(STREAM, "b").seal


def edited(line: int, old: bytes, new: bytes) -> list[bytes]:
    """Return the golden lines with one of them changed."""
    lines = (GOLDEN / "typical-v1.jsonl").read_bytes().splitlines()
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new)
    return lines


@pytest.mark.fault("A3")
def test_every_changed_line_is_found() -> None:
    """A change in the header, in any entry or in the seal breaks the chain at that place, and only there."""
    for line in range(1, 6):
        (found,) = chain.breaks(chain.decode(NAME, packed.pack(edited(line, b'"epoch":"2026', b'"epoch":"2025'))))
        assert found.first <= line <= found.last
    assert len(list(chain.breaks(chain.decode(NAME, packed.pack(edited(0, b'"last":5', b'"last":6')))))) == 1
    assert len(list(chain.breaks(chain.decode(NAME, packed.pack(edited(6, b'{"seal":"', b'{"seal":"0')))))) == 1


@pytest.mark.fault("A3")
@pytest.mark.parametrize("gone", range(1, 6))
def test_every_removed_repeated_or_swapped_entry_is_found(gone: int) -> None:
    """An entry that is missing, there twice, or in another's place breaks the chain."""
    lines = (GOLDEN / "typical-v1.jsonl").read_bytes().splitlines()
    removed = lines[:gone] + lines[gone + 1 :]
    repeated = [*lines[:gone], lines[gone], *lines[gone:]]
    other = gone % 5 + 1
    swapped = [lines[{gone: other, other: gone}.get(n, n)] for n in range(len(lines))]
    for wrong in (removed, repeated, swapped):
        assert list(chain.breaks(chain.decode(NAME, packed.pack(wrong))))


def test_an_entry_that_cannot_be_read_is_a_break() -> None:
    """A line that is no entry is reported, and the rest is still checked."""
    found = list(chain.breaks(chain.decode(NAME, packed.pack(edited(2, b'{"position":2', b'{"position":"x"')))))
    assert any("cannot be read" in each.reason for each in found)


def test_positions_out_of_order_are_a_break_whatever_the_hashes() -> None:
    """Entries whose positions do not rise, or leave the object's range, are found though every hash fits."""
    for positions in ((2, 1, 3, 4, 5), (1, 1, 2, 3, 4), (1, 2, 3, 4, 6)):
        data, _ = FORM.encode(Batch(STREAM, SHARD, 1, 5, CHANGES, positions), GENESIS)
        assert list(chain.breaks(chain.decode(NAME, data)))


def test_a_cut_object_is_corrupt() -> None:
    """An object without its seal cannot be read at all."""
    lines = (GOLDEN / "typical-v1.jsonl").read_bytes().splitlines()
    with pytest.raises(Corrupt, match="seal"):
        chain.decode(NAME, packed.pack(lines[:-1]))
