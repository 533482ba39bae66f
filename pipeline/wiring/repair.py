"""`fanout verify --repair`: what differs at a copy, put right without ever going over something newer.

Two ways, by what the topology stores. Where a row of the source that comes through the lanes wins, the items are sent
as rows, as a copy of the table would send them: in order with every change, written by the topology's own owner,
losing against any change since they were read. Where each stored item carries its version, a row would lose against a
wrong item too; there the item is replaced in place, on the condition that it is still what was seen.
"""

import getpass
import hashlib
import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.tables import TableDescription
from pipeline.capture.chosen import ChosenRows
from pipeline.capture.copy import TableCopy
from pipeline.coordination.arrivals import is_complete
from pipeline.coordination.copies import Copies, Phase, Run
from pipeline.history.moment import text_of
from pipeline.plugin import Mirror
from pipeline.ports import ObjectStore
from pipeline.settings import ConfiguredTopology
from pipeline.verification.judge import WRONG, Finding, Judge
from pipeline.verification.mend import InPlace
from pipeline.verification.side import Reading
from pipeline.wiring.bootstrap import arrivals_of, packer_of
from pipeline.wiring.build import Parts

ROUNDS_MAX = 3
"""How often items are sent again because they are still wrong when all has arrived."""
POLL_SECONDS = 0.5
ARRIVE_SECONDS = 300.0


class Pair(NamedTuple):
    """A table and its copy at a topology."""

    configured: ConfiguredTopology
    table: TableDescription
    mirror: Mirror
    copy: str
    """Name of the copy, in the mirror's region."""


class Repair:
    """Puts items of one copy right."""

    def __init__(self, parts: Parts, pair: Pair, judge: Judge, reading: Reading) -> None:
        self._parts = parts
        self._pair = pair
        self._judge = judge
        self._reading = reading

    async def all(self, wrong: Sequence[Finding]) -> dict[str, Any]:
        """Put right what was found wrong; return what is still so. Raises Rejected or RetryLater."""
        note = Note(note_store(self._parts), self._parts.around.clock.now_ms(), self._facts(wrong))
        name = await note.keep("begun", {})
        left = list(wrong)
        for _ in range(ROUNDS_MAX):
            keys = [each.keys for each in left if each.kind in WRONG]
            if not keys:
                break
            await (self._send(keys) if self._pair.mirror.mended is None else self._replace(keys))
            left = await self._judge.judge([each.keys for each in left])
        await note.keep("done", {"left": [_named(each) for each in left]})
        return {"repaired": len(wrong) - len(left), "left": [_named(each) for each in left], "record": name}

    async def _send(self, keys: Sequence[bytes]) -> None:
        """Send the items as they are now into their lanes, and wait until they have arrived."""
        around, table = self._parts.around, self._pair.table
        items = DynamoDBItemStore(self._parts.aws, table.region, around.clock)
        name = f"{table.name}@{self._pair.configured.name}"
        copies = Copies(around.store, around.log.name, name, owner=around.owner)
        await self._reading.persist(copies.run)
        run = Run(
            secrets.token_hex(4),
            table.stream_label,
            1,
            (self._pair.configured.name,),
            started_ms=around.clock.now_ms(),
        )
        await self._reading.persist(lambda: copies.put_run(run))
        rows = ChosenRows(items, table.name, keys)
        packer = packer_of(self._parts, table)
        copy = TableCopy(rows, around.log, packer, copies, around.clock, around.chance, self._reading.pace)
        if await copy.run(run) is Phase.COPIED:
            await self._arrive(run)

    async def _arrive(self, run: Run) -> None:
        clock, lanes = self._parts.around.clock, self._parts.settings.stream.lanes
        until = clock.monotonic() + ARRIVE_SECONDS
        while clock.monotonic() < until:
            found = await self._reading.persist(lambda: arrivals_of(self._parts, self._pair.table, run))
            if all(is_complete(each, lanes) or each.refused for of in found for each in of):
                return
            await clock.sleep(POLL_SECONDS)

    async def _replace(self, keys: Sequence[bytes]) -> None:
        mirror, aws, clock = self._pair.mirror, self._parts.aws, self._parts.around.clock
        assert mirror.mended is not None
        table = self._pair.table
        mending = InPlace(
            (DynamoDBItemStore(aws, table.region, clock), table.name),
            (DynamoDBItemStore(aws, mirror.region, clock), self._pair.copy),
            expected=mirror.expected,
            held=mirror.held,
            mended=mirror.mended,
            reading=self._reading,
        )
        for each in keys:
            await mending.mend(each)

    def _facts(self, wrong: Sequence[Finding]) -> dict[str, Any]:
        return {
            "who": f"{_user()}@{socket.gethostname()}",
            "table": f"{self._pair.table.region}/{self._pair.table.name}",
            "topology": self._pair.configured.name,
            "copy": f"{self._pair.mirror.region}/{self._pair.copy}",
            "items": [_named(each) for each in wrong],
        }


class Note:
    """What is kept of a repair: one object before the first write and one after the last, never replaced."""

    def __init__(self, objects: ObjectStore | None, now_ms: int, facts: Mapping[str, Any]) -> None:
        self._objects = objects
        self._when = text_of(now_ms)
        self._facts = facts

    async def keep(self, what: str, more: Mapping[str, Any]) -> str | None:
        """Store it; return the object's name, None when there is neither audit log nor archive to keep it at."""
        if self._objects is None:
            return None
        data = orjson.dumps({"when": self._when, **self._facts, **more})
        stamp = self._when.replace(":", "")
        name = f"repairs/{stamp}-{hashlib.sha256(data).hexdigest()[:12]}-{what}.json"
        await self._objects.create(name, data)
        return name


def note_store(parts: Parts) -> S3ObjectStore | None:
    """Return where the record of a repair goes: beside the audit log, else the archive, else nowhere."""
    for kind in ("audit", "archive"):
        for each in parts.settings.topologies.values():
            if each.topology.name == kind:
                region = each.options.region or parts.settings.stream.region
                return S3ObjectStore(parts.aws, region, each.options.bucket, each.options.prefix)
    return None


def _named(finding: Finding) -> dict[str, Any]:
    return {
        "key": orjson.loads(finding.keys),
        "kind": finding.kind.value,
        "attributes": list(finding.attributes),
        "why": finding.why,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's numeric user has no name
        return "unknown"
