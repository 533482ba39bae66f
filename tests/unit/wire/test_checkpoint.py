"""Checkpoints as rows: what is written is read, by this version and the one before."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.model.errors import Corrupt
from pipeline.model.progress import Checkpoint, ParkedKey, Why
from pipeline.ports import FieldValue
from pipeline.wire.checkpoint import from_fields, to_fields

GOLDEN = Path(__file__).parents[2] / "golden" / "checkpoint"
PLAIN = Checkpoint(
    10**55 + 7, 1200, 1190, {("t/e/s-1", 3): (10**21, 5), ("t/e/s-2", 0): (7, 6)}, False, 1_700_000, through_ms=6
)
KEY = ParkedKey("2026-01-01T00:00:00.000", 10**40 - 1, 2**127, 1_600_000, Why.DEFECT, 3, ("2026-01-02", 10**20))
PARKED = Checkpoint(1, 2, 2, {}, True, 3, {"00ff" * 6: KEY, "ab" * 12: ParkedKey("e", 1, 0, 0, Why.REFUSED)})
BEHIND = replace(PARKED, through_ms=1_800_000, part=2)
CASES = {"plain-v1": PLAIN, "parked-v2": PARKED, "new-v1": Checkpoint(), "behind-v3": BEHIND}


def golden(name: str) -> dict[str, FieldValue]:
    """Return the fields of a row as they were stored when the format was made."""
    stored: dict[str, str | int | list[str]] = json.loads((GOLDEN / f"{name}.json").read_text())
    fields: dict[str, FieldValue] = {
        field: bytes.fromhex(value[0]) if isinstance(value, list) else value for field, value in stored.items()
    }
    return fields


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_is_read(name: str) -> None:
    """Every field of a checkpoint comes back, those of keys in quarantine too."""
    assert from_fields(to_fields(CASES[name]), name) == CASES[name]


@pytest.mark.parametrize("name", CASES)
def test_rows_of_each_version_stay_readable(name: str) -> None:
    """A row that an earlier worker wrote is the checkpoint it was; its last arrival is in `seen`."""
    assert from_fields(golden(name), name) == CASES[name]


def test_without_quarantine_a_row_is_one_an_older_worker_can_go_on_from() -> None:
    """Versions 2 and 3 are written only when there is something that an older worker must not overlook."""
    assert [to_fields(each)["format"] for each in CASES.values()] == [1, 2, 1, 3]


@pytest.mark.parametrize(
    "change", [{"format": 3}, {"format": 4}, {"part": 1}, {"parked": b"x"}, {"parked": b""}, {"position": "1"}]
)
def test_a_row_that_was_changed_is_refused(change: dict[str, FieldValue]) -> None:
    """Nothing is guessed from a row of a newer version or an edited one: keys would be let out of quarantine."""
    with pytest.raises(Corrupt):
        from_fields({**to_fields(PARKED), **change}, "row")
