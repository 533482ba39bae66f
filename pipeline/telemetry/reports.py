"""What a process says of itself: one mapping for status, one verdict for health."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.capture.table import TableCapture
from pipeline.delivery.roots import RootWriter
from pipeline.delivery.stream import StreamDelivery
from pipeline.delivery.topology import TopologyRunner
from pipeline.model.retention import Retention
from pipeline.model.state import Flow, Report


def status_of(
    owner: str,
    captures: Sequence[TableCapture],
    delivery: StreamDelivery | None,
    runners: Mapping[str, TopologyRunner],
    roots: Mapping[str, RootWriter],
) -> Mapping[str, Any]:
    """Return the present state of everything this process works on; counts and times, never content."""
    return {
        "worker": owner,
        "captures": {
            each.table: {
                "problem": each.problem,
                "shards": {
                    shard: {**_report(capture.report), **_retention(capture.retention)}
                    for shard, capture in each.captures.items()
                },
            }
            for each in captures
        },
        "delivery": None if delivery is None else _delivery(delivery),
        "topologies": {
            name: {
                "breaker": runner.breaker.state,
                "breaker_opened": runner.breaker.opened,
                "calls_overdue": runner.sinks.overdue_total,
                "calls_abandoned": runner.sinks.abandoned_calls,
                "sinks_replaced": runner.sinks.replaced_total,
            }
            for name, runner in runners.items()
        },
        "roots": {name: asdict(writer.report) for name, writer in roots.items()},
    }


def health_of(captures: Sequence[TableCapture], delivery: StreamDelivery | None) -> Mapping[str, Any]:
    """Return whether this process does its work. A halted topology is told, but a restart would not mend it."""
    problems = [f"capture of {each.table}: {each.problem}" for each in captures if each.problem]
    if delivery is not None and delivery.problem:
        problems.append(f"delivery: {delivery.problem}")
    halted = [
        f"capture of {each.table} on {s}" for each in captures for s, c in each.captures.items() if _halted(c.report)
    ]
    if delivery is not None:
        halted += [f"reading of {shard}" for shard, each in delivery.deliveries.items() if _halted(each.report)]
        halted += [
            f"{name} on {shard}"
            for shard, each in delivery.deliveries.items()
            for name, follower in each.followers.items()
            if _halted(follower.cursor.report)
        ]
    return {"healthy": not problems, "problems": problems, "halted": halted}


def _delivery(delivery: StreamDelivery) -> Mapping[str, Any]:
    return {
        "problem": delivery.problem,
        "shards": {
            shard: {
                "reading": _report(each.report),
                "topologies": {
                    name: {
                        **_report(follower.cursor.report),
                        **_retention(each.retention(name, delivery.kept_ms)),
                        "position": follower.slot.saved.position,
                        "quarantine": each.quarantined(name)._asdict(),
                    }
                    for name, follower in each.followers.items()
                },
            }
            for shard, each in delivery.deliveries.items()
        },
    }


def _retention(found: Retention) -> dict[str, Any]:
    return {"time_to_loss_seconds": found.time_to_loss_seconds, "retention": found.state}


def _report(report: Report) -> dict[str, Any]:
    return {name: value for name, value in asdict(report).items() if name != "moved_at"}


def _halted(report: Report) -> bool:
    return report.flow is Flow.HALTED
