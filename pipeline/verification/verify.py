"""One comparison of a table with its copy at a topology: read, suspect, judge, part by part, in bounded memory."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from pipeline.model.snapshot import digest_of
from pipeline.ports import Clock
from pipeline.verification.judge import Finding, Judge, Kind
from pipeline.verification.meeting import UNMET_MAX, Meeting
from pipeline.verification.side import Side

SUSPECTS_MAX = 10_000
"""Items judged together: more are judged while the tables are not read."""


@dataclass(slots=True)
class Count:
    """How far a comparison is, and what it found."""

    about: int = 0
    source_items: int = 0
    copy_items: int = 0
    judged: int = 0
    """Items that were not seen equal at once, and had to be looked at again."""
    seconds: float = 0.0
    """Since it began."""
    found: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    limited: bool = False
    """True when it ended early, because enough was found."""

    @property
    def left_seconds(self) -> float:
        """Return how long the rest may take if it goes on as so far, 0 when that is not known."""
        return self.seconds * max(0, self.about - self.source_items) / self.source_items if self.source_items else 0.0

    @property
    def differences(self) -> int:
        """Return how many items differ, those with changes in quarantine included."""
        return sum(count for kind, count in self.found.items() if kind is not Kind.UNDECIDED)


class Verification:
    """Compares one table with one copy. Findings come in no order, each item once."""

    def __init__(
        self,
        source: Side,
        copy: Side,
        judge: Judge,
        clock: Clock,
        *,
        findings_max: int,
        progress: Callable[[Count], None] = lambda _: None,
        unmet_max: int = UNMET_MAX,
    ) -> None:
        self._source = source
        self._copy = copy
        self._judge = judge
        self._clock = clock
        self._began = clock.monotonic()
        self._findings_max = findings_max
        self._progress = progress
        self._unmet_max = unmet_max
        self._told: set[bytes] = set()
        self.count = Count()

    async def parts(self, first: int, last: int, of: int) -> AsyncIterator[Finding]:
        """Compare the parts `first` to `last`, counted from 0, of a table divided into `of`."""
        self.count.about = await self._source.about() * (last + 1 - first) // of
        for part in range(first, last + 1):
            async for finding in self._part(part, of):
                yield finding
            if self.count.limited:
                return

    async def items(self, keys: Sequence[bytes]) -> AsyncIterator[Finding]:
        """Compare some items."""
        self.count.about = len(keys)
        for start in range(0, len(keys), SUSPECTS_MAX):
            some = keys[start : start + SUSPECTS_MAX]
            self.count.source_items += len(await self._source.get(some))
            self.count.copy_items += len(await self._copy.get(some))
            async for finding in self._judged(some):
                yield finding

    async def _part(self, part: int, of: int) -> AsyncIterator[Finding]:
        meeting, suspects = Meeting(self._source, self._copy, self._unmet_max), dict[bytes, None]()
        source_before, copy_before = self.count.source_items, self.count.copy_items
        async for some in meeting.suspects(part, of):
            self.count.source_items = source_before + meeting.read[0]
            self.count.copy_items = copy_before + meeting.read[1]
            self._say()
            suspects.update(dict.fromkeys(some))
            while len(suspects) >= SUSPECTS_MAX:
                now = list(suspects)[:SUSPECTS_MAX]
                async for finding in self._judged(now):
                    yield finding
                for each in now:
                    del suspects[each]
            if self.count.limited:
                return
        async for finding in self._judged(list(suspects)):
            yield finding

    async def _judged(self, keys: Sequence[bytes]) -> AsyncIterator[Finding]:
        self.count.judged += len(keys)
        for finding in await self._judge.judge(keys):
            name = digest_of(finding.keys)
            if name in self._told:
                continue
            if len(self._told) == self._findings_max:
                self.count.limited = True
                return
            self._told.add(name)
            self.count.found[finding.kind] += 1
            yield finding
        self._say()

    def _say(self) -> None:
        self.count.seconds = self._clock.monotonic() - self._began
        self._progress(self.count)
