"""What differs between two images, attribute by attribute, and when two DynamoDB values are equal.

Bytes decide first: equal bytes are equal values, and most attributes of most changes are. Only what differs is parsed.
"""

from base64 import b64decode
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

import msgspec
import orjson

from pipeline.model.errors import Corrupt
from pipeline.wire.json import UNREADABLE

_attributes = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EXACT = Context(prec=60)


def diff(before: bytes | None, after: bytes | None) -> bytes:
    """Return a JSON object of `attribute: [old, new]`, in DynamoDB JSON, for every attribute that differs.

    JSON null stands for "no such attribute" (DynamoDB's own null is {"NULL": true}). Attributes come in the order of
    the new image, then the removed ones in the order of the old: equal images give equal bytes.
    Raises Corrupt when an image is no DynamoDB JSON.
    """
    if before == after:
        return b"{}"
    old, new = _decode(before), _decode(after)
    parts: list[bytes] = []
    for name, value in new.items():
        was = old.pop(name, None)
        if was is None:
            parts.append(b"%b:[null,%b]" % (orjson.dumps(name), value))
        elif was != value and not _same(bytes(was), bytes(value)):
            parts.append(b"%b:[%b,%b]" % (orjson.dumps(name), was, value))
    parts.extend(b"%b:[%b,null]" % (orjson.dumps(name), was) for name, was in old.items())
    return b"{%b}" % b",".join(parts)


def attribute_of(image: bytes | None, name: str) -> bytes | None:
    """Return one attribute of an image as DynamoDB JSON, None when there is none."""
    value = _decode(image).get(name)
    return None if value is None else bytes(value)


def canonical(value: Any) -> Any:
    """Return a DynamoDB JSON value in its one spelling: equal values, and only they, give equal results.

    Numbers are compared by value to their last digit, sets without order, maps by content, binary by its bytes.
    Raises Corrupt for what is no DynamoDB JSON.
    """
    try:
        ((kind, content),) = value.items()
        return [kind, _canonical_content(kind, content)]
    except (AttributeError, TypeError, ValueError, KeyError, ArithmeticError) as error:
        raise Corrupt("an attribute is no DynamoDB JSON") from error


def canonical_item(item: Any) -> Any:
    """Return a whole item in its one spelling; see `canonical`."""
    return {name: canonical(item[name]) for name in sorted(item)}


def _canonical_content(kind: str, content: Any) -> Any:
    if kind in {"S", "BOOL", "NULL"}:
        return content
    return _SPELLINGS[kind](content)


def number(text: str) -> str:
    """Return a number in its one spelling. Raises ArithmeticError for what is none."""
    found = Decimal(text).normalize(_EXACT)
    return str(abs(found) if found.is_zero() else found)


def _binary(text: str) -> str:
    return b64decode(text, validate=True).hex()


_SPELLINGS: dict[str, Callable[[Any], Any]] = {
    "N": number,
    "B": _binary,
    "SS": sorted,
    "NS": lambda content: sorted(map(number, content)),
    "BS": lambda content: sorted(map(_binary, content)),
    "L": lambda content: [canonical(each) for each in content],
    "M": canonical_item,
}


def _same(a: bytes, b: bytes) -> bool:
    return bool(canonical(orjson.loads(a)) == canonical(orjson.loads(b)))


def _decode(image: bytes | None) -> dict[str, msgspec.Raw]:
    if image is None:
        return {}
    try:
        return _attributes.decode(image)
    except UNREADABLE as error:
        raise Corrupt("an image is no DynamoDB JSON") from error
