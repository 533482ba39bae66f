"""`python -m tests.nemesis.campaign`: torment real processes while changes flow, judge every sink, add a ledger row."""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.blackbox import ends
from tests.blackbox.stack import Stack
from tests.blackbox.workload import CALL_WRITES, Workload
from tests.emulators import Emulators
from tests.nemesis import ledger
from tests.nemesis.fleet import Fleet
from tests.nemesis.proxy import Proxy
from tests.nemesis.verdict import Outcome, judged
from tests.nemesis.watch import Lookout

THREADS = 2
CHANGES_MAX = 1_000_000
KEYS, SHARDS = 300, 6
SETTLE_SECONDS = 300.0
SHORT_LEASE_SECONDS = 5.0
TOPOLOGIES = ("replica", "archive", "audit")
KINDS = {"KILL": 10, "TERM": 2, "TERM, KILL": 1, "STOP": 1}
"""How often each kind of hit comes, relatively."""


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis.campaign", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="kill -9 in this part")
    parser.add_argument("--rate", type=float, default=150.0, help="changes a second at the source")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lease", type=float, default=10.0, help="lease_seconds")
    parser.add_argument("--captures", type=int, default=2)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--only", choices=KINDS, help="hits of this kind alone; --kills counts them")
    parser.add_argument("--ledger", type=Path, default=ledger.LEDGER)
    return parser.parse_args()


class Campaign:
    """One part: a pipeline of its own on emulators of its own."""

    def __init__(self, options: argparse.Namespace, stack: Stack, proxy: Proxy) -> None:
        self.options = options
        self.stack = stack
        self.proxy = proxy
        self.chance = random.Random(options.seed)
        config = stack.write(stack.sections(stack.shipped, lease_seconds=options.lease))
        stack.create(config, SHARDS)
        self.fleet = Fleet(stack, proxy, config, captures=options.captures, workers=options.workers)
        self.lookout = Lookout(stack)
        whole = THREADS * CALL_WRITES
        self.workload = Workload(
            stack,
            changes=CHANGES_MAX // whole * whole,
            keys=KEYS,
            per_second=options.rate,
            seed=options.seed,
            patient=True,
        )

    def run(self) -> Outcome:
        """Run to the verdict."""
        self.fleet.start()
        self.lookout.start()
        self.workload.start()
        try:
            self._torment()
            self.workload.stop()
            self.fleet.heal()
            self._settle()
        finally:
            self.workload.stop()
            self.lookout.stop()
        self.fleet.present()
        for member in self.fleet.members.values():
            member.exits.append(member.service.terminate())
        return judged(self.stack, self.workload, self.lookout, self.fleet, self.proxy.reads)

    def _torment(self) -> None:
        """Hit one process after the other; with a long lease, wait until its shards are read again."""
        done, wanted = 0, self.options.kills
        while done < wanted:
            time.sleep(self.chance.uniform(0.2, 0.5) * min(self.options.lease, 5.0))
            kind = self.options.only or self.chance.choices(list(KINDS), list(KINDS.values()))[0]
            name = self.chance.choice(self.fleet.readers() or self.fleet.present())
            self.fleet.hit(name, kind)
            self._stay_away(name, kind)
            self.fleet.back(name)
            done += kind == (self.options.only or "KILL") or kind == "TERM, KILL"
            print(f"{done}/{wanted} {kind} {name}; {len(self.workload.entries):,} changes", flush=True)
            self._must_go_on()

    def _stay_away(self, name: str, kind: str) -> None:
        """Wait: with a short lease for shorter or longer than that, else until others have all the victim had."""
        lease = self.options.lease
        if lease <= SHORT_LEASE_SECONDS:
            time.sleep(self.chance.uniform(1.0, 2.0) * lease if kind == "STOP" else self.chance.uniform(0, 1.5) * lease)
            return
        deadline = time.monotonic() + 3 * lease
        while self.fleet.standing(name) and time.monotonic() < deadline:
            time.sleep(0.2)

    def _must_go_on(self) -> None:
        assert not self.workload.done, "the writers ended"

    def _settle(self) -> None:
        """Wait until every topology has saved as many changes as were written; the judges say what lacks if not."""
        client, wanted = self.stack.client("dynamodb"), len(self.workload.entries)
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and any(
            ends.settled(self.stack, client, name) < wanted for name in TOPOLOGIES
        ):
            time.sleep(1.0)


def part(options: argparse.Namespace) -> Outcome:
    """Run one part and add its row."""
    began = time.monotonic()
    with ExitStack() as opened:
        folder = Path(
            opened.enter_context(tempfile.TemporaryDirectory(prefix="nemesis-", delete=False))
            if sys.version_info >= (3, 12)
            else tempfile.mkdtemp(prefix="nemesis-")
        )
        print(f"working in {folder}", flush=True)
        emulators = Emulators(folder)
        opened.callback(emulators.close)
        settings = emulators.settings("ministack", "dynamodb-local", "kinesis-local")
        proxy = opened.enter_context(Proxy(options.seed))
        stack = opened.enter_context(Stack(folder, settings, f"nem-{options.seed}", tables=2))
        outcome = Campaign(options, stack, proxy).run()
    world = f"{options.captures} captures, {options.workers} workers, {SHARDS} shards"
    seconds = time.monotonic() - began
    text = ledger.row(
        outcome, seed=options.seed, lease_seconds=options.lease, world=world, seconds=seconds, load=ledger.load()
    )
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
