"""The demo's proof: every way to be wrong is found."""

from dataclasses import replace

import orjson
import pytest

from pipeline.model.change import Change, ChangeKind
from pipeline.verification.compare import Comparison
from pipeline.wire.chain import entry
from pipeline.wiring.demo.proof import Evidence, Marks, Proof, mark_of_change, mark_of_entry, prove, trail

MADE: Marks = {b"a": [1, 2, -2, 3], b"b": [1, -1]}
EQUAL = Comparison(equal=1)


def evidence(**other: object) -> Evidence:
    """Return what is found when all is well, except for `other`."""
    good = Evidence(
        archive=MADE,
        archive_segments=2,
        audit=MADE,
        audit_entries=6,
        audit_sound=True,
        replica_against_source=EQUAL,
        archive_against_source=EQUAL,
        restored_against_source=EQUAL,
        restored_to="2026-11-24T10:41:07Z",
        folder_files=6,
        stream_repeats=3,
        sink_repeats=4,
    )
    return replace(good, **other)  # type: ignore[arg-type]  # names of fields, checked by replace itself


def proof(found: Evidence) -> Proof:
    """Judge evidence of six changes."""
    return prove(MADE, found, changes=6, kills=2, seconds=1.23)


def test_a_good_run_has_no_problem_and_all_figures() -> None:
    """The figures carry every name that is promised."""
    good = proof(evidence())
    assert good.problems == []
    assert good.figures["lost"] == good.figures["reordered"] == 0
    assert good.figures["duplicates_dropped"] == 7
    assert good.figures["replica"] == {"items": 1, "mismatches": 0}
    assert good.figures["archive"]["segments"] == 2
    assert good.figures["restored"] == {"to": "2026-11-24T10:41:07Z", "items": 1, "mismatches": 0}
    assert good.figures["audit"] == {"entries": 6, "verified": True}
    assert (good.figures["changes"], good.figures["kills"], good.figures["seconds"]) == (6, 2, 1.2)
    orjson.dumps(good.figures)


@pytest.mark.parametrize(
    ("found", "figure", "value"),
    [
        ({b"a": [1, 2, 3], b"b": [1, -1]}, "lost", 1),
        ({b"a": [1, 2, -2, 3]}, "lost", 2),
        ({b"a": [1, -2, 2, 3], b"b": [1, -1]}, "reordered", 1),
        ({b"a": [2, -2, 3, 1], b"b": [-1, 1]}, "reordered", 2),
    ],
)
@pytest.mark.parametrize("where", ["archive", "audit"])
def test_what_is_lost_or_out_of_order_is_counted(where: str, found: Marks, figure: str, value: int) -> None:
    """One place is enough, be it the archive or the audit log."""
    wrong = proof(evidence(**{where: found}))
    assert wrong.figures[figure] == value
    assert len(wrong.problems) == 1


def test_a_change_lost_in_both_places_is_one() -> None:
    """What is lost is counted by change, not by place."""
    less = {b"a": [1, 2, -2, 3]}
    assert proof(evidence(archive=less, audit=less)).figures["lost"] == 2


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"archive": {**MADE, b"b": [1, 1, -1]}}, "delivered twice"),
        ({"audit": {**MADE, b"c": [1]}}, "nobody made"),
        ({"replica_against_source": Comparison(equal=1, missing=1)}, "replica: 1 items differ"),
        ({"archive_against_source": Comparison(different=1, extra=1)}, "archive: 2 items differ"),
        ({"restored_against_source": Comparison(different=3)}, "restored: 3 items differ from the source as it was"),
        ({"audit_sound": False}, "does not verify"),
        ({"folder_files": 5}, "5 files for 6 changes"),
        ({"problems": ["worker-2 ended with exit code 1 after SIGTERM"]}, "exit code 1"),
    ],
)
def test_everything_else_that_is_wrong_is_said(other: dict[str, object], words: str) -> None:
    """Each way to be wrong has its own words."""
    (problem,) = proof(evidence(**other)).problems
    assert words in problem


def test_repeats_that_got_through_do_not_count_as_dropped() -> None:
    """A repeat at a sink is taken off what was dropped."""
    assert proof(evidence(archive={**MADE, b"b": [1, 1, -1]})).figures["duplicates_dropped"] == 6


def test_a_trail_of_nothing_is_nothing() -> None:
    """No change made, none found: nothing wrong."""
    assert trail({}, {}) == trail(MADE, MADE)


@pytest.mark.parametrize(
    ("kind", "before", "after", "mark"),
    [
        (ChangeKind.INSERT, None, 1, 1),
        (ChangeKind.MODIFY, 1, 2, 2),
        (ChangeKind.REMOVE, 2, None, -2),
    ],
)
def test_marks_are_read_from_images_and_from_diffs(
    kind: ChangeKind, before: int | None, after: int | None, mark: int
) -> None:
    """A change and its audit entry have the same mark, which is the version put or removed."""

    def image(version: int | None) -> bytes | None:
        return None if version is None else b'{"id":{"S":"a"},"version":{"N":"%d"}}' % version

    change = Change("orders", "e", "s", 1, kind, b'{"id":{"S":"a"}}', image(before), image(after), 0)
    assert mark_of_change(change) == mark
    assert mark_of_entry(orjson.loads(entry(1, change, "0"))) == mark
