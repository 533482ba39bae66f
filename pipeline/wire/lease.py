"""What a lease row tells: who had it and since when, when it was renewed, how much there is to do, what is in the way.

Nothing but the balance of load is decided by it: times are wall clocks, and what cannot be read is shown as unknown, or
as no load. Old rows have none of it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from pipeline.model.state import Flow, Report
from pipeline.ports import FieldValue

OWNERS_MAX = 5
TROUBLES_MAX = 20
REASON_CHARACTERS_MAX = 200
_TROUBLE = (Flow.RETRYING, Flow.HALTED)


class Ownership(NamedTuple):
    """Who took a lease, and when, in epoch milliseconds of its own clock."""

    owner: str
    since_ms: int


class Trouble(NamedTuple):
    """Why a topology or the reading does not move, and since when, in epoch milliseconds of the owner's clock."""

    flow: str
    reason: str
    since_ms: int


_owners = msgspec.json.Decoder(list[Ownership])
_troubles = msgspec.json.Decoder(dict[str, Trouble])


def taken(fields: Mapping[str, FieldValue], owner: str, now_ms: int) -> dict[str, FieldValue]:
    """Return the fields of a row that has a new owner: the last few are kept, the newest first."""
    history = [Ownership(owner, now_ms), *owners_of(fields)][:OWNERS_MAX]
    kept = {name: value for name, value in fields.items() if name != "troubles"}
    return {**kept, "leaseOwner": owner, "owners": _text(history), "renewedMs": now_ms}


def renewed(
    fields: Mapping[str, FieldValue], reports: Mapping[str, Report], load: float, now_ms: int
) -> dict[str, FieldValue]:
    """Return the fields of a row whose owner lives, with what its work reports, by name, if something is wrong."""
    before = troubles_of(fields)
    now: dict[str, Trouble] = {}
    for name in [name for name in sorted(reports) if reports[name].flow in _TROUBLE][:TROUBLES_MAX]:
        report, old = reports[name], before.get(name)
        since_ms = old.since_ms if old and old.flow == report.flow else now_ms
        now[name] = Trouble(report.flow, report.reason[:REASON_CHARACTERS_MAX], since_ms)
    kept = {name: value for name, value in fields.items() if name != "troubles"}
    return {**kept, **({"troubles": _text(now)} if now else {}), "load": round(load), "renewedMs": now_ms}


def released(fields: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Return the fields of a row without an owner."""
    return {name: value for name, value in fields.items() if name not in {"leaseOwner", "troubles"}}


def owners_of(fields: Mapping[str, FieldValue]) -> list[Ownership]:
    """Return the last owners, the newest first."""
    try:
        return _owners.decode(str(fields.get("owners", "[]")))
    except msgspec.DecodeError:
        return []


def load_of(fields: Mapping[str, FieldValue]) -> int:
    """Return how many changes a second there were on the shard."""
    load = fields.get("load", 0)
    return load if isinstance(load, int) else 0


def troubles_of(fields: Mapping[str, FieldValue]) -> dict[str, Trouble]:
    """Return what is wrong, by topology; what reading meets has the empty name."""
    try:
        return _troubles.decode(str(fields.get("troubles", "{}")))
    except msgspec.DecodeError:
        return {}


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
