"""DynamoDB Streams on the wire: the body of a GetRecords answer as a SourcePage.

Only the frame is parsed. The images stay the bytes the stream sent, which is what makes it fast, and exact.
"""

from dataclasses import dataclass

import msgspec

from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.ports import SourcePage
from pipeline.wire.json import UNREADABLE, canonical_keys, is_sequence

_TTL_IDENTITY = {"type": "Service", "principalid": "dynamodb.amazonaws.com"}
_ABSENT = (b"", b"null")
_KINDS = {kind.value: kind for kind in ChangeKind if kind not in (ChangeKind.GAP, ChangeKind.SNAPSHOT)}


class _Detail(msgspec.Struct, gc=False, rename="pascal"):
    keys: msgspec.Raw
    sequence_number: str
    approximate_creation_date_time: float = 0.0
    new_image: msgspec.Raw = msgspec.Raw()
    old_image: msgspec.Raw = msgspec.Raw()


class _Record(msgspec.Struct, gc=False, rename="camel"):
    event_name: str
    dynamodb: _Detail
    event_id: str = msgspec.field(default="", name="eventID")
    user_identity: dict[str, str | None] | None = None


class _Body(msgspec.Struct, rename="pascal"):
    records: list[_Record]
    next_shard_iterator: str | None = None


_decoder = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True)
class SourceShard:
    """Where the records of a body come from: what they do not say themselves."""

    table: str
    epoch: str
    shard: str
    hash_attribute: str

    def page(self, body: bytes) -> SourcePage:
        """Return the changes of a GetRecords body and the next iterator.

        Raises Corrupt, naming table, shard and, where one is known, the sequence, when the body is not what the API
        promises; Misconfigured when the stream's view type leaves out an image that a change of that kind has.
        """
        try:
            decoded = _decoder.decode(body)
        except UNREADABLE as error:
            # The decoder's words may quote what it read.
            raise Corrupt(f"a page of {self._place()} cannot be decoded") from error
        return SourcePage(tuple(map(self._change, decoded.records)), decoded.next_shard_iterator)

    def _change(self, record: _Record) -> Change:
        detail = record.dynamodb
        text = detail.sequence_number
        if not is_sequence(text):
            raise Corrupt(f"a record of {self._place()} has a sequence that is no number")
        kind = _KINDS.get(record.event_name)
        if kind is None:
            raise Corrupt(f"record {text} of {self._place()} is of an unknown kind")
        try:
            keys = canonical_keys(detail.keys, self.hash_attribute)
        except Corrupt as error:
            raise Corrupt(f"record {text} of {self._place()}: {error.reason}", hint=error.hint) from error
        before, after = _image(detail.old_image), _image(detail.new_image)
        self._check_images(text, kind, before, after)
        return Change(
            self.table,
            self.epoch,
            self.shard,
            int(text),
            kind,
            keys,
            before,
            after,
            round(detail.approximate_creation_date_time * 1000),
            _is_ttl(record.user_identity),
            record.event_id,
        )

    def _check_images(self, sequence: str, kind: ChangeKind, before: bytes | None, after: bytes | None) -> None:
        if (after is None and kind is not ChangeKind.REMOVE) or (before is None and kind is not ChangeKind.INSERT):
            raise Misconfigured(
                f"record {sequence} of {self._place()} lacks an image",
                hint="the stream's view type must be NEW_AND_OLD_IMAGES: switch the stream off and on with that type",
            )

    def _place(self) -> str:
        return f"table {self.table}, shard {self.shard}"


def _image(raw: msgspec.Raw) -> bytes | None:
    image = bytes(raw)
    return None if image in _ABSENT else image


def _is_ttl(identity: dict[str, str | None] | None) -> bool:
    """Return True for DynamoDB's own deletion; the API, SDKs and emulators capitalise the fields differently."""
    return identity is not None and {k.lower(): v for k, v in identity.items()} == _TTL_IDENTITY
