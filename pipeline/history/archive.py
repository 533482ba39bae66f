"""Reading the archive, segment by segment: each checked against its own hashes and against the one before it."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import NamedTuple

from pipeline.model.errors import Corrupt
from pipeline.ports import ObjectStore
from pipeline.wire import segment
from pipeline.wire.packed import Header, Link

READ_AHEAD_MAX = 4
"""Objects that are on their way while one is looked at: memory is this many compressed segments, and one expanded."""
FOLDER = f"{segment.KIND.folder}/"
LOST_OBJECT = "restore the object from a version or a copy of the bucket"
STRANGER = "remove it, if nobody else needs it: the archive's prefix is for the archive alone"
FORK = "two pipelines have written to one prefix: give each its own, and restore the objects of this one from a copy"

_NAME = re.compile(re.escape(FOLDER) + r"(?P<shard>[^/]+/[^/]+)/\d{20}" + re.escape(segment.KIND.suffix))

_NOTHING = Link(0, "", "")


class Problem(NamedTuple):
    """A place where the archive is not what was written, and what to do about it."""

    object: str
    first: int
    """The positions it is about, both included; 0 where none can be named."""
    last: int
    reason: str
    remedy: str

    def error(self) -> Corrupt:
        """Return it as the error that stops a reader."""
        return Corrupt(self.reason, hint=self.remedy)


class Step(NamedTuple):
    """One object of the walk: its segment, unless it cannot be read, and what is wrong before it or with it."""

    name: str
    shard: str
    """`<stream>/<shard>`; empty for an object that is no segment."""
    segment: segment.Segment | None
    size_bytes: int
    problems: tuple[Problem, ...]


async def walk(objects: ObjectStore, starts: Mapping[str, Link] | None = None) -> AsyncIterator[Step]:
    """Yield every object of the archive's segments, shard by shard, in order of position, good or bad.

    `starts` has, by `<stream>/<shard>`, the last object that need not be read, such as a snapshot names it; a shard
    that is not in it is read from position 1. After a problem the walk goes on from what is stored, so that one edit
    is one problem or two. Only the end of a shard can be missing unseen: see `ends`.
    """
    links = dict(starts or {})
    known: dict[str, Link | None] = {}
    async for name, data in _read_ahead(objects, links):
        found = _NAME.fullmatch(name)
        if found is None:
            reason = f"object {name} is no segment of an archive"
            yield Step(name, "", None, len(data or b""), (Problem(name, 0, 0, reason, STRANGER),))
            continue
        shard = found["shard"]
        if shard not in known:
            known[shard] = links.get(shard) or segment.KIND.genesis(*shard.split("/"))
        link, step = _look(name, shard, data, known[shard])
        known[shard] = link
        yield step


async def segments(objects: ObjectStore, starts: Mapping[str, Link] | None = None) -> AsyncIterator[segment.Segment]:
    """Yield all segments, as `walk` does. Raises Corrupt at the first problem, naming object and positions."""
    async for step in walk(objects, starts):
        if step.problems:
            raise step.problems[0].error()
        assert step.segment is not None
        yield step.segment


async def has_more(objects: ObjectStore, starts: Mapping[str, Link] | None = None) -> bool:
    """Return True when the archive has segments behind `starts`; none is read."""
    async for name in names_behind(objects, starts or {}):
        if _NAME.fullmatch(name):
            return True
    return False


def shard_of(name: str) -> str:
    """Return the `<stream>/<shard>` of a segment's name, empty for any other name."""
    found = _NAME.fullmatch(name)
    return found["shard"] if found else ""


async def names_behind(objects: ObjectStore, links: Mapping[str, Link]) -> AsyncIterator[str]:
    """Yield in ascending order the names that are not at or before the link of their shard.

    Those are not listed either, or but a page of them: the listing jumps to each link.
    """
    after, more = "", True
    while more:
        more = False
        async with aclosing(_listed(objects, after)) as listed:
            async for name in listed:
                link = links.get(shard_of(name), _NOTHING)
                if name < link.name:
                    after, more = link.name, True
                    break
                if name != link.name:
                    yield name


async def _listed(objects: ObjectStore, after: str) -> AsyncGenerator[str, None]:
    async for name in objects.names(FOLDER, after):
        yield name


def _look(name: str, shard: str, data: bytes | None, link: Link | None) -> tuple[Link | None, Step]:
    """Judge one object by its predecessor, None when that one cannot be read; return it as its successor sees it."""
    size_bytes = len(data or b"")
    try:
        found = segment.decode(name, data or b"")
    except Corrupt as error:
        first = int(name[-20 - len(segment.KIND.suffix) : -len(segment.KIND.suffix)])
        reason = error.reason if data is not None else f"object {name} was deleted while the archive was read"
        return None, Step(name, shard, None, size_bytes, (Problem(name, first, first, reason, error.hint),))
    header = found.header
    problem = None if link is None else _break(name, header, link)
    problems = () if problem is None else (problem,)
    return header.link(name, found.seal), Step(name, shard, found, size_bytes, problems)


def _break(name: str, header: Header, link: Link) -> Problem | None:
    """Return what is wrong between an object and the one before it."""
    if header.follows(link):
        return None
    if header.first > link.last + 1:
        first, last = link.last + 1, header.first - 1
        reason = f"the archive has a hole before object {name}: positions {first} to {last} are missing"
        if header.previous.name:
            reason += f", up to object {header.previous.name}"
        return Problem(name, first, last, reason, LOST_OBJECT)
    if header.first <= link.last:
        reason = f"object {name} forks the archive: positions {header.first} to {link.last} are in {link.name} too"
        return Problem(name, header.first, link.last, reason, FORK)
    reason = f"object {link.name or name} is not the one that {name} follows"
    return Problem(link.name or name, header.first - 1, header.first, reason, LOST_OBJECT)


async def _read_ahead(objects: ObjectStore, links: Mapping[str, Link]) -> AsyncIterator[tuple[str, bytes | None]]:
    """Yield (name, content) in order of name, some objects already being read while one is looked at."""
    waiting: deque[tuple[str, asyncio.Task[bytes | None]]] = deque()
    try:
        async for name in names_behind(objects, links):
            waiting.append((name, asyncio.ensure_future(_read(objects, name))))
            if len(waiting) == READ_AHEAD_MAX:
                first, reading = waiting.popleft()
                yield first, await reading
        while waiting:
            first, reading = waiting.popleft()
            yield first, await reading
    finally:
        for _, reading in waiting:
            reading.cancel()
        await asyncio.gather(*(reading for _, reading in waiting), return_exceptions=True)


async def _read(objects: ObjectStore, name: str) -> bytes | None:
    return await objects.read(name)
