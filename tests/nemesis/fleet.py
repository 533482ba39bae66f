"""The processes of one pipeline, each behind gates of its own, and what is done to them."""

import random
import signal
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from math import inf
from pathlib import Path

from tests.blackbox.stack import Service, Stack, eventually
from tests.nemesis.proxy import PASS, Fault, Gate, Proxy
from tests.nemesis.takeover import READS_AS_SECONDS, Hit, takeovers

START_SECONDS = 600.0
"""How long the machine may take to give somebody a turn: it is shared, and this judges nothing."""
SERVICES = ("DYNAMODB", "DYNAMODB_STREAMS", "KINESIS", "S3")


@dataclass
class Member:
    """One process."""

    name: str
    service: Service
    gates: Mapping[str, Gate]
    ready: bool = False
    """True since it has answered; a process that has not may be ended by SIGTERM without a word."""
    away: str = ""
    """What was done to it, while it is not working."""
    exits: list[int] = field(default_factory=list)
    """Exit codes of SIGTERM."""


class Fleet:
    """Some captures and some workers."""

    def __init__(self, stack: Stack, proxy: Proxy, config: Path, *, captures: int, workers: int) -> None:
        self.members: dict[str, Member] = {}
        self.hits: list[Hit] = []
        self.surprises: list[str] = []
        """Ends of processes that nobody asked for."""
        self.done: Counter[str] = Counter()
        """Starts given up: a process looks at all it needs before it begins, and ends when a call fails."""
        self._proxy = proxy
        self._hit: dict[str, tuple[float, str]] = {}
        for command, number in [*(("capture", n) for n in range(captures)), *(("worker", n) for n in range(workers))]:
            name = f"{command}-{number}"
            gates = {
                each: proxy.gate(name, stack.environment[f"AWS_ENDPOINT_URL_{each}"])
                for each in SERVICES
                if command == "worker" or each != "S3"
            }
            urls = {f"AWS_ENDPOINT_URL_{each}": gate.url for each, gate in gates.items()}
            service = stack.service(command, config, name, FANOUT_WORKER_ID=name, **urls)
            self.members[name] = Member(name, service, gates)

    def start(self) -> None:
        """Start all, and wait until they answer."""
        for member in self.members.values():
            member.service.start()
        eventually("all answer", START_SECONDS, lambda: len(self.present()) == len(self.members), 0.5)

    def present(self) -> list[str]:
        """Return the names of those that answer; one that has ended by itself is noted, and started again.

        One that gave up before it had begun is started again as an orchestrator would, and counted.
        """
        for member in self.members.values():
            if member.away:
                continue
            if not member.service.running:
                if member.ready:
                    self.surprises.append(f"{member.name} ended by itself:\n{member.service.tail()}")
                else:
                    self.done["start given up"] += 1
                member.service.kill()
                member.service.start()
                member.ready = False
            member.ready = member.ready or bool(member.service.status())
        return [member.name for member in self.members.values() if member.ready and not member.away]

    def readers(self) -> list[str]:
        """Return the names of those that have read a shard lately."""
        since = time.monotonic() - READS_AS_SECONDS
        lately = {read.gate for read in takewhile(lambda read: read.at >= since, reversed(self._proxy.reads))}
        return [name for name in self.present() if name in lately]

    def victims(self, kind: str, chance: random.Random, meanwhile: Callable[[], object]) -> list[str]:
        """Return whom to hit: a reader of shards while another of his kind is ready, or all of a kind.

        Until there is one, `meanwhile` is called again and again.
        """

        def found() -> list[str]:
            meanwhile()
            return self._replaceable()

        eventually("somebody can be hit", START_SECONDS, found, 0.3)
        name = chance.choice(self._replaceable())
        if kind != "ALL":
            return [name]
        return [each for each in self.present() if _command(each) == _command(name)]

    def _replaceable(self) -> list[str]:
        kinds = Counter(map(_command, self.present()))
        return [name for name in self.readers() if kinds[_command(name)] > 1]

    def standing(self, name: str) -> bool:
        """Return True while a shard of the victim that is away is read by nobody."""
        at, kind = self._hit[name]
        recent = self._proxy.reads[bisect_left(self._proxy.reads, at - READS_AS_SECONDS, key=lambda read: read.at) :]
        return any(each.seconds is None for each in takeovers(recent, [Hit(at, name, kind, inf)]))

    def hit(self, name: str, kind: str) -> None:
        """Kill a process (KILL, ALL), ask it to end (TERM), ask and then kill it (TERM, KILL), or stop it (STOP)."""
        member = self.members[name]
        member.away = kind
        self._hit[name] = (time.monotonic(), kind)
        if kind in {"KILL", "ALL"}:
            member.service.kill()
        elif kind == "TERM":
            member.exits.append(member.service.terminate())
        elif kind == "STOP":
            member.service.signal(signal.SIGSTOP)
        else:
            member.service.signal(signal.SIGTERM)
            time.sleep(0.2)
            member.service.kill()

    def back(self, name: str) -> None:
        """Undo a hit."""
        member = self.members[name]
        at, kind = self._hit.pop(name)
        self.hits.append(Hit(at, name, kind, time.monotonic()))
        if kind == "STOP":
            member.service.signal(signal.SIGCONT)
        else:
            member.service.start()
            member.ready = False
        member.away = ""

    def end(self) -> None:
        """Ask all to end."""
        eventually("all answer", START_SECONDS, lambda: len(self.present()) == len(self.members), 0.5)
        for member in self.members.values():
            member.exits.append(member.service.terminate())

    def strike(self, service: str, fault: Fault, names: list[str] | None = None) -> None:
        """Set the fault of a service's gates: of all processes, or of these."""
        for name in names or list(self.members):
            gate = self.members[name].gates.get(service)
            if gate is not None:
                self._proxy.strike(gate, fault)

    def struck(self, service: str) -> int:
        """Return how many calls of a service a fault was done to."""
        return sum(member.gates[service].struck for member in self.members.values() if service in member.gates)

    def heal(self) -> None:
        """Bring back all that are away and end all faults."""
        for service in SERVICES:
            self.strike(service, PASS)
        for member in self.members.values():
            if member.away:
                self.back(member.name)


def _command(name: str) -> str:
    return name.partition("-")[0]
