"""What somebody asks the owner of a shard to put through from quarantine, as a state row, version 1.

The command asks, the owner answers in the same row. A key is asked for by its digest and its first parked change: a
request that was carried out says nothing of a later parking of the same key.
"""

from collections.abc import Mapping

import msgspec

from pipeline.model.errors import Corrupt
from pipeline.model.progress import ParkedKey
from pipeline.ports import FieldValue, StateRow
from pipeline.wire.parked import place_of

VERSION = 1


class Requests(msgspec.Struct, frozen=True):
    """Requests on one shard for one topology."""

    asked: dict[str, str]
    """Who asks, by parking."""
    refused: dict[str, str]
    """Why it could not be done, by parking: it stays parked until somebody asks again."""


_requests = msgspec.json.Decoder(Requests)


def request_key(group: str, shard: str, topology: str) -> str:
    """Return the key of the row of a topology's requests on a shard."""
    return f"redrive:{group}:{shard}/{topology}"


def parking_of(digest: str, key: ParkedKey) -> str:
    """Return the name of one parking of a key."""
    return f"{digest}-{place_of(key.epoch, key.sequence)}"


def to_row(key: str, version: int, requests: Requests) -> StateRow:
    """Return requests as a row."""
    fields: dict[str, FieldValue] = {
        "format": VERSION,
        "requests": msgspec.json.encode(requests),
        "entityType": "REDRIVE",
    }
    return StateRow(key, version, fields)


def from_fields(fields: Mapping[str, FieldValue], where: str) -> Requests:
    """Return the requests of a row. Raises Corrupt, naming `where`, when it cannot be read by this version."""
    data = fields.get("requests")
    try:
        if fields.get("format") == VERSION and isinstance(data, bytes):
            return _requests.decode(data)
    except msgspec.DecodeError:
        pass
    raise Corrupt(f"the row {where} cannot be read", hint="was it written by a newer version? Upgrade first.")
