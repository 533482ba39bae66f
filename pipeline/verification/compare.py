"""Comparing two sets of items, value by value: a source with its replica, or with what its archive adds up to."""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any

import orjson

from pipeline.wire.diff import canonical_item

EXAMPLES_MAX = 20
"""How many keys of each kind of difference are listed; more are only counted."""

GLOBAL_TABLE_MARK = "aws:rep:"
"""Attributes that start so are a global table's own, and are not replicated: they do not count."""

Items = AsyncIterable[Mapping[str, Any]]
"""Items as DynamoDB JSON objects, as `ItemStore.scan` yields them."""


@dataclass(slots=True)
class Comparison:
    """How many items are equal, and the keys of some that are not, as canonical JSON."""

    equal: int = 0
    missing: int = 0
    """In the first set only."""
    extra: int = 0
    """In the second set only."""
    different: int = 0
    missing_keys: list[bytes] = field(default_factory=list)
    extra_keys: list[bytes] = field(default_factory=list)
    different_keys: list[bytes] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Return True when both sets are equal."""
        return not (self.missing or self.extra or self.different)


async def compare(
    expected: Items, actual: Items, key_names: Collection[str], *, ignore: Collection[str] = (), gone: str = ""
) -> Comparison:
    """Return how two sets of items compare.

    Equal means equal in DynamoDB's sense: numbers by value to the last digit, sets without order, binary by its bytes,
    empty values as they are. Of `actual`, the attributes `ignore` do not count, and items with the attribute `gone`
    are not there (the version and the tombstones of a guarded replica). Neither set is held: memory is a digest for
    each item of `expected`. Raises Corrupt for items that are no DynamoDB JSON.
    """
    result = Comparison()
    left = {_key(item, key_names): digest_of(item) async for item in expected}
    async for item in actual:
        if gone and gone in item:
            continue
        key = _key(item, key_names)
        was = left.pop(key, None)
        if was is None:
            result.extra += 1
            _note(result.extra_keys, key)
        elif was == digest_of({name: value for name, value in item.items() if name not in ignore}):
            result.equal += 1
        else:
            result.different += 1
            _note(result.different_keys, key)
    result.missing = len(left)
    result.missing_keys = nsmallest(EXAMPLES_MAX, left)
    return result


async def items_of(images: Iterable[bytes]) -> AsyncIterator[Mapping[str, Any]]:
    """Yield images, for example those an archive folds to, as items."""
    for image in images:
        yield orjson.loads(image)


def _note(keys: list[bytes], key: bytes) -> None:
    if len(keys) < EXAMPLES_MAX:
        keys.append(key)


def _key(item: Mapping[str, Any], key_names: Collection[str]) -> bytes:
    return orjson.dumps(canonical_item({name: item[name] for name in key_names}))


def digest_of(item: Mapping[str, Any]) -> bytes:
    """Return what equal items, and only they, have in common. Raises Corrupt for what is no DynamoDB JSON."""
    counted = {name: value for name, value in item.items() if not name.startswith(GLOBAL_TABLE_MARK)}
    return hashlib.blake2b(orjson.dumps(canonical_item(counted)), digest_size=16).digest()
