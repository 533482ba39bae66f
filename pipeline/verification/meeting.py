"""Two tables read side by side: items that are seen equal at both are forgotten at once.

Both tables are scanned once, a page of one and a page of the other. What was seen at one side only is remembered, as
key and digest, until it comes at the other. Where both tables list their items in the same order that is about a page;
nothing depends on it: beyond UNMET_MAX the oldest is taken for a suspect, and looked at by its key.
"""

from collections.abc import AsyncIterator

from pipeline.ports import RowPage
from pipeline.verification.side import ABSENT, Side

UNMET_MAX = 50_000
"""Items remembered that were seen at one side only."""


class Meeting:
    """One segment of both tables."""

    def __init__(self, source: Side, copy: Side, unmet_max: int = UNMET_MAX) -> None:
        self._sides = (source, copy)
        self._unmet: tuple[dict[bytes, bytes], dict[bytes, bytes]] = ({}, {})
        self._unmet_max = unmet_max
        self.read = [0, 0]
        """Items read of each side."""

    async def suspects(self, segment: int, segments: int) -> AsyncIterator[list[bytes]]:
        """Yield, page by page, the keys of items that were not seen equal."""
        starts: list[bytes | None] = [None, None]
        open_sides = [0, 1]
        while open_sides:
            for which in list(open_sides):
                page = await self._sides[which].page(segment, segments, starts[which])
                starts[which] = page.next
                if page.next is None:
                    open_sides.remove(which)
                yield self._meet(which, page)
        yield [keys for unmet in self._unmet for keys in unmet]

    def _meet(self, which: int, page: RowPage) -> list[bytes]:
        side, ours, theirs = self._sides[which], self._unmet[which], self._unmet[1 - which]
        suspects = []
        self.read[which] += len(page.rows)
        for keys, image in page.rows:
            digest = side.digest(image)
            if digest == ABSENT:
                continue
            other = theirs.pop(keys, None)
            if other is None:
                ours[keys] = digest
            elif other != digest:
                suspects.append(keys)
        return suspects + self._surplus()

    def _surplus(self) -> list[bytes]:
        """Forget the oldest of what is unmet, beyond what may be remembered; return their keys."""
        surplus = []
        while sum(map(len, self._unmet)) > self._unmet_max:
            larger = max(self._unmet, key=len)
            oldest = next(iter(larger))
            del larger[oldest]
            surplus.append(oldest)
        return surplus
