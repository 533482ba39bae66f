"""The forms of snapshots, of pruning and of a standby: what is written is read, and nothing else."""

from pathlib import Path

import msgspec
import pytest
import zstandard

from pipeline.model.errors import Corrupt
from pipeline.model.point import Point, Row
from pipeline.wire import manifest, part, standby
from pipeline.wire.manifest import End, Manifest, Part, Pruned, Table
from pipeline.wire.packed import Link
from pipeline.wire.standby import Place

GOLDEN = Path(__file__).parents[2] / "golden" / "snapshot"
AT_MS = 1_795_500_001_000
NAME = manifest.name_of(AT_MS)
ORDER = ("2026-11-24T00:00:00.000", 10**39 + 7)
ITEMS = (
    part.Item(b'{"id":{"S":"a"}}', Point(ORDER, ("s/shard-0", 7), 5, '{"id":{"S":"a"},"t":{"S":"é\\n"}}'.encode())),
    part.Item(b'{"id":{"S":"b"}}', Point(ORDER, ("s/shard-1", 9), 6, None)),
    part.Item(b'{"id":{"S":"c"}}', None, Row(("s/shard-1", 2), 7, b'{"id":{"S":"c"}}')),
    part.Item(b'{"id":{"S":"d"}}', None, Row(("s/shard-1", 3), 8, None)),
    part.Item(
        b'{"id":{"N":"5"}}', Point(ORDER, ("s/shard-1", 1), 1, b"{}"), None, (((ORDER[0], 9), ("s/x", 4)),), (ORDER,)
    ),
)
ENDS = (End("s/shard-0", 8, "segments/s/shard-0/00000000000000000007.segment", "ab"),)
PARTS = (Part("snapshot-parts/x/orders/000000-ab.part", "ab", 12, 5, 0, 255),)
TABLE = Table("orders", (("id", "S"),), 1, 5, 1, 1, PARTS, (msgspec.Raw(b'{"id":{"S":"gap"}}'),))
MANIFEST = Manifest(manifest.FORMAT, manifest.VERSION, AT_MS, "", "", ENDS, (TABLE,))
PRUNED = Pruned(manifest.PRUNED_FORMAT, manifest.VERSION, AT_MS, NAME, "ab", ENDS)
PLACE = Place("s3://b/p", "orders", {"s/shard-0": Link(8, "n", "ab")}, None)


def test_items_come_back_whole() -> None:
    """Items there and gone, rows, and changes in quarantine, with the longest sequences."""
    assert tuple(part.decode("n", part.encode("orders", AT_MS, ITEMS))) == ITEMS
    assert [item.incomplete for item in ITEMS] == [False, False, False, False, True]


def test_the_forms_are_the_golden_ones() -> None:
    """Version 1 stays as it is, byte by byte before compression."""
    body = zstandard.ZstdDecompressor().decompress(part.encode("orders", AT_MS, ITEMS))
    assert body == (GOLDEN / "part-v1.jsonl").read_bytes()
    assert manifest.encode(MANIFEST) == (GOLDEN / "manifest-v1.json").read_bytes()
    assert manifest.encode(PRUNED) == (GOLDEN / "pruned-v1.json").read_bytes()


def test_manifest_and_record_come_back_whole() -> None:
    """What is sealed is read, and its seal told."""
    read = manifest.decode(NAME, manifest.encode(MANIFEST))
    assert manifest.encode(read.manifest) == manifest.encode(MANIFEST)
    assert manifest.decode_pruned("n", manifest.encode(PRUNED)) == PRUNED


@pytest.mark.parametrize("place", [PLACE, PLACE._replace(reached={"s/x": Link(1, "n", "s")})])
def test_a_standbys_place_comes_back_whole(place: Place) -> None:
    """Before and after it was filled."""
    assert standby.decode("row", standby.encode("row", place)) == place


def test_whatever_byte_is_changed_it_is_found() -> None:
    """A manifest with any other byte, or cut anywhere, is refused by its name."""
    data = manifest.encode(MANIFEST)
    for at in range(len(data)):
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]):
            with pytest.raises(Corrupt, match=NAME):
                manifest.decode(NAME, damaged)


@pytest.mark.parametrize("data", [b"", b"x", part.encode("orders", AT_MS, ITEMS)[:-3]])
def test_what_is_no_part_is_refused(data: bytes) -> None:
    """Nothing, something else and a cut part are named."""
    with pytest.raises(Corrupt, match="object n is damaged"):
        list(part.decode("n", data))


def test_another_version_is_not_guessed_at() -> None:
    """A newer manifest, and another place of a standby, say so."""
    newer = msgspec.structs.replace(MANIFEST, version=2)
    with pytest.raises(Corrupt, match="version 2, not fanout-snapshot 1") as caught:
        manifest.decode(NAME, manifest.encode(newer))
    assert "Upgrade" in caught.value.hint
    with pytest.raises(Corrupt, match="does not tell how far the standby is"):
        standby.decode("row", standby.encode("row", PLACE).replace(b'"format":{"N":"1"}', b'"format":{"N":"2"}'))


@pytest.mark.parametrize("name", ["snapshots/x.snapshot", "snapshots/2026-13-01T000000Z.snapshot", "snapshots/"])
def test_a_name_of_no_moment_is_no_snapshot(name: str) -> None:
    """Names that no compaction gives have no moment; those it gives have theirs."""
    assert manifest.moment_of(name) == 0
    assert manifest.moment_of(NAME) == AT_MS == manifest.moment_of_part(manifest.part_name(AT_MS, "t", 0, "0" * 64))
