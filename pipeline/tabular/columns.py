"""Items as rows: which top-level attributes become columns, and of which SQL type."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

COLUMNS_MAX = 500
"""How many attributes get a column, in order of appearance; the others are in the column of the whole item."""
ITEM = "item"
"""The column with the whole item."""
_INTEGER = re.compile(r"-?\d{1,18}")
_SCALARS = frozenset(("S", "N", "BOOL"))


@dataclass(slots=True)
class _Seen:
    kinds: set[str] = field(default_factory=set)
    integer: bool = True


class Columns:
    """The attributes of many items: those with one plain type become columns.

    Text is VARCHAR, true and false BOOLEAN, a number BIGINT when all values are integers of up to 18 digits, else
    DOUBLE; a number of the primary key that is no such integer stays text, with all its digits. An attribute that
    has several types, or one that is no plain value, is in the whole item only, like one whose name differs from
    another's by upper and lower case alone.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)
        self._seen: dict[str, _Seen] = {name: _Seen() for name in keys}
        self._folded = {name.casefold() for name in (*keys, ITEM)}

    @property
    def item(self) -> str:
        """Return the name of the column with the whole item, which no attribute of the key has."""
        taken = {name.casefold() for name in self._keys}
        return next(name for name in (ITEM, f"{ITEM}_", f"{ITEM}__") if name not in taken)

    def values(self, item: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Take in an item in DynamoDB JSON; return its plain values as text, by attribute."""
        found: dict[str, str] = {}
        for name, typed in item.items():
            seen = self._of(name)
            if seen is None:
                continue
            ((kind, content),) = typed.items()
            seen.kinds.add(kind)
            if kind in _SCALARS:
                found[name] = str(content).lower() if kind == "BOOL" else content
                seen.integer = seen.integer and (kind != "N" or bool(_INTEGER.fullmatch(content)))
            elif kind == "B" and name in self._keys:
                found[name] = content
        return found

    def types(self) -> dict[str, str]:
        """Return the SQL type of every column, those of the key first."""
        return {name: kind for name, seen in self._seen.items() if (kind := self._type(name, seen))}

    def _of(self, name: str) -> _Seen | None:
        if name not in self._seen:
            if name.casefold() in self._folded or len(self._seen) >= COLUMNS_MAX:
                return None
            self._folded.add(name.casefold())
            self._seen[name] = _Seen()
        return self._seen[name]

    def _type(self, name: str, seen: _Seen) -> str:
        kinds = seen.kinds - {"NULL"} or ({self._keys[name]} if name in self._keys else set())
        if kinds == {"N"}:
            return "BIGINT" if seen.integer else "VARCHAR" if name in self._keys else "DOUBLE"
        if kinds == {"BOOL"}:
            return "BOOLEAN"
        return "VARCHAR" if kinds == {"S"} or name in self._keys else ""


def quoted(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    """Return names as a list in SQL."""
    return ", ".join(map(quoted, names))
