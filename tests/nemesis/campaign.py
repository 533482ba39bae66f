"""`python -m tests.nemesis.campaign`: torment real processes while changes flow, judge every sink, add a ledger row."""

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.blackbox import ends
from tests.blackbox.stack import Stack, source_tables
from tests.blackbox.workload import CALL_WRITES, Workload
from tests.nemesis import ledger
from tests.nemesis.fleet import Fleet
from tests.nemesis.nursery import Nursery
from tests.nemesis.proxy import Proxy
from tests.nemesis.servers import Servers
from tests.nemesis.verdict import Outcome, judged
from tests.nemesis.watch import Lookout
from tests.nemesis.weather import Reshards, Restarts, Rolls, Weather

THREADS = 2
TABLES, RACING_TABLES = 2, 6
"""Each table's stream rolls by itself: with more of them there is more to see, and the clock need not race as much."""
CHANGES_MAX = 1_000_000
KEYS = 300
HITS_MAX = 1_000
SETTLE_SECONDS = 240.0
"""How long nothing may move before it is taken that nothing will; a machine that is busy takes its time."""
SHORT_LEASE_SECONDS = 5.0
TOPOLOGIES = ("replica", "archive", "audit")
KINDS = {"KILL": 20, "TERM": 4, "TERM, KILL": 2, "STOP": 2, "ALL": 1}
"""How often each kind of hit comes, relatively; ALL kills all captures, or all workers, at once."""


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis.campaign", description=__doc__)
    parser.add_argument("--hits", type=int, default=50, help="processes killed, stopped or asked to end in this part")
    parser.add_argument("--rate", type=float, default=150.0, help="changes a second at the source")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lease", type=float, default=10.0, help="lease_seconds")
    parser.add_argument("--captures", type=int, default=2)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--shards", type=int, default=6)
    parser.add_argument("--only", choices=KINDS, help="hits of this kind alone")
    parser.add_argument("--faults", action="store_true", help="calls go wrong, too")
    parser.add_argument("--reshard", action="store_true", help="Kinesis shards split and merge, too")
    parser.add_argument("--restart", action="store_true", help="emulators are killed and come back, too")
    parser.add_argument(
        "--speed", type=int, default=1, help="the clock of the source tables' server runs so fast: shards roll"
    )
    parser.add_argument("--rolls", type=int, default=0, help="with --speed: go on until shards have rolled so often")
    parser.add_argument("--quick", action="store_true", help="Kinesis is ministack's: quicker, but cannot reshard")
    parser.add_argument("--fork", action="store_true", help="processes are forked ready, not started: see the README")
    parser.add_argument("--ledger", type=Path, default=ledger.LEDGER)
    options = parser.parse_args(line)
    if options.restart and options.speed > 1:
        parser.error("a server whose clock races begins anew with each start: choose --restart or --speed")
    if options.quick and (options.reshard or options.restart):
        parser.error("ministack loses what a resharded or restarted stream held: --quick goes with neither")
    return options


class Campaign:
    """One part: a pipeline of its own on emulators of its own."""

    def __init__(self, options: argparse.Namespace, servers: Servers, stack: Stack, proxy: Proxy) -> None:
        self.options = options
        self.stack = stack
        self.proxy = proxy
        self.chance = random.Random(options.seed)
        config = stack.write(stack.sections(stack.shipped, lease_seconds=options.lease))
        stack.create(config, options.shards)
        self.fleet = Fleet(stack, proxy, config, captures=options.captures, workers=options.workers)
        self.lookout = Lookout(stack)
        self.workload = Workload(
            stack,
            changes=CHANGES_MAX,
            keys=KEYS,
            per_second=options.rate,
            threads=THREADS,
            seed=options.seed,
            patient=True,
        )
        self.weather = Weather(self.fleet, self.chance)
        self.reshards = Reshards(stack.client("kinesis"), stack.stream, self.chance)
        self.restarts = Restarts(servers, self.fleet, self.chance)
        self.rolls = Rolls(stack)
        self._turns: list[Callable[[], None]] = [
            turn
            for wanted, turn in (
                (options.faults, self.weather.turn),
                (options.reshard, self.reshards.turn),
                (options.restart, self.restarts.turn),
                (options.speed > 1, self.rolls.turn),
            )
            if wanted
        ]

    def run(self) -> Outcome:
        """Run to the verdict."""
        self.fleet.start()
        self.lookout.start()
        self.workload.start()
        try:
            self._torment()
            self.workload.stop()
            self.weather.clear()
            self.fleet.heal()
            self._settle()
        finally:
            self.workload.stop()
            self.lookout.stop()
        self.fleet.end()
        outcome = judged(self.stack, self.workload, self.lookout, self.fleet, self.proxy.reads)
        outcome.events = self.events()
        return outcome

    def events(self) -> Counter[str]:
        """Return what was done besides the hits."""
        return self.weather.done + self.reshards.done + self.restarts.done + self.rolls.done + self.fleet.done

    def _torment(self) -> None:
        """Do one thing after the other; but when all are hit, somebody is left who can take over."""
        for number in range(HITS_MAX):
            if number >= self.options.hits and self.rolls.done["roll"] >= self.options.rolls:
                return
            time.sleep(self.chance.uniform(0.2, 0.5) * min(self.options.lease, 5.0))
            for turn in self._turns:
                turn()
            kind = self.options.only or self.chance.choices(list(KINDS), list(KINDS.values()))[0]
            victims = self.fleet.victims(kind, self.chance, self.weather.passed)
            for name in victims:
                self.fleet.hit(name, kind)
            if len(victims) == 1:
                self._stay_away(victims[0], kind)
            for name in victims:
                self.fleet.back(name)
            written = len(self.workload.entries)
            print(f"{number + 1}/{self.options.hits} {kind} {victims}; {written:,} changes", flush=True)
            assert not self.workload.done, "the writers ended"

    def _stay_away(self, name: str, kind: str) -> None:
        """Wait: with a short lease for shorter or longer than that, else until others have all the victim had."""
        lease = self.options.lease
        if lease <= SHORT_LEASE_SECONDS:
            time.sleep(self.chance.uniform(1.0, 2.0) * lease if kind == "STOP" else self.chance.uniform(0, 1.5) * lease)
            return
        deadline = time.monotonic() + 3 * lease
        while self.fleet.standing(name) and time.monotonic() < deadline:
            time.sleep(0.2)

    def _settle(self) -> None:
        settle(self.stack, self.fleet, len(self.workload.entries), SETTLE_SECONDS)


def settle(stack: Stack, fleet: Fleet, changes: int, seconds: float) -> None:
    """Wait until every topology has saved so many changes; if nothing moves for so long, the judges say what lacks."""
    client, before = stack.client("dynamodb"), [0]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        now = [ends.settled(stack, client, name) for name in TOPOLOGIES]
        if min(now) >= changes:
            return
        if now != before:
            before, deadline = now, time.monotonic() + seconds
        fleet.present()
        time.sleep(0.5)


def part(options: argparse.Namespace) -> Outcome:
    """Run one part and add its row."""
    assert CHANGES_MAX % (THREADS * CALL_WRITES) == 0
    began = time.monotonic()
    folder, name = Path(tempfile.mkdtemp(prefix="nemesis-")), f"nem-{options.seed}"
    tables = source_tables(name, RACING_TABLES if options.speed > 1 else TABLES)
    print(f"logs are in {folder}", flush=True)
    with (
        Nursery(dict(os.environ)) as nursery,
        Servers(folder, kept=options.restart, speed=options.speed, quick=options.quick) as servers,
        Proxy(options.seed) as proxy,
        Stack(folder, servers.behind(proxy, tables), name, tables=len(tables)) as stack,
    ):
        if options.fork:
            stack.starter = nursery.start
        outcome = Campaign(options, servers, stack, proxy).run()
    text = ledger.row(outcome, options, seconds=time.monotonic() - began)
    ledger.append(text, options.ledger)
    print(text)
    return outcome


def main() -> int:
    """Run the part of the command line; return 1 when a promise was broken."""
    outcome = part(arguments())
    for sink, verdict in outcome.sinks.items():
        if not verdict.sound:
            print(sink, {what: getattr(verdict, what)[:10] for what in vars(verdict) if what != "repeats"})
    for each in (*outcome.complaints[:20], *outcome.regressed[:20]):
        print(each)
    return 0 if outcome.sound else 1


if __name__ == "__main__":
    sys.exit(main())
