"""What a run came to: every sink judged against the journal, and the times that were measured."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.history.archive import segments
from pipeline.history.fold import fold
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import segment
from tests.blackbox import ends
from tests.blackbox.history import Entry, Item, Verdict, differences, final, judge, lags, quantiles
from tests.blackbox.stack import AWAY, HOME, Stack
from tests.blackbox.workload import Workload
from tests.nemesis.fleet import Fleet
from tests.nemesis.proxy import Read
from tests.nemesis.takeover import Takeover, takeovers
from tests.nemesis.watch import Lookout


@dataclass
class Outcome:
    """One run, judged."""

    changes: int
    hits: Counter[str]
    takeovers: list[Takeover]
    sinks: dict[str, Verdict] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    """Everything else that is wrong, in words."""
    regressed: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    """What was done besides the hits."""
    lag: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Return True when no promise was broken."""
        return not self.complaints and not self.regressed and all(each.sound for each in self.sinks.values())

    def total(self, what: str) -> int:
        """Return how many changes are lost, reordered, … over all sinks."""
        return sum(len(getattr(each, what)) for each in self.sinks.values())

    def seconds(self, *kinds: str) -> list[float]:
        """Return how long shards stood still after hits of these kinds."""
        return sorted(t.seconds for t in self.takeovers if t.hit.kind in kinds and t.seconds is not None)


def judged(stack: Stack, workload: Workload, lookout: Lookout, fleet: Fleet, reads: Iterable[Read]) -> Outcome:
    """Judge a run that has come to rest."""
    archive = ends.objects(stack, stack.archive, "a/")
    audit = ends.objects(stack, stack.audit, "b/")
    outcome = Outcome(len(workload.journal), Counter(hit.kind for hit in fleet.hits), takeovers(reads, fleet.hits))
    outcome.sinks["archive"] = judge(workload.journal, ends.archived(archive), workload.unsure)
    outcome.sinks["audit"] = judge(workload.journal, ends.audited(audit), workload.unsure)
    outcome.regressed = lookout.replica.complaints
    outcome.complaints = [*_tables(stack, workload, archive), *_processes(fleet), *_chains(audit)]
    outcome.complaints += [f"the lookout ended: {lookout.error}"] if lookout.error else []
    outcome.lag["replica"] = quantiles(lags(workload.entries, lookout.replica.reached))
    outcome.lag["archive"] = quantiles(_archive_lags(stack, workload.entries, lookout, archive))
    return outcome


def _tables(stack: Stack, workload: Workload, archive: FakeObjectStore) -> list[str]:
    """Compare source, replica, and what the archive folds to; the source is the truth about unsure writes."""
    tables = {region: _items(stack, region) for region in (HOME, AWAY)}
    complaints = []
    if not workload.unsure:
        complaints += [f"source: {each}" for each in differences(final(workload.journal), ends.numbers(tables[HOME]))]
    complaints += [f"replica: {each}" for each in differences(*(ends.numbers(tables[r]) for r in (HOME, AWAY)))]
    if tables[HOME] != tables[AWAY]:
        complaints.append("source and replica differ")
    folded = asyncio.run(fold(archive))
    if len(folded) != len(tables[HOME]):
        complaints.append(f"the archive folds to {len(folded)} items, the source has {len(tables[HOME])}")
    return complaints


def _items(stack: Stack, region: str) -> dict[Item, dict[str, Any]]:
    client = stack.client("dynamodb", region)
    return {item: row for table in stack.tables for item, row in ends.items(client, table).items()}


def _processes(fleet: Fleet) -> list[str]:
    exits = [f"{m.name} ended with {code} after SIGTERM" for m in fleet.members.values() for code in m.exits if code]
    return [*fleet.surprises, *exits]


def _chains(audit: FakeObjectStore) -> list[str]:
    report = ends.verified(audit)
    return [f"audit: {problem}" for problem in report.problems]


def _archive_lags(stack: Stack, entries: Iterable[Entry], lookout: Lookout, archive: FakeObjectStore) -> list[float]:
    """Return the seconds from acknowledgement until the segment of a change was first listed."""
    returned = {(e.write.item, e.write.n): e.returned for e in entries}

    async def read() -> list[float]:
        found = []
        async for each in segments(archive):
            name = segment.KIND.name(each.header.stream, each.header.shard, each.header.first)
            seen = lookout.first_seen.get(f"{stack.archive}/a/{name}")
            for change in each.batch.changes if seen is not None else ():
                sight = ends.sight(change)
                at = returned.get((sight.item, sight.n))
                if at is not None and seen is not None:
                    found.append(max(0.0, seen - at))
        return found

    return asyncio.run(read())
