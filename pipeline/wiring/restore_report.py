"""What is said of a restore: the report of the command, and the note that is kept beside the audit log."""

import getpass
import hashlib
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from pipeline.aws.objects import S3ObjectStore
from pipeline.history.keys import Scope
from pipeline.history.moment import Moment, text_of
from pipeline.history.plan import Aim, Tally, Window
from pipeline.history.restore import Step
from pipeline.model.snapshot import digest_of
from pipeline.ports import ObjectStore
from pipeline.wire.diff import diff
from pipeline.wiring.archive import archive_of
from pipeline.wiring.build import Parts


def note_store(parts: Parts, topology: str) -> S3ObjectStore:
    """Return where records of restores and drills go: beside the audit log, or the archive when there is none."""
    settings = parts.settings
    for each in settings.topologies.values():
        if each.topology.name == "audit":
            region = each.options.region or settings.stream.region
            return S3ObjectStore(parts.aws, region, each.options.bucket, each.options.prefix)
    return archive_of(parts, topology)


class Times(NamedTuple):
    """What is asked for: a moment, or the window of the bad changes; texts as given, empty when not."""

    at: str = ""
    start: str = ""
    end: str = ""


def asked(aim: Aim, times: Times, moments: list[Moment]) -> dict[str, Any]:
    """Return what was asked for, as moments."""
    if times.at:
        return {"at": str(moments[0])}
    assert isinstance(aim, Window)
    return {"from": text_of(aim.start_ms), "to": str(moments[1]), "as_it_was_at": str(moments[0])}


def outcome(planned: Tally, done: Tally | None) -> dict[str, Any]:
    """Return the counts of a plan, and of what was done."""
    report = {
        "planned": planned.report(),
        "write_units": planned.units,
        "size_bytes": planned.size_bytes,
        "plan": planned.digest,
    }
    if done is not None:
        report |= {"done": done.report(), "as_planned": planned.became(done)}
    return report


def row_of(step: Step, *, content: bool) -> dict[str, Any]:
    """Return an item of the plan: its key, what happens, which attributes; with `content` also old and new values."""
    changed = orjson.loads(diff(step.have, step.wish.then))
    row = {
        "key": orjson.loads(step.wish.keys),
        "digest": digest_of(step.wish.keys).hex(),
        "action": step.action.value,
        "attributes": list(changed),
    }
    return {**row, "content": changed} if content else row


class Note:
    """What is kept of a restore: one object before the first write and one after the last, never replaced."""

    def __init__(
        self, objects: ObjectStore, now_ms: int, head: Mapping[str, Any], scope: Scope, aim: Aim, planned: Tally
    ) -> None:
        self._objects = objects
        self._now = text_of(now_ms)
        self._facts = {
            "who": f"{_user()}@{socket.gethostname()}",
            "when": self._now,
            "table": head["table"],
            "into": head["into"],
            "moments": [text_of(each_ms) if each_ms < _FAR_MS else None for each_ms in aim.moments],
            "scope": hashlib.sha256(orjson.dumps(scope.digest_parts())).hexdigest(),
            "plan": planned.digest,
            "planned": planned.report(),
        }

    async def begin(self) -> str:
        """Store that it begins; return the object's name."""
        return await self._store("begun", self._facts)

    async def end(self, done: Tally) -> None:
        """Store what was done."""
        await self._store("done", {**self._facts, "done": done.report(), "digest": done.digest})

    async def _store(self, what: str, facts: Mapping[str, Any]) -> str:
        data = orjson.dumps(facts)
        stamp = self._now.replace(":", "")
        name = f"restores/{stamp}-{hashlib.sha256(data).hexdigest()[:12]}-{what}.json"
        await self._objects.create(name, data)
        return name


_FAR_MS = 200 * 365 * 24 * 3600 * 1000
"""Later than any year a report can name."""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's numeric user has no name
        return "unknown"
