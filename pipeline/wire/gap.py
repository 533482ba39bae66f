"""Gaps, version 1: as fields of a state row, and as a change of kind GAP that travels and is kept like any other.

Such a change is of no item. Its key is `{"gap":{"S":id}}`, its image the fields below, its shard `gap-<id>`, and its
sequence the step of the gap's state: 1 when it was noticed, more when it was decided on. So a gap that is put again is
recognised as a repeat.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Corrupt
from pipeline.model.gap import GapCause, GapRecord, GapState
from pipeline.ports import FieldValue

VERSION = 1


def to_fields(gap: GapRecord) -> dict[str, FieldValue]:
    """Return a gap as fields of a state row."""
    return {**_texts(gap), "noticedMs": gap.noticed_ms, "decidedMs": gap.decided_ms, "told": gap.told, **_HEAD}


def from_fields(fields: Mapping[str, FieldValue], where: str) -> GapRecord:
    """Return the gap of a row. Raises Corrupt, naming `where`, when this version cannot read it."""
    if fields.get("format") != VERSION:
        raise _unreadable(where)
    try:
        return _read(fields, int(fields["noticedMs"]), int(fields["decidedMs"]), int(fields["told"]))  # type: ignore[arg-type]  # int() refuses what is no number
    except (KeyError, ValueError, TypeError) as error:
        raise _unreadable(where) from error


def to_change(gap: GapRecord) -> Change:
    """Return the change that tells of a gap as it now is; equal gaps give equal changes."""
    times_ms = {"noticedMs": gap.noticed_ms, "decidedMs": gap.decided_ms}
    image = {name: {"S": str(text)} for name, text in {**_texts(gap), **times_ms}.items()}
    keys = orjson.dumps({"gap": {"S": gap.id}})
    time_ms = gap.decided_ms or gap.noticed_ms
    shard, sequence = f"gap-{gap.id}", gap.state.step
    return Change(gap.table, gap.epoch, shard, sequence, ChangeKind.GAP, keys, None, orjson.dumps(image), time_ms)


def from_image(image: bytes, where: str) -> GapRecord:
    """Return the gap that a change of kind GAP tells of, from its image. Raises Corrupt."""
    try:
        texts = {name: value["S"] for name, value in orjson.loads(image).items()}
        return _read(texts, int(texts["noticedMs"]), int(texts["decidedMs"]), 0)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _unreadable(where) from error


_HEAD: dict[str, FieldValue] = {"format": VERSION, "entityType": "GAP"}


def _texts(gap: GapRecord) -> dict[str, FieldValue]:
    return {
        "cause": gap.cause.value,
        "table": gap.table,
        "epoch": gap.epoch,
        "shard": gap.shard,
        "topology": gap.topology,
        "after": gap.after,
        "until": gap.until,
        "reason": gap.reason,
        "number": str(gap.number),
        "state": gap.state.value,
        "by": gap.by,
    }


def _read(texts: Mapping[str, Any], noticed_ms: int, decided_ms: int, told: int) -> GapRecord:
    named = {
        name: str(texts[name]) for name in ("table", "epoch", "shard", "topology", "after", "until", "reason", "by")
    }
    return GapRecord(
        cause=GapCause(texts["cause"]),
        state=GapState(texts["state"]),
        number=int(texts["number"]),
        noticed_ms=noticed_ms,
        decided_ms=decided_ms,
        told=told,
        **named,
    )


def _unreadable(where: str) -> Corrupt:
    return Corrupt(f"the gap in {where} cannot be read", hint="was it written by a newer version? Upgrade first.")
