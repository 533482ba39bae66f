"""The committed record of the campaigns, one row for each part; `python -m tests.scorecard` adds the rows up."""

import argparse
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.blackbox.history import quantiles
from tests.blackbox.stack import ROOT
from tests.nemesis.verdict import Outcome

LEDGER = Path(__file__).with_name("LEDGER.md")
PROCESS_HITS = ("KILL", "ALL", "TERM", "TERM, KILL", "STOP")


def row(outcome: Outcome, options: argparse.Namespace, *, seconds: float) -> str:
    """Return a part of a campaign as a row of the ledger."""
    cells = [
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        _commit(),
        str(options.seed),
        _world(outcome, options),
        f"{options.lease:g}",
        " / ".join(str(outcome.hits[kind]) for kind in PROCESS_HITS),
        f"{outcome.changes:,}",
        " / ".join(str(outcome.total(what)) for what in ("lost", "phantom", "duplicated", "divergent")),
        str(outcome.total("reordered")),
        str(len(outcome.regressed)),
        str(sum(each.repeats for each in outcome.sinks.values())),
        _spread(outcome.seconds("KILL", "TERM, KILL")),
        _spread(outcome.seconds("TERM")),
        *(" / ".join(f"{value:.1f}" for value in outcome.lag[sink]) for sink in ("replica", "archive")),
        f"{seconds:.0f}",
        f"{os.getloadavg()[2]:.1f}",
        "sound" if outcome.sound else "**broken**",
    ]
    return "| " + " | ".join(cells) + " |\n"


def _world(outcome: Outcome, options: argparse.Namespace) -> str:
    text = f"{options.captures} captures, {options.workers} workers, {options.shards} shards, {options.rate:g}/s"
    text += ", forked" if options.fork else ""
    text += ", Kinesis of ministack" if options.quick else ""
    if options.speed > 1:
        text += f", table clock x{options.speed}"
    return text + "".join(f"; {count} {kind}" for kind, count in sorted(outcome.events.items()))


def append(text: str, path: Path = LEDGER) -> None:
    """Add a row at the end."""
    with path.open("a") as file:
        file.write(text)


def _spread(seconds: Sequence[float]) -> str:
    """Return count: p50 / p99 / max."""
    return (
        f"{len(seconds)}: " + " / ".join(f"{s:.1f}" for s in quantiles(seconds, (0.5, 0.99, 1.0))) if seconds else "-"
    )


def _commit() -> str:
    """Return the last commit that changed what is tested, "+" added when there are changes on top of it."""
    tested = ("pipeline", "topologies", ":!pipeline/local")

    def git(*arguments: str) -> str:
        command = ["git", *arguments, "--", *tested]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return (git("log", "-1", "--format=%h") or "unknown") + ("+" if git("status", "--porcelain") else "")
