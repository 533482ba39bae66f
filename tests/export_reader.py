"""A reader of DynamoDB's full exports, written from the developer guide alone ("DynamoDB table export output format").

It shares no code with what writes them, and complains instead of repairing.
"""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

Objects = Mapping[str, bytes]
"""The bucket's objects by key."""
Item = dict[str, Any]

SUMMARY_FIELDS: dict[str, type | tuple[type, ...]] = {
    "version": str,
    "exportArn": str,
    "startTime": str,
    "endTime": str,
    "tableArn": str,
    "tableId": str,
    "exportTime": str,
    "s3Bucket": str,
    "s3Prefix": (str, type(None)),
    "s3SseAlgorithm": (str, type(None)),
    "s3SseKmsKeyId": (str, type(None)),
    "manifestFilesS3Key": str,
    "billedSizeBytes": int,
    "itemCount": int,
    "outputFormat": str,
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
EXPORT_ID = re.compile(r"\d{14}-[0-9a-f]{8}")
NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
NESTING_MAX = 32


class Wrong(Exception):
    """The export is not what the guide says."""


def read(objects: Objects, folder: str) -> tuple[dict[str, Any], list[Item]]:
    """Return the summary and all items of the export in `…/AWSDynamoDB/<ExportId>/`. Raises Wrong."""
    _expect(EXPORT_ID.fullmatch(folder.rstrip("/").rsplit("/", 1)[-1]), "the folder is named by an export id")
    _expect(f"{folder}_started" in objects, "_started is there")
    summary = _summary(objects, folder)
    items, keys = [], set()
    for entry in _entries(objects, summary["manifestFilesS3Key"]):
        _expect(entry.keys() == {"itemCount", "md5Checksum", "etag", "dataFileS3Key"}, "an entry has four fields")
        key = entry["dataFileS3Key"]
        _expect(key.startswith(f"{folder}data/") and key.endswith(".json.gz"), "a data file lies in data/")
        _expect(key in objects and key not in keys, "a data file is there, and listed once")
        keys.add(key)
        found = _data(objects[key], entry)
        _expect(len(found) == entry["itemCount"], f"{key} has as many items as listed")
        items += found
    _expect(keys == {key for key in objects if key.startswith(f"{folder}data/")}, "nothing else lies in data/")
    _expect(len(items) == summary["itemCount"], "the summary counts all items")
    return summary, items


def _summary(objects: Objects, folder: str) -> dict[str, Any]:
    data = _checked(objects, f"{folder}manifest-summary.json")
    summary: dict[str, Any] = json.loads(data)
    for name, kind in SUMMARY_FIELDS.items():
        _expect(name in summary and isinstance(summary[name], kind), f"the summary has {name}")
    _expect(summary["version"] == "2020-06-30", "the version is known")
    _expect(summary["outputFormat"] == "DYNAMODB_JSON", "the format is DynamoDB JSON")
    for name in ("startTime", "endTime", "exportTime"):
        _expect(TIME.fullmatch(summary[name]), f"{name} is a time")
    _expect(summary["startTime"] <= summary["endTime"], "it ended after its start")
    _expect(summary["exportArn"] == f"{summary['tableArn']}/export/{folder.split('/')[-2]}", "it is the table's")
    _expect((summary["s3Prefix"] or "") == folder.rpartition("AWSDynamoDB/")[0].rstrip("/"), "the prefix is its own")
    _expect(summary["manifestFilesS3Key"] == f"{folder}manifest-files.json", "the files are listed beside it")
    return summary


def _entries(objects: Objects, key: str) -> Iterator[dict[str, Any]]:
    for line in _checked(objects, key).decode().split("\n")[:-1]:
        yield json.loads(line)


def _checked(objects: Objects, key: str) -> bytes:
    """Return a manifest that fits its checksum file."""
    _expect(key in objects, f"{key} is there")
    stored = objects[key.removesuffix(".json") + ".md5"].decode().strip()
    _expect(stored == base64.b64encode(hashlib.md5(objects[key]).digest()).decode(), f"{key} fits its checksum")
    return objects[key]


def _data(data: bytes, entry: Mapping[str, Any]) -> list[Item]:
    digest = hashlib.md5(data)
    _expect(entry["md5Checksum"] == base64.b64encode(digest.digest()).decode(), "a data file fits its MD5")
    _expect(entry["etag"] == digest.hexdigest(), "the ETag is that of an object of one part")
    text = gzip.decompress(data).decode()
    _expect(not text or text.endswith("\n"), "the last line has an end")
    _expect(text.count("\n") == len(text.splitlines()), "no reader finds more lines than there are")
    return [_line(line) for line in text.splitlines()]


def _line(line: str) -> Item:
    parsed = json.loads(line, object_pairs_hook=_pairs)
    _expect(parsed.keys() == {"Item"}, "a line has an Item and nothing else")
    item: Item = parsed["Item"]
    _expect(item, "an item has attributes")
    for value in item.values():
        _value(value, 1)
    return item


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _expect(len(dict(pairs)) == len(pairs), "no name comes twice")
    return dict(pairs)


def _value(value: Any, depth: int) -> None:
    _expect(depth <= NESTING_MAX and isinstance(value, dict) and len(value) == 1, "a value is one typed value")
    ((kind, content),) = value.items()
    _expect(kind in _KINDS, f"{kind} is a type")
    _expect(_KINDS[kind](content, depth), f"the content fits type {kind}")


def _is_number(text: Any) -> bool:
    return isinstance(text, str) and bool(NUMBER.fullmatch(text)) and len(Decimal(text).as_tuple().digits) <= 38


def _is_binary(text: Any) -> bool:
    return isinstance(text, str) and base64.b64encode(base64.b64decode(text, validate=True)).decode() == text


def _is_text(text: Any) -> bool:
    return isinstance(text, str)


def _set_of(fits: Any) -> Any:
    return lambda content, _: bool(content) and len(set(content)) == len(content) and all(map(fits, content))


def _each(contents: Any, depth: int) -> bool:
    for content in contents:
        _value(content, depth + 1)
    return True


_KINDS: dict[str, Any] = {
    "S": lambda content, _: _is_text(content),
    "N": lambda content, _: _is_number(content),
    "B": lambda content, _: _is_binary(content),
    "BOOL": lambda content, _: isinstance(content, bool),
    "NULL": lambda content, _: content is True,
    "SS": _set_of(_is_text),
    "NS": _set_of(_is_number),
    "BS": _set_of(_is_binary),
    "L": lambda content, depth: isinstance(content, list) and _each(content, depth),
    "M": lambda content, depth: isinstance(content, dict) and _each(content.values(), depth),
}


def _expect(true: object, what: str) -> None:
    if not true:
        raise Wrong(f"not so: {what}")
