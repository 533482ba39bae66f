"""What somebody could do to an audit log: one function each, which spoils a log and says where that must be found.

Each gets a log as plain dictionaries of objects, `log` and `witness`, and a chance. A careful hand computes all later
hashes anew, those of the children's first objects too; it can write to everything, but has no signing key.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from pipeline.wire import packed

Objects = dict[str, bytes]


class Expected(NamedTuple):
    """Where a tampering must be found: an object, and the entry in it; 0 means the object as a whole."""

    object: str
    entry: int = 0
    position: int = 0
    """Of the entry; 0 when there is none."""


@dataclass
class Spoilt:
    """A log that is being spoilt."""

    log: Objects
    witness: Objects
    sizes: Mapping[str, int]
    """How many entries each object of a chain had."""
    chance: random.Random

    @property
    def chains(self) -> list[str]:
        """Return the names of all objects of chains."""
        return sorted(name for name in self.log if name.startswith("chain/"))

    @property
    def roots(self) -> list[str]:
        """Return the names of all roots."""
        return sorted(name for name in self.log if name.startswith("roots/"))

    def an_object(self, *, entries: int = 0) -> str:
        """Return the name of an object of a chain that has so many entries or more."""
        return self.chance.choice([name for name in self.chains if self.sizes[name] >= entries])

    def chain_from(self, name: str) -> list[str]:
        """Return the names of an object and of those that follow it in its chain."""
        return [each for each in self.chains if each.rpartition("/")[0] == name.rpartition("/")[0] and each >= name]


Tampering = Callable[[Spoilt], Expected]


def lines_of(data: bytes) -> list[bytes]:
    """Return the header, the entries and the closing line of an object."""
    return packed.expand(data).splitlines()


def position_in(line: bytes) -> int:
    """Return the position of an entry."""
    return int(orjson.loads(line)["position"])


def flip(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with one bit, or all of one byte, turned over."""
    at, mask = chance.randrange(len(data)), chance.choice([1 << chance.randrange(8), 255])
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def renumbered(lines: list[bytes]) -> list[bytes]:
    """Return an object's lines with the number of entries in the header put right."""
    header = orjson.loads(lines[0])
    return [orjson.dumps({**header, "count": len(lines) - 2}), *lines[1:]]


def resealed(lines: list[bytes], seal: str | None = None, parents: Mapping[str, tuple[int, str]] | None = None) -> Any:
    """Return an object's lines with every hash computed anew, and the new hash that closes it."""
    header = orjson.loads(lines[0])
    if seal is not None:
        header["previous"]["seal"] = seal
    for each in header.get("parents", ()):
        if parents and each["shard"] in parents:
            each["last"], each["seal"] = parents[each["shard"]]
    done = [orjson.dumps({**header, "count": len(lines) - 2})]
    for line in lines[1:-1]:
        previous = orjson.loads(line)["previous"].encode()
        done.append(line.replace(previous, packed.sha256(done[-1]).encode(), 1))
    closing = packed.sha256(done[-1])
    return [*done, orjson.dumps({"seal": closing})], closing


def rewrite(spoilt: Spoilt, name: str, lines: list[bytes]) -> None:
    """Put lines in an object's place, and compute all hashes after them anew: of its chain, and of its children's."""
    pending: list[tuple[str, list[bytes], str | None, dict[str, tuple[int, str]]]] = [(name, lines, None, {})]
    while pending:
        at, lines, seal, ends = pending.pop()
        done, closing = resealed(lines, seal, ends)
        spoilt.log[at] = packed.pack(done)
        later = spoilt.chain_from(at)[1:]
        if later:
            pending.append((later[0], lines_of(spoilt.log[later[0]]), closing, {}))
            continue
        header = orjson.loads(done[0])
        for child in spoilt.chains:
            first = lines_of(spoilt.log[child])
            if header["shard"] in [each["shard"] for each in orjson.loads(first[0]).get("parents", ())]:
                pending.append((child, first, None, {header["shard"]: (header["last"], closing)}))


def put(spoilt: Spoilt, name: str, lines: list[bytes], *, careful: bool) -> None:
    """Store changed lines, with care or without."""
    if careful:
        rewrite(spoilt, name, lines)
    else:
        spoilt.log[name] = packed.pack(renumbered(lines) if spoilt.chance.random() < 0.5 else lines)


def a_byte_of_an_object(spoilt: Spoilt) -> Expected:
    """A bit or byte of a stored object is turned over."""
    name = spoilt.an_object()
    spoilt.log[name] = flip(spoilt.log[name], spoilt.chance)
    return Expected(name)


def a_byte_of_a_line(spoilt: Spoilt) -> Expected:
    """A character of an entry is another one, in an object that is packed again."""
    name = spoilt.an_object(entries=1)
    lines = lines_of(spoilt.log[name])
    entry = spoilt.chance.randrange(1, len(lines) - 1)
    position, line, at = position_in(lines[entry]), lines[entry], spoilt.chance.randrange(len(lines[entry]))
    other = spoilt.chance.choice([code for code in range(32, 127) if code != line[at]])
    lines[entry] = line[:at] + bytes([other]) + line[at + 1 :]
    spoilt.log[name] = packed.pack(lines)
    return Expected(name, entry, position)


def a_character_of_the_frame(spoilt: Spoilt) -> Expected:
    """A character of the header or the closing line is another one."""
    name = spoilt.an_object()
    lines = lines_of(spoilt.log[name])
    number = spoilt.chance.choice([0, -1])
    at = spoilt.chance.randrange(len(lines[number]))
    other = spoilt.chance.choice([code for code in range(32, 127) if code != lines[number][at]])
    lines[number] = lines[number][:at] + bytes([other]) + lines[number][at + 1 :]
    spoilt.log[name] = packed.pack(lines)
    return Expected(name)


def edited(*, careful: bool) -> Tampering:
    """An entry tells another actor or another time."""

    def edit(spoilt: Spoilt) -> Expected:
        name = spoilt.an_object(entries=1)
        lines = lines_of(spoilt.log[name])
        entry = spoilt.chance.randrange(1, len(lines) - 1)
        told = orjson.loads(lines[entry])
        told |= spoilt.chance.choice([{"actor": {"S": "somebody else"}}, {"time_ms": told.get("time_ms", 0) + 1000}])
        lines[entry] = orjson.dumps(told)
        put(spoilt, name, lines, careful=careful)
        return Expected(name, entry, told["position"])

    return edit


def removed(*, careful: bool) -> Tampering:
    """An entry is gone."""

    def remove(spoilt: Spoilt) -> Expected:
        name = spoilt.an_object(entries=1)
        lines = lines_of(spoilt.log[name])
        entry = spoilt.chance.randrange(1, len(lines) - 1)
        position = position_in(lines.pop(entry))
        put(spoilt, name, lines, careful=careful)
        return Expected(name, entry, position)

    return remove


def swapped(*, careful: bool) -> Tampering:
    """Two entries have changed places."""

    def swap(spoilt: Spoilt) -> Expected:
        name = spoilt.an_object(entries=2)
        lines = lines_of(spoilt.log[name])
        one, two = sorted(spoilt.chance.sample(range(1, len(lines) - 1), 2))
        position = position_in(lines[one])
        lines[one], lines[two] = lines[two], lines[one]
        put(spoilt, name, lines, careful=careful)
        return Expected(name, one, position)

    return swap


def repeated(*, careful: bool) -> Tampering:
    """An entry is there twice, the second time at once or later."""

    def repeat(spoilt: Spoilt) -> Expected:
        name = spoilt.an_object(entries=1)
        lines = lines_of(spoilt.log[name])
        entry = spoilt.chance.randrange(1, len(lines) - 1)
        at = spoilt.chance.randrange(entry + 1, len(lines))
        position = min(position_in(lines[at - 1]) + 1, orjson.loads(lines[0])["last"])
        lines.insert(at, lines[entry])
        put(spoilt, name, lines, careful=careful)
        return Expected(name, at, position)

    return repeat


def invented(*, careful: bool) -> Tampering:
    """An entry of something that did not happen stands in the place of one that did."""

    def invent(spoilt: Spoilt) -> Expected:
        name = spoilt.an_object(entries=1)
        lines = lines_of(spoilt.log[name])
        entry = spoilt.chance.randrange(1, len(lines) - 1)
        told = orjson.loads(lines[entry]) | {"kind": "REMOVE", "keys": {"id": {"S": "never"}}, "after": None}
        lines[entry] = orjson.dumps(told)
        put(spoilt, name, lines, careful=careful)
        return Expected(name, entry, told["position"])

    return invent


TAMPERINGS: Mapping[str, Tampering] = {
    "a byte of an object": a_byte_of_an_object,
    "a byte of an entry": a_byte_of_a_line,
    "a byte of the header or the closing line": a_character_of_the_frame,
    "an entry edited": edited(careful=False),
    "an entry edited, all hashes anew": edited(careful=True),
    "an entry removed": removed(careful=False),
    "an entry removed, all hashes anew": removed(careful=True),
    "entries swapped": swapped(careful=False),
    "entries swapped, all hashes anew": swapped(careful=True),
    "an entry repeated": repeated(careful=False),
    "an entry repeated, all hashes anew": repeated(careful=True),
    "an entry invented": invented(careful=False),
    "an entry invented, all hashes anew": invented(careful=True),
}
