"""Whether an item that was not seen equal is really different, while changes flow.

A copy is right when it is what the item was at the topology's checkpoint, or what it has become since: anything else no
change on its way will mend. So an item is judged by its history, not by whether two reads of it are equal:

1. the topology's checkpoints are looked at, and then the item in the source;
2. when every change made until then is settled, the checkpoints are looked at again, and then the copy;
3. when every change made until then is settled too, the changes that came in between are read from the stream.

The last change that was settled before the copy was looked at (without one, the item as first seen) and all later
changes are what the copy may be. So an item that changes all the time can be judged as well as one that never does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import orjson

from pipeline.model.errors import Corrupt, Gap
from pipeline.ports import Clock
from pipeline.verification.passage import Came, Passage, Places, Span
from pipeline.verification.side import Side, digest
from pipeline.wire.diff import diff


class Kind(StrEnum):
    """How a copy differs from its source."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    PARKED = "parked"
    """Changes of the item wait in quarantine: the copy is behind, and it is known why."""
    UNDECIDED = "undecided"
    """The changes of the item did not settle in time, or can no longer be read."""


class Finding(NamedTuple):
    """One item that is not what it is to be, or of which that is not known."""

    keys: bytes
    kind: Kind
    attributes: tuple[str, ...] = ()
    """Names of those that differ, when both sides have the item."""
    why: str = ""
    source: bytes | None = None
    """The item as the topology is to have it, and as it has it."""
    copy: bytes | None = None


class Judge:
    """Judges the items of one table at one topology."""

    def __init__(
        self,
        table: str,
        source: Side,
        copy: Side,
        passage: Passage,
        clock: Clock,
        *,
        expected: Callable[[bytes], bytes | None],
        parked: Callable[[bytes], str],
    ) -> None:
        """Take how a change's image is to be at the topology, and what an item is called in its quarantine."""
        self._table = table
        self._source = source
        self._copy = copy
        self._passage = passage
        self._clock = clock
        self._expected = expected
        self._parked = parked

    async def judge(self, keys: Sequence[bytes]) -> list[Finding]:
        """Return which of the items are different; it takes at least ten seconds when any seems to be."""
        since = await self._passage.here()
        first = await self._first(keys)
        if not first:
            return []
        if why := await self._passage.wait(self._clock.now_ms()):
            return [Finding(each, Kind.UNDECIDED, why=why) for each in first]
        settled = await self._passage.here()
        found = await self._again(first)
        if not found:
            return []
        if why := await self._passage.wait(self._clock.now_ms()):
            return [Finding(each, Kind.UNDECIDED, why=why) for each in found]
        span = Span(since, settled, await self._passage.here())
        return await self._by_history(first, found, span)

    async def _first(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the digests of the source's items, those left out that the copy has likewise."""
        source, copy = await self._source.get(keys), await self._copy.get(keys)
        digests = {each: digest(source.get(each)) for each in keys}
        return {each: was for each, was in digests.items() if was != digest(copy.get(each))}

    async def _again(self, first: Mapping[bytes, bytes]) -> dict[bytes, Finding]:
        """Return what the copy holds, if that is neither what the source had first nor what it has now."""
        copy = await self._copy.get(first)
        left = [each for each, was in first.items() if was != digest(copy.get(each))]
        source = await self._source.get(left)
        return {
            each: _finding(each, source.get(each), copy.get(each))
            for each in left
            if digest(source.get(each)) != digest(copy.get(each))
        }

    async def _by_history(
        self, first: Mapping[bytes, bytes], found: Mapping[bytes, Finding], span: Span
    ) -> list[Finding]:
        try:
            came = await self._passage.came(self._table, found, span)
        except (Gap, Corrupt) as error:
            return [Finding(each, Kind.UNDECIDED, why=error.reason) for each in found]
        judged = []
        for keys, finding in found.items():
            if _is_parked(self._parked(keys), span):
                judged.append(Finding(keys, Kind.PARKED, why="its changes wait in quarantine"))
            elif digest(finding.copy) not in self._may_be(first[keys], came.get(keys, ())):
                judged.append(finding)
        return judged

    def _may_be(self, first: bytes, came: Iterable[Came]) -> set[bytes]:
        """Return the digests of what a copy may be. Rows that were read from the source may come and go.

        The item as first seen is always among them: what came as settled may be a repeat from before that.
        """
        changes = sorted((each for each in came if not each.is_row), key=lambda each: each.order)
        settled = [each for each in changes if each.settled]
        base = settled[-1].order if settled else ("", -1)
        return {first} | {self._digest(each.image) for each in came if each.is_row or each.order >= base}

    def _digest(self, image: bytes | None) -> bytes:
        return digest(None if image is None else self._expected(image))


def _is_parked(name: str, span: Span) -> bool:
    places: Iterable[Places] = span
    return any(name in checkpoint.parked for each in places for checkpoint in each.values())


def _finding(keys: bytes, source: bytes | None, copy: bytes | None) -> Finding:
    if copy is None:
        return Finding(keys, Kind.MISSING, source=source)
    if source is None:
        return Finding(keys, Kind.EXTRA, copy=copy)
    names = tuple(sorted(orjson.loads(diff(copy, source))))
    return Finding(keys, Kind.DIFFERENT, names, source=source, copy=copy)
