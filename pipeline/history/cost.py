"""What items weigh, as DynamoDB counts: bytes, and write units of 1 KiB.

The rules are those of the developer guide, "DynamoDB item sizes and formats"; a number's size is given there as about
one byte for two digits, so the sums here are close, not exact.
"""

from collections.abc import Callable
from typing import Any

import orjson

UNIT_BYTES = 1024
USD_PER_MILLION_UNITS = 0.625
"""On demand, us-east-1, list price since November 2024: an estimate for people, never a bill."""
_CONTAINER_BYTES = 3


def item_bytes(image: bytes) -> int:
    """Return about how many bytes an item has: names, values, and what containers add."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in orjson.loads(image).items())


def write_units(then: bytes | None, have: bytes | None) -> int:
    """Return the units of writing `then` over `have`: those of the larger; a delete costs what it removes."""
    size = max(item_bytes(image) for image in (then or b"{}", have or b"{}"))
    return max(1, -(-size // UNIT_BYTES))


def usd(units: int) -> float:
    """Return about what so many write units cost."""
    return units * USD_PER_MILLION_UNITS / 1_000_000


def _value_bytes(value: Any) -> int:
    ((kind, content),) = value.items()
    measure = _MEASURES.get(kind)
    return 1 if measure is None else measure(content)


def _text_bytes(text: str) -> int:
    return len(text.encode())


def _binary_bytes(text: str) -> int:
    return len(text) * 3 // 4


def _map_bytes(content: Any) -> int:
    return _CONTAINER_BYTES + sum(1 + len(name.encode()) + _value_bytes(value) for name, value in content.items())


def _number_bytes(text: str) -> int:
    digits = sum(character.isdigit() for character in text.partition("E")[0].strip("0"))
    return (digits + 1) // 2 + 1 + text.startswith("-")


_MEASURES: dict[str, Callable[[Any], int]] = {
    "S": _text_bytes,
    "N": _number_bytes,
    "B": _binary_bytes,
    "SS": lambda content: sum(map(_text_bytes, content)),
    "NS": lambda content: sum(map(_number_bytes, content)),
    "BS": lambda content: sum(map(_binary_bytes, content)),
    "L": lambda content: _CONTAINER_BYTES + sum(1 + _value_bytes(each) for each in content),
    "M": _map_bytes,
}
"""By type; BOOL and NULL take one byte."""
