"""Rows read from a table while its changes flow: which of them still count when they arrive in the stream.

A row says what an item was at some moment, but not where that moment lies among the item's changes. So a reader opens
a window in every lane, and only when that is acknowledged reads a chunk of rows and sends them after it. A row counts
if no change of its item has come since its window was opened:

- a change after the read comes after the row, or between window and row: it wins either way;
- a change before the read that comes before the window is in the row; one that comes after the row is applied after it,
  and then the later ones, each a whole image: the item may go back for a moment, and ends at its last change;
- without any change after the window, what was read is what is there.

Safety depends on the order inside a lane alone, on no clock and on nobody's being alive.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pipeline.model.change import Change, ChangeKind

CHUNK_ROWS_MAX = (1 << 20) - 1
TOUCHED_MAX = 8_000
"""Items remembered for one window; beyond it the window is refused, and its reader reads again."""
RUNS_KEPT = 16
REFUSED_KEPT = 100
EXPORT_RUN = "x"
"""What the name of a run begins with whose rows are an export's: a run's own name is hexadecimal."""
OPENS = "window-open"
CLOSES = "window-close"
"""Instead of an eventID: what a change of kind SNAPSHOT that is no row does."""


class Window(NamedTuple):
    """What is remembered of one lane since a reader opened its last window there."""

    chunk: int
    touched: frozenset[bytes]
    """Digests of the items that have changed since."""
    refused: bool = False
    """True when too many have: no row of the chunk counts."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What has arrived of one reader."""

    rows: int = 0
    """Rows that counted."""
    passed: int = 0
    """Rows that a change had overtaken."""
    lanes: int = 0
    """One bit for each lane in which the reader has said that it has done."""
    refused: tuple[int, ...] = ()
    """Chunks that have to be read again."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """What a checkpoint keeps of the readers of its shard."""

    windows: Mapping[tuple[str, int], Window] = field(default_factory=dict)
    """By source and lane."""
    arrived: Mapping[str, Arrived] = field(default_factory=dict)
    """By source, oldest first."""


NONE = Snapshots()


def shard_of(run: str, segment: int, topologies: Iterable[str] = ()) -> str:
    """Return what stands in place of a source shard for the rows of one reader; no topologies means all."""
    return "=".join([f"snapshot-{run}-{segment}", *sorted(topologies)])


def is_of_export(change: Change) -> bool:
    """Return True for a row that is of an export, or was read in the place of one that had changed since."""
    return is_row(change) and change.shard.startswith(f"snapshot-{EXPORT_RUN}")


def sequence_of(chunk: int, row: int) -> int:
    """Return the sequence of a row of a chunk, rows counted from 1; 0 opens its window, the last closes it.

    Chunks are numbered by the time they begin at, in milliseconds: a later row of an item has a greater sequence, and
    every change of the stream one that is greater still, since it has more digits.
    """
    assert 0 <= row <= CHUNK_ROWS_MAX
    return chunk * (CHUNK_ROWS_MAX + 1) + row


def is_for(change: Change, topology: str) -> bool:
    """Return True when a change of kind SNAPSHOT concerns a topology."""
    _, *names = change.shard.split("=")
    return not names or topology in names


class Windows:
    """The windows of one topology on one shard; what they hold depends on the shard's records alone."""

    def __init__(self, known: Snapshots = NONE) -> None:
        self._known = known
        self._touched: dict[tuple[str, int], set[bytes]] = {at: set(w.touched) for at, w in known.windows.items()}

    def counted(
        self, source: str, lane: int, fresh: tuple[Change, ...], tables: Collection[str], topology: str
    ) -> tuple[Change, ...]:
        """Return what counts of a record's changes: all, or of rows those that no change has overtaken.

        Rows of other tables than these, or for other topologies, do not count.
        """
        if not is_row(fresh[0]):
            self.touch(lane, fresh)
            return fresh
        wanted = fresh[0].table in tables and is_for(fresh[0], topology)
        return self.admit(source, lane, fresh) if wanted else ()

    def touch(self, lane: int, changes: Sequence[Change]) -> None:
        """Remember that these items have changed: rows of them that were read before do not count any more."""
        table = f"{changes[0].table}/"
        for at, window in self._known.windows.items():
            if at[1] == lane and at[0].startswith(table) and not window.refused:
                self._touched[at].update(digest_of(change.keys) for change in changes)
                if len(self._touched[at]) > TOUCHED_MAX:
                    self._touched[at] = set()
                    self._set(at, window._replace(touched=frozenset(), refused=True))

    def admit(self, source: str, lane: int, rows: Sequence[Change]) -> tuple[Change, ...]:
        """Return the rows that count; take note of windows that open and close."""
        at, counted = (source, lane), []
        for row in rows:
            chunk = row.sequence // (CHUNK_ROWS_MAX + 1)
            if row.event_id == OPENS:
                self._open(at, chunk)
            elif row.event_id == CLOSES:
                self._close(at)
            elif self._counts(at, chunk, row):
                counted.append(row)
        if counted:
            arrived = self._arrived(source)
            self._note(source, replace(arrived, rows=arrived.rows + len(counted)))
        return tuple(counted)

    def state(self) -> Snapshots:
        """Return what a checkpoint has to keep."""
        for at, window in self._known.windows.items():
            if len(window.touched) != len(self._touched[at]):
                self._set(at, window._replace(touched=frozenset(self._touched[at])))
        return self._known

    def _counts(self, at: tuple[str, int], chunk: int, row: Change) -> bool:
        """Return True when nothing has overtaken a row; a row without its window is refused, and read again."""
        window, arrived = self._known.windows.get(at), self._arrived(at[0])
        if window is not None and window.chunk > chunk:
            return False  # left over from a reader that is dead: its successor reads these rows again
        if window is None or window.chunk < chunk or window.refused:
            if chunk not in arrived.refused:
                self._note(at[0], replace(arrived, refused=(*arrived.refused, chunk)[-REFUSED_KEPT:]))
            return False
        if digest_of(row.keys) in self._touched[at]:
            self._note(at[0], replace(arrived, passed=arrived.passed + 1))
            return False
        return True

    def _open(self, at: tuple[str, int], chunk: int) -> None:
        window = self._known.windows.get(at)
        if window is None or window.chunk < chunk:
            self._touched[at] = set()
            self._set(at, Window(chunk, frozenset()))

    def _close(self, at: tuple[str, int]) -> None:
        source, lane = at
        self._touched.pop(at, None)
        windows = {each: window for each, window in self._known.windows.items() if each != at}
        self._known = replace(self._known, windows=windows)
        arrived = self._arrived(source)
        self._note(source, replace(arrived, lanes=arrived.lanes | 1 << lane))

    def _set(self, at: tuple[str, int], window: Window) -> None:
        self._known = replace(self._known, windows={**self._known.windows, at: window})

    def _arrived(self, source: str) -> Arrived:
        return self._known.arrived.get(source, Arrived())

    def _note(self, source: str, arrived: Arrived) -> None:
        kept = dict(self._known.arrived)
        kept[source] = arrived
        forgotten = set(list(kept)[: max(0, len(kept) - RUNS_KEPT)])
        kept = {each: arrived for each, arrived in kept.items() if each not in forgotten}
        windows = {at: window for at, window in self._known.windows.items() if at[0] not in forgotten}
        self._known = Snapshots(windows if forgotten else self._known.windows, kept)


def inherited(parents: Iterable[Snapshots]) -> Snapshots:
    """Return what a shard begins with: a lane may go on here that a parent had, window and all."""
    windows: dict[tuple[str, int], Window] = {}
    arrived: dict[str, Arrived] = {}
    for parent in parents:
        for at, window in parent.windows.items():
            windows[at] = _joined(windows[at], window) if at in windows else window
        for source, theirs in parent.arrived.items():
            ours = arrived.get(source, Arrived())
            refused = tuple(sorted({*ours.refused, *theirs.refused}))[-REFUSED_KEPT:]
            arrived[source] = Arrived(0, 0, ours.lanes | theirs.lanes, refused)  # rows are counted where they came
    return Snapshots(windows, arrived)


def is_row(change: Change) -> bool:
    """Return True for what a reader has sent, windows included."""
    return change.kind is ChangeKind.SNAPSHOT


def digest_of(keys: bytes) -> bytes:
    """Return what an item is remembered by."""
    return hashlib.blake2b(keys, digest_size=16).digest()


def _joined(one: Window, other: Window) -> Window:
    if one.chunk != other.chunk:
        return max(one, other, key=lambda window: window.chunk)
    return Window(one.chunk, one.touched | other.touched, one.refused or other.refused)
