"""What all commands that read the archive begin with: its objects, the table's keys, a place to lay things aside."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.aws.folder import FolderObjectStore
from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import READ
from pipeline.aws.tables import KeyAttribute
from pipeline.history.archive import segments
from pipeline.history.base import Base, base_at, origin, starts_of
from pipeline.history.item import schema_keys
from pipeline.history.keys import KeySchema, Scope, prefixes
from pipeline.history.moment import Moment
from pipeline.history.reading import NO_CHANGE, must_be_complete, must_not_lie_ahead
from pipeline.history.traces import Beginning
from pipeline.history.watermark import SETTLING_SECONDS, Watermark
from pipeline.model.errors import Misconfigured
from pipeline.ports import ObjectStore
from pipeline.wiring.archive import Reach, archive_of, reach_of
from pipeline.wiring.build import Parts

LISTED_KEYS_MAX = 100_000


class Question(NamedTuple):
    """What every command that reads the archive is asked with."""

    topology: str = "archive"
    table: str = ""
    """Empty: the one that is captured."""
    zone: str = ""
    unproven: bool = False
    """Take the archive for complete without asking the pipeline."""
    reveal: bool = False
    """Show encrypted attributes as they were."""


class Source(NamedTuple):
    """One table's part of an archive, from the last snapshot before a moment on."""

    objects: S3ObjectStore
    table: str
    schema: KeySchema
    base: Base | None
    """None: from the first segment on."""

    @property
    def traces_of(self) -> Beginning | None:
        """Return what the traces of a reading are to begin with."""
        return None if self.base is None else self.base.traces

    @property
    def key_attributes(self) -> list[KeyAttribute]:
        """Return the table's key as a table is made with it."""
        pairs = zip(self.schema.names, self.schema.types, strict=True)
        return [KeyAttribute(*pair) for pair in pairs]  # type: ignore[arg-type]  # S, N and B: checked when it was read

    def scope(self, keys: Sequence[str] = (), starts: Sequence[str] = ()) -> Scope:
        """Return the scope of key arguments and prefix arguments. Raises Misconfigured."""
        wanted = frozenset(map(self.schema.read, listed(keys))) if keys else None
        return Scope(self.table, wanted, prefixes(starts, self.schema) or None)


async def source_of(parts: Parts, question: Question, folder: ObjectStore, end_ms: int | None = None) -> Source:
    """Return the archive and the keys of the table asked for, to be read up to a moment, or from its beginning.

    Raises Misconfigured, or Corrupt when the snapshot to begin with is damaged.
    """
    objects = archive_of(parts, question.topology)
    base = await (origin(objects, folder) if end_ms is None else base_at(objects, folder, end_ms))
    captured = parts.settings.topologies[question.topology].tables
    table = question.table or captured[0]
    if not question.table and len(captured) > 1:
        raise Misconfigured("the archive has several tables", hint=f"give --table, one of {', '.join(captured)}")
    known = base.manifest.table(table) if base else None
    if known is not None and known.keys:
        names, types = zip(*known.keys, strict=True)
        return Source(objects, table, KeySchema(names, types), base)
    found = await schema_keys(segments(objects, starts_of(base)), table)
    if found is None:
        raise Misconfigured(f"the archive has no change of table {table}", hint=NO_CHANGE)
    return Source(objects, table, KeySchema.of(found), base)


async def reach_for(parts: Parts, question: Question, moments: Sequence[Moment]) -> Reach:
    """Return how far the archive is, once it is sure that it has all of these moments. Raises Misconfigured."""
    now_ms = parts.around.clock.now_ms()
    for each in moments:
        must_not_lie_ahead(each, now_ms)
    if question.unproven:
        return Reach(Watermark(now_ms - SETTLING_SECONDS * 1000, ()), {})
    reach = await reach_of(parts, question.topology)
    try:
        for each in moments:
            must_be_complete(each, reach.watermark)
    except Misconfigured as error:
        raise Misconfigured(error.reason, hint=f"{error.hint}; --unproven takes what is there") from None
    return reach


@contextmanager
def aside(parts: Parts) -> Iterator[FolderObjectStore]:
    """Lend a temporary folder; items' content is in it while the command runs, readable by its owner only."""
    with tempfile.TemporaryDirectory(prefix="fanout-aside-") as folder:
        yield FolderObjectStore(Path(folder), parts.aws.threads(READ))


def listed(keys: Sequence[str]) -> Iterator[str]:
    """Yield keys given by themselves, and those of files given as @file, one a line."""
    for text in keys:
        if not text.startswith("@"):
            yield text
            continue
        try:
            lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"--keys {text}: the file cannot be read", hint="one key a line, as text") from error
        if len(lines) > LISTED_KEYS_MAX:
            raise Misconfigured(
                f"--keys {text}: more than {LISTED_KEYS_MAX} keys", hint="use --prefix, or several runs"
            )
        yield from filter(None, map(str.strip, lines))
