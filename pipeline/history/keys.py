"""Keys as people write them, and which items a command is about."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import orjson

from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.wire.json import canonical_keys

_keys = msgspec.json.Decoder(dict[str, dict[str, str]])
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


class KeySchema(NamedTuple):
    """The key attributes of a table, hash attribute first."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    """S, N or B for each."""

    @classmethod
    def of(cls, keys: bytes) -> "KeySchema":
        """Return the schema that canonical keys have."""
        found = _keys.decode(keys)
        return cls(tuple(found), tuple(next(iter(value)) for value in found.values()))

    def __str__(self) -> str:
        return ", ".join(f"{name} ({kind})" for name, kind in zip(self.names, self.types, strict=True))

    def read(self, text: str) -> bytes:
        """Return the canonical keys of `pk=…,sk=…` or of JSON, plain or DynamoDB's. Raises Misconfigured."""
        values = self._json(text) if text.lstrip().startswith("{") else self._pairs(text)
        if values.keys() != set(self.names):
            raise Misconfigured(f"that is not a whole key: the table's is {self}", hint=self._hint())
        attributes = {name: {kind: values[name]} for name, kind in zip(self.names, self.types, strict=True)}
        for name, kind in zip(self.names, self.types, strict=True):
            if kind == "N" and not _NUMBER.fullmatch(values[name]):
                raise Misconfigured(f"the value of {name} is no number", hint=self._hint())
        try:
            return canonical_keys(orjson.dumps(attributes), self.names[0])
        except Corrupt as error:
            raise Misconfigured(error.reason, hint=self._hint()) from error

    def _json(self, text: str) -> dict[str, str]:
        try:
            given = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Misconfigured("that key is no JSON", hint=self._hint()) from error
        types = dict(zip(self.names, self.types, strict=True))
        values: dict[str, str] = {}
        for name, value in given.items():
            plain = value
            if isinstance(value, dict):
                if set(value) != {types.get(name)}:
                    raise Misconfigured(f"attribute {name} is not of the key's type: {self}", hint=self._hint())
                plain = next(iter(value.values()))
            values[name] = plain if isinstance(plain, str) else orjson.dumps(plain).decode()
        return values

    def _pairs(self, text: str) -> dict[str, str]:
        """Read name=value pairs; a comma or an equals sign inside a value is no border unless it looks like one."""
        starts = sorted(
            (found.start(1), found.end(1), name)
            for name in self.names
            for found in re.finditer(rf"(?:^|,)({re.escape(name)}=)", text)
        )
        if len({name for *_, name in starts}) != len(starts):
            hint = 'write it as JSON: {"pk":"…","sk":"…"}'
            raise Misconfigured("that key can be read in two ways", hint=hint)
        if not starts or starts[0][0]:
            raise Misconfigured(f"that is no key of the table: its key is {self}", hint=self._hint())
        ends = [start - 1 for start, *_ in starts[1:]] + [len(text)]
        return {name: text[begin:end] for (_, begin, name), end in zip(starts, ends, strict=True)}

    def _hint(self) -> str:
        return "write it like " + ",".join(f"{name}=…" for name in self.names) + " or as JSON"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which items of one table are meant: all, those listed, or those whose key attributes start with a text."""

    table: str
    keys: Collection[bytes] | None = None
    """Canonical keys; None for no such limit."""
    prefixes: Mapping[str, str] | None = None
    """Text by key attribute of type S; None for no such limit."""

    @property
    def whole(self) -> bool:
        """Return True when every item of the table is meant."""
        return self.keys is None and not self.prefixes

    def has(self, keys: bytes) -> bool:
        """Return True when the item of these canonical keys is meant."""
        if self.keys is not None and keys not in self.keys:
            return False
        if not self.prefixes:
            return True
        found = _keys.decode(keys)
        return all(found[name]["S"].startswith(text) for name, text in self.prefixes.items())

    def digest_parts(self) -> list[object]:
        """Return what tells this scope from others, in one order."""
        listed = None if self.keys is None else sorted(key.decode() for key in self.keys)
        return [self.table, listed, sorted((self.prefixes or {}).items())]


def prefixes(texts: Collection[str], schema: KeySchema) -> dict[str, str]:
    """Return the prefixes of `attribute=text` arguments. Raises Misconfigured."""
    types = dict(zip(schema.names, schema.types, strict=True))
    found: dict[str, str] = {}
    for text in texts:
        name, equals, start = text.partition("=")
        if not equals or types.get(name) != "S":
            hint = "write it like attribute=text; the attribute must be a key attribute of type S"
            raise Misconfigured(f"that is no prefix of a key: the table's key is {schema}", hint=hint)
        found[name] = start
    return found
