"""`fanout status`: what a lease row tells of its owner, of those before, and of what stands in the way."""

import asyncio
from typing import Any

import pytest

from pipeline.coordination.leases import Leases
from pipeline.model.gap import GapCause, GapRecord, GapState
from pipeline.model.progress import Checkpoint
from pipeline.model.shard import Shard
from pipeline.model.state import Flow, Report
from pipeline.ports import FieldValue, StateRow
from pipeline.testing.fakes import FakeStateStore, ManualClock
from pipeline.wire.lease import OWNERS_MAX, REASON_CHARACTERS_MAX, owners_of, troubles_of
from pipeline.wiring.core import CAPTURE
from pipeline.wiring.status import add_gaps, add_time_to_loss, roots_row, row_of

LEASE_SECONDS = 10.0


def leases(store: FakeStateStore, clock: ManualClock, owner: str) -> Leases:
    """Return the leases of a group as one worker sees them."""
    return Leases(store, clock, owner=owner, group="g", lease_seconds=LEASE_SECONDS)


async def step(worker: Leases, **reports: Report) -> None:
    """Renew and take the one shard."""
    await worker.step(
        ["s"], lambda *_: True, lambda _: {"" if name == "reading" else name: r for name, r in reports.items()}
    )


def halted(reason: str) -> Report:
    """Return the report of a topology that has stopped."""
    report = Report()
    report.trouble(Flow.HALTED, reason)
    return report


def shown(row: StateRow | None, now_ms: int, name: str = "audit") -> dict[str, object]:
    """Return the row of the status."""
    return row_of("s", name, row, Checkpoint(), now_ms, LEASE_SECONDS)


def test_a_halted_topology_is_shown_with_its_reason_until_it_flows() -> None:
    """Halted since when and why; the others work; what stops the reading stops them all; an end of it is seen."""

    async def story() -> None:
        store, clock = FakeStateStore(), ManualClock()
        worker = leases(store, clock, "w")
        await step(worker)
        first_ms = clock.now_ms()
        await step(worker, audit=halted("no bucket"), replica=Report(Flow.FLOWING))
        await clock.advance(3)
        await step(worker, audit=halted("no bucket" * 100), replica=Report(Flow.FLOWING))
        row = store.rows["g:s"]
        assert shown(row, clock.now_ms())["state"] == "halted"
        assert str(shown(row, clock.now_ms())["reason"]).startswith("no bucket")
        assert len(str(shown(row, clock.now_ms())["reason"])) == REASON_CHARACTERS_MAX
        assert troubles_of(row.fields)["audit"].since_ms == first_ms
        assert shown(row, clock.now_ms(), "replica")["state"] == "working"
        await step(worker, reading=halted("gap"), audit=Report(Flow.FLOWING))
        row = store.rows["g:s"]
        assert shown(row, clock.now_ms())["state"] == "reading halted"
        assert shown(row, clock.now_ms(), CAPTURE)["state"] == "halted"
        await step(worker, audit=Report(Flow.FLOWING))
        assert shown(store.rows["g:s"], clock.now_ms())["state"] == "working"

    asyncio.run(story())


def test_the_last_owners_are_kept_and_no_more() -> None:
    """Who had the lease, the newest first, bounded; a lease that was given back has no owner and its history."""

    async def story() -> None:
        store, clock = FakeStateStore(), ManualClock()
        for n in range(OWNERS_MAX + 2):
            worker = leases(store, clock, f"w{n}")
            await step(worker)
            await clock.advance(1)
            await worker.release("s")
        row = store.rows["g:s"]
        assert [each.owner for each in owners_of(row.fields)] == ["w6", "w5", "w4", "w3", "w2"]
        assert shown(row, clock.now_ms())["state"] == "nobody works on it"

    asyncio.run(story())


def test_a_dead_owner_is_shown_as_silent() -> None:
    """A lease nobody renews is not called work, whatever its last owner said; a row of an older version is."""

    async def story() -> None:
        store, clock = FakeStateStore(), ManualClock()
        worker = leases(store, clock, "w")
        await step(worker)
        await step(worker, audit=halted("no bucket"))
        await clock.advance(25)
        assert shown(store.rows["g:s"], clock.now_ms())["state"] == "owner silent for 25 s"

    asyncio.run(story())
    old = StateRow("g:s", 7, {"leaseOwner": "w", "checkpoint": "TRIM_HORIZON", "shardId": "s"})
    assert shown(old, 1_763_800_000_000)["state"] == "working"
    assert shown(None, 1_763_800_000_000)["state"] == "nobody works on it"


@pytest.mark.parametrize(
    ("gap_shard", "state", "told"),
    [
        ("", GapState.OPEN, {"s": True, "child": True}),
        ("s", GapState.OPEN, {"s": False, "child": True}),
        ("", GapState.ACCEPTED, {"s": False, "child": False}),
    ],
)
def test_a_shard_that_waits_at_a_gap_names_it(gap_shard: str, state: GapState, told: dict[str, bool]) -> None:
    """A shard nobody may work on says at which open gap it waits; other shards, and decided gaps, say nothing."""
    gap = GapRecord(GapCause.NEW_STREAM, "orders", "e", gap_shard, "", "", "its changes are lost", state=state)
    shards = [Shard("s"), Shard("child", ("s",))]
    rows: list[dict[str, Any]] = [row_of(each.id, CAPTURE, None, None, 0, 10.0) for each in shards]
    add_gaps(rows, shards, [gap])
    assert {row["shard"]: f"gap {gap.id}: its changes are lost" == row["reason"] for row in rows} == told


@pytest.mark.fault("A4")
def test_a_log_whose_signature_waits_says_why() -> None:
    """The row of a log's roots tells the newest root and what keeps the next from being signed."""
    fields: dict[str, FieldValue] = {"number": 3, "time_ms": 0, "trouble": "the key is not there"}
    assert roots_row("audit", StateRow("roots:s@audit", 1, fields)) == {
        "topology": "audit",
        "newest": 3,
        "signed_at": "1970-01-01T00:00:00Z",
        "waits": "the key is not there",
    }
    assert roots_row("audit", None)["waits"] == "no worker has looked yet"


@pytest.mark.parametrize(
    ("through_hours_ago", "state", "told"),
    [(1, "working", 23.0), (20.5, "nobody works on it", 3.5), (30, "halted", 0.0), (30, "ended", ""), (None, "x", "")],
)
def test_time_to_loss_counts_down_where_nobody_works_too(
    through_hours_ago: float | None, state: str, told: object
) -> None:
    """Hours until what is not settled may be trimmed: of a shard that is done, or of which nothing is known, none."""
    now_ms, hour_ms = 10**12, 3_600_000
    row: dict[str, object] = {
        "state": state,
        "through_ms": 0 if through_hours_ago is None else now_ms - int(through_hours_ago * hour_ms),
    }
    add_time_to_loss(row, 24 * hour_ms, now_ms)
    assert row == {"state": state, "time_to_loss_hours": told}
