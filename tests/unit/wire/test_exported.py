"""The manifests of an export, as somebody else wrote them."""

from typing import Any

import msgspec
import orjson
import pytest

from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.wire.export import About, DataFiles, files_manifest, listed, summary_manifest
from pipeline.wire.exported import item_of, read_files, read_summary

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
ABOUT = About(ARN, "id-1", "bucket", "p", "01693685827463-2d8752fd", 1_693_685_827_000, 1_693_685_900_000)
SUMMARY: dict[str, Any] = orjson.loads(summary_manifest(ABOUT, 3, 1_693_686_000_000))


def test_what_fanout_exports_can_be_copied_from() -> None:
    """Summary, list of files and lines of our own export read back as what was written."""
    writer = DataFiles(40)
    items = [b'{"id":{"S":"%d"}}' % number for number in range(3)]
    files = [file for file in (*map(writer.add, items), writer.end()) if file is not None]
    found = read_summary(summary_manifest(ABOUT, 3, 1_693_686_000_000))
    assert (found.table, found.table_id, found.export_ms, found.items) == ("orders", "id-1", ABOUT.export_ms, 3)
    assert found.files_key == "p/AWSDynamoDB/01693685827463-2d8752fd/manifest-files.json"
    told = read_files(files_manifest(ABOUT, map(listed, files)))
    assert [each.items for each in told] == [file.items for file in files]
    assert [each.key for each in told] == [ABOUT.folder + file.name for file in files]
    assert item_of(b'{"Item":%b}' % items[0]) == items[0]


@pytest.mark.parametrize(
    "other",
    [{"outputFormat": "ION"}, {"exportType": "INCREMENTAL_EXPORT"}, {"version": "2031-01-01"}],
)
def test_an_export_of_another_kind_is_refused(other: dict[str, str]) -> None:
    """Ion, an increment and a version that is not known are refused by what they are, with what to do."""
    with pytest.raises(Misconfigured, match=next(iter(other.values()))) as told:
        read_summary(orjson.dumps(SUMMARY | other))
    assert "export the table again" in told.value.hint


def test_an_increment_without_a_moment_is_refused_for_what_it_is() -> None:
    """The service's summary of an increment has no exportTime; that it is none of the whole table is what counts."""
    part = {k: v for k, v in SUMMARY.items() if k != "exportTime"} | {"exportType": "INCREMENTAL_EXPORT"}
    with pytest.raises(Misconfigured, match="INCREMENTAL_EXPORT"):
        read_summary(orjson.dumps(part))


def test_an_export_that_lacks_something_is_refused_with_what_it_is() -> None:
    """An export of an archive says what its items lack of the table's; nobody copies that for the table."""
    lacking = summary_manifest(ABOUT, 3, 1_693_686_000_000, ["attribute card", "2 gaps"])
    with pytest.raises(Misconfigured, match="lacks attribute card, 2 gaps"):
        read_summary(lacking)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"version":"2020-06-30"}',
        orjson.dumps(SUMMARY | {"exportTime": "yesterday"}),
        orjson.dumps(SUMMARY | {"exportTime": "2026-11-24T10:41:00"}),
        orjson.dumps(SUMMARY | {"itemCount": "3"}),
    ],
)
def test_a_damaged_summary_is_told(data: bytes) -> None:
    """What is no summary, or lacks the moment, is never taken for one."""
    with pytest.raises(Corrupt, match=r"manifest-summary\.json"):
        read_summary(data)


@pytest.mark.parametrize("line", [b"x", b"{}", b'{"itemCount":1,"dataFileS3Key":"a","md5Checksum":"?"}'])
def test_a_damaged_list_of_files_is_told(line: bytes) -> None:
    """A list of files with a line that is none is refused whole."""
    with pytest.raises(Corrupt, match=r"manifest-files\.json"):
        read_files(files_manifest(ABOUT, []) + line)


def test_a_line_without_item_is_none() -> None:
    """A line that is no `{"Item":…}` raises what its reader turns into an error with the object's name."""
    with pytest.raises(msgspec.DecodeError):
        item_of(b'{"id":{"S":"1"}}')
