"""What the picture shows: counts by stage of the way, processes, and what has happened."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

RATE_SECONDS = 2.0
"""Span over which a rate is taken."""


class Event(NamedTuple):
    """Something a watcher should not miss."""

    seconds: float
    text: str
    alarming: bool = False


class Counts(NamedTuple):
    """How many changes have got how far."""

    written: int = 0
    captured: int = 0
    settled: dict[str, int] = {}  # noqa: RUF012  # never changed: each look makes new ones

    def of(self, stage: str) -> int:
        """Return the count of "written", "captured" or a topology."""
        return self.written if stage == "written" else self.captured if stage == "captured" else self.settled[stage]


@dataclass(slots=True)
class Scene:
    """The state of the demo at the last look."""

    changes: int
    topologies: tuple[str, ...]
    phase: str = "starting the embedded AWS"
    seconds: float = 0.0
    processes: dict[str, str] = field(default_factory=dict)
    """What is running as capture and worker, in words."""
    events: list[Event] = field(default_factory=list)
    shards: int = 0
    kills: int = 0
    _looks: deque[tuple[float, Counts]] = field(default_factory=deque)

    @property
    def counts(self) -> Counts:
        """Return the counts of the last look."""
        return self._looks[-1][1] if self._looks else Counts(0, 0, dict.fromkeys(self.topologies, 0))

    def look(self, seconds: float, counts: Counts) -> None:
        """Take note of new counts."""
        self.seconds = seconds
        self._looks.append((seconds, counts))
        while len(self._looks) > 2 and seconds - self._looks[1][0] >= RATE_SECONDS:  # noqa: PLR2004  # a span has two ends
            self._looks.popleft()

    def rate(self, stage: str) -> float:
        """Return the changes a second of a stage, over the last RATE_SECONDS."""
        if len(self._looks) < 2:  # noqa: PLR2004  # a span has two ends
            return 0.0
        (then, before), (now, after) = self._looks[0], self._looks[-1]
        return (after.of(stage) - before.of(stage)) / max(now - then, 0.001)

    def behind(self, stage: str) -> int:
        """Return how many written changes a stage has still to come to."""
        return max(0, self.counts.written - self.counts.of(stage))

    def happened(self, text: str, *, alarming: bool = False) -> None:
        """Add an event, now."""
        self.events.append(Event(self.seconds, text, alarming))
