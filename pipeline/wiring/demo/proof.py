"""What the demo claims, computed from what was written and what was read back: pure functions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.model.change import Change
from pipeline.verification.compare import Comparison
from pipeline.wire.diff import attribute_of
from pipeline.wiring.demo.workload import VERSION

Marks = Mapping[bytes, Sequence[int]]
"""For each item, the marks of its changes in order: the version put, negative for the removal of that version."""
Place = tuple[bytes, int]
"""One change: an item's keys and a mark."""


@dataclass(frozen=True, slots=True)
class Trail:
    """How the changes found at a sink compare with those that were made."""

    lost: frozenset[Place]
    """Made, not found."""
    reordered: frozenset[Place]
    """Found after a change of the same item that was made later."""
    repeated: int
    """Found once more than they were made."""
    unknown: int
    """Found, never made."""


def trail(made: Marks, found: Marks) -> Trail:
    """Compare item by item."""
    lost: set[Place] = set()
    reordered: set[Place] = set()
    repeated = unknown = 0
    for keys in made.keys() | found.keys():
        place = {mark: index for index, mark in enumerate(made.get(keys, ()))}
        counts = Counter(found.get(keys, ()))
        lost |= {(keys, mark) for mark in place if mark not in counts}
        repeated += sum(count - 1 for mark, count in counts.items() if mark in place)
        unknown += sum(count for mark, count in counts.items() if mark not in place)
        reordered |= {(keys, mark) for mark in _late([m for m in found.get(keys, ()) if m in place], place)}
    return Trail(frozenset(lost), frozenset(reordered), repeated, unknown)


def _late(marks: Sequence[int], place: Mapping[int, int]) -> Iterable[int]:
    furthest = -1
    for mark in marks:
        if place[mark] < furthest:
            yield mark
        furthest = max(furthest, place[mark])


def mark_of_change(change: Change) -> int:
    """Return the mark of a change from its images."""
    image = change.before if change.after is None else change.after
    version = orjson.loads(attribute_of(image, VERSION) or b'{"N":"0"}')["N"]
    return -int(version) if change.after is None else int(version)


def mark_of_entry(entry: Mapping[str, Any]) -> int:
    """Return the mark of an audit entry from its diff."""
    old, new = entry["diff"].get(VERSION, [None, None])
    return int(new["N"]) if new else -int(old["N"]) if old else 0


@dataclass(slots=True)
class Evidence:
    """What was read back when everything had come to rest."""

    archive: Marks = field(default_factory=dict)
    archive_segments: int = 0
    audit: Marks = field(default_factory=dict)
    audit_entries: int = 0
    audit_sound: bool = False
    replica_against_source: Comparison = field(default_factory=Comparison)
    archive_against_source: Comparison = field(default_factory=Comparison)
    restored_against_source: Comparison = field(default_factory=Comparison)
    """A table restored to a second in the middle of the run, against the source as it was in that second."""
    restored_to: str = ""
    folder_files: int = 0
    stream_repeats: int = 0
    """Changes that lie more than once in the Kinesis stream."""
    sink_repeats: int = 0
    """Changes that a killed worker had written and not checkpointed, summed over the topologies."""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Proof:
    """The figures of the report, and what is wrong in words."""

    figures: Mapping[str, Any]
    problems: Sequence[str]


def prove(made: Marks, found: Evidence, *, changes: int, kills: int, seconds: float) -> Proof:
    """Judge the evidence: everything that is not as promised is a problem."""
    in_archive, in_audit = trail(made, found.archive), trail(made, found.audit)
    got_through = in_archive.repeated + in_audit.repeated
    figures = {
        "changes": changes,
        "lost": len(in_archive.lost | in_audit.lost),
        "reordered": len(in_archive.reordered | in_audit.reordered),
        "duplicates_dropped": found.stream_repeats + found.sink_repeats - got_through,
        "duplicates": {"in_stream": found.stream_repeats, "at_sinks": found.sink_repeats, "got_through": got_through},
        "replica": _compared(found.replica_against_source),
        "archive": {"segments": found.archive_segments, **_compared(found.archive_against_source)},
        "audit": {"entries": found.audit_entries, "verified": found.audit_sound},
        "restored": {"to": found.restored_to, **_compared(found.restored_against_source)},
        "folder": {"files": found.folder_files},
        "kills": kills,
        "seconds": round(seconds, 1),
    }
    problems = [*found.problems, *_complaints(figures, in_archive.unknown + in_audit.unknown)]
    return Proof({**figures, "problems": problems}, problems)


def _compared(comparison: Comparison) -> dict[str, int]:
    return {
        "items": comparison.equal + comparison.extra + comparison.different,
        "mismatches": comparison.missing + comparison.extra + comparison.different,
    }


def _complaints(figures: Mapping[str, Any], unknown: int) -> Iterable[str]:
    counts = {
        "lost: not in the archive or not in the audit log": figures["lost"],
        "out of order": figures["reordered"],
        "delivered twice": figures["duplicates"]["got_through"],
        "in the archive or audit log that nobody made": unknown,
    }
    yield from (f"{count:,} changes {what}" for what, count in counts.items() if count)
    for name in ("replica", "archive"):
        if figures[name]["mismatches"]:
            yield f"{name}: {figures[name]['mismatches']:,} items differ from the source"
    if figures["restored"]["mismatches"]:
        yield f"restored: {figures['restored']['mismatches']:,} items differ from the source as it was"
    if not figures["audit"]["verified"]:
        yield "audit: the chain does not verify"
    if figures["folder"]["files"] != figures["changes"]:
        yield f"folder: {figures['folder']['files']:,} files for {figures['changes']:,} changes"
