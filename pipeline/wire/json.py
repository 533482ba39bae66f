"""DynamoDB JSON kept as bytes: canonical keys, and a change as one line.

Images are never turned into objects here: numbers keep all their digits and their spelling, sets their order, binary
its base64, because nothing parses them.
"""

from decimal import Context, Decimal, DecimalException, InvalidOperation

import msgspec
import orjson

from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Corrupt

_EXACT = Context(prec=60)
"""More digits than the 38 of a DynamoDB number, so that nothing is rounded."""

UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding raises: no JSON, another shape, no UTF-8, more nesting than the parser goes into."""
NUMBER_CHARACTERS_MAX = 200
"""More than DynamoDB, or any stream, spells a number with; far less than is slow to read."""
_KEY_TYPES = frozenset({"S", "N", "B"})
_keys = msgspec.json.Decoder(dict[str, dict[str, str]])


def canonical_keys(keys: bytes, hash_attribute: str = "") -> bytes:
    """Return key attributes as DynamoDB JSON in one spelling: hash attribute first, then by name, numbers normalised.

    The table compares numbers by value, and emulators are known to spell one number in two ways.
    Raises Corrupt when `keys` is not a map of S, N or B attributes, or lacks the hash attribute.
    """
    try:
        parsed = _keys.decode(keys)
    except UNREADABLE as error:
        msg = "the key attributes of a change are not S, N or B"
        raise Corrupt(msg) from error
    if hash_attribute and hash_attribute not in parsed:
        msg = f"a change has no key attribute {hash_attribute!r}"
        raise Corrupt(msg, hint="was the table deleted and created again with another key schema?")
    names = sorted(parsed, key=lambda name: (name != hash_attribute, name))
    return orjson.dumps({name: _canonical_attribute(parsed[name]) for name in names})


def hash_key_of(keys: bytes) -> bytes:
    """Return the first attribute of canonical keys: what the lane is chosen by."""
    name, value = next(iter(_keys.decode(keys).items()))
    return orjson.dumps([name, value])


def is_sequence(text: str) -> bool:
    """Return True for the digits of a sequence, not more of them than any stream has."""
    return text.isascii() and text.isdecimal() and len(text) <= NUMBER_CHARACTERS_MAX


def _canonical_attribute(attribute: dict[str, str]) -> dict[str, str]:
    if len(attribute) != 1 or not _KEY_TYPES.issuperset(attribute):
        raise Corrupt("the key attributes of a change are not S, N or B")
    if "N" not in attribute:
        return attribute
    try:
        number = _EXACT.normalize(Decimal(attribute["N"][: NUMBER_CHARACTERS_MAX + 1]))
        if not number.is_finite() or len(attribute["N"]) > NUMBER_CHARACTERS_MAX:
            raise InvalidOperation
    except DecimalException as error:
        msg = "a number in the key of a change is no number"
        raise Corrupt(msg) from error
    return {"N": str(abs(number) if number.is_zero() else number)}


class ChangeLine(msgspec.Struct, omit_defaults=True, gc=False):
    """One change as a JSON line, the form used on the compact wire and in archive segments (version 1)."""

    q: str
    """Sequence, decimal."""
    c: str
    """First letter of the kind: I, M, R, G or S."""
    k: msgspec.Raw
    """Canonical keys."""
    t: int = 0
    """Creation time, epoch milliseconds."""
    n: msgspec.Raw = msgspec.Raw()
    """Image after the change."""
    o: msgspec.Raw = msgspec.Raw()
    """Image before the change."""
    x: int = 0
    """1 when time-to-live removed the item."""
    i: str = ""
    """eventID."""
    b: int = 0
    """SizeBytes."""


LINE_DECODER = msgspec.json.Decoder(ChangeLine)
_KINDS = {kind.value[0]: kind for kind in ChangeKind}


def change_to_json(change: Change) -> bytes:
    """Return a change as one JSON line without the line end: keys `q c t k n o x i b`, see ChangeLine.

    The line does not repeat the table, epoch and shard, which a record's or segment's header gives for all its lines.
    """
    parts = [
        b'{"q":"%d","c":"%c","t":%d,"k":' % (change.sequence, ord(change.kind[0]), change.time_ms),
        change.keys,
    ]
    if change.after is not None:
        parts += (b',"n":', change.after)
    if change.before is not None:
        parts += (b',"o":', change.before)
    if change.by_ttl:
        parts.append(b',"x":1')
    if change.event_id:
        parts += (b',"i":', orjson.dumps(change.event_id))
    if change.size_bytes:
        parts.append(b',"b":%d' % change.size_bytes)
    parts.append(b"}")
    return b"".join(parts)


def change_from_line(line: ChangeLine, table: str, epoch: str, shard: str) -> Change:
    """Return the change of a decoded line. Raises Corrupt for an unknown kind or a sequence that is no number."""
    kind = _KINDS.get(line.c)
    if kind is None or not is_sequence(line.q):
        msg = f"a change of table {table} has an unknown kind or sequence"
        raise Corrupt(msg, hint="was it written by a newer version? Upgrade this worker first.")
    return Change(
        table,
        epoch,
        shard,
        int(line.q),
        kind,
        bytes(line.k),
        bytes(line.o) or None,
        bytes(line.n) or None,
        line.t,
        bool(line.x),
        line.i,
        line.b,
    )
