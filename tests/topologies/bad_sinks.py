"""Sinks that are wrong in one way each, over items or over objects, and the right ones they are made from."""

import asyncio
import logging
from pathlib import PurePosixPath
from typing import Any

from pipeline.model.change import Batch, Change
from pipeline.model.errors import PipelineError, Rejected, RetryLater
from pipeline.plugin import change_to_json
from pipeline.ports import ItemWrite
from pipeline.testing.clock import turn
from pipeline.testing.contract import Found, Kept, SinkContract, Stores, StoresContext

REGION = "eu-west-1"
LONG_TURNS = 3_000
logger = logging.getLogger(__name__)


class Plain:
    """Writes every change at once, whatever is stored: sound as long as nothing comes again."""

    def __init__(self, context: StoresContext) -> None:
        self.items = context.items(REGION)

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, batch: Batch) -> None:
        """Write one by one."""
        refused = {}
        for position, change in batch:
            try:
                await self.put(change)
            except Rejected as error:
                refused[position] = next(iter(error.positions.values()))
        if refused:
            raise Rejected(refused)

    async def put(self, change: Change) -> None:
        """Write one item, until it is accepted."""
        while await self.items.write_batch([ItemWrite(change.table, change.keys, change.after)]):
            pass

    async def close(self) -> None:
        """Do nothing."""


class Liar(Plain):
    """Returns before anything is written; a later batch, or the end, brings it."""

    def __init__(self, context: StoresContext) -> None:
        super().__init__(context)
        self.kept: list[Batch] = []

    async def write(self, batch: Batch) -> None:
        """Write what was given before."""
        self.kept.append(batch)
        while len(self.kept) > 1:
            await super().write(self.kept.pop(0))

    async def close(self) -> None:
        """Write the rest."""
        while self.kept:
            await super().write(self.kept.pop(0))


class Reorderer(Plain):
    """Writes all changes of a batch at once, and the first of an item may land last."""

    async def write(self, batch: Batch) -> None:
        """Write from the back."""
        outcomes = await asyncio.gather(*map(self.put, reversed(batch.changes)), return_exceptions=True)
        refused = {
            position: "too large"
            for (position, _), outcome in zip(reversed(list(batch)), outcomes, strict=True)
            if isinstance(outcome, Rejected)
        }
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Rejected):
                raise outcome
        if refused:
            raise Rejected(refused)


class Leaker(Plain):
    """Keeps every batch it has written."""

    def __init__(self, context: StoresContext) -> None:
        super().__init__(context)
        self.kept: list[Any] = []

    async def write(self, batch: Batch) -> None:
        """Write and keep."""
        await super().write(batch)
        self.kept.append(batch)


class ImageLeaker(Leaker):
    """Keeps the image of every item it has written, and no change."""

    async def write(self, batch: Batch) -> None:
        """Write and keep."""
        await Plain.write(self, batch)
        self.kept += [change.after for change in batch.changes]


class Swallower(Plain):
    """Takes an answer that is lost, or a refusal, for success."""

    async def put(self, change: Change) -> None:
        """Write one item, or do not."""
        try:
            await super().put(change)
        except RetryLater:
            return


class Optimist(Plain):
    """Takes every error for one that passes."""

    async def put(self, change: Change) -> None:
        """Write one item."""
        try:
            await super().put(change)
        except (PipelineError, ValueError) as error:
            raise RetryLater("something is wrong") from error


class Dropper(Plain):
    """Leaves out what can never be written, and says nothing."""

    async def write(self, batch: Batch) -> None:
        """Write what can be written."""
        try:
            await super().write(batch)
        except Rejected:
            return


class Hasty(Plain):
    """Writes what is left unprocessed never, and forgets what pause was asked for."""

    async def put(self, change: Change) -> None:
        """Write one item once."""
        try:
            await self.items.write_batch([ItemWrite(change.table, change.keys, change.after)])
        except RetryLater as error:
            raise RetryLater(error.reason) from error


class Gossip(Plain):
    """Logs what it writes."""

    async def put(self, change: Change) -> None:
        """Write one item."""
        logger.info("writes %s", change.after)
        await super().put(change)


class Mixer(Plain):
    """Remembers one position for all shards, and skips what is not above it."""

    def __init__(self, context: StoresContext) -> None:
        super().__init__(context)
        self.at = 0

    async def write(self, batch: Batch) -> None:
        """Write what is above the position."""
        rest = batch.after(self.at)
        if rest is not None:
            await super().write(rest)
            self.at = rest.last


class Undead(Plain):
    """Takes writes after it was closed, and drops them."""

    closed = False

    async def write(self, batch: Batch) -> None:
        """Write unless closed."""
        if not self.closed:
            await super().write(batch)

    async def close(self) -> None:
        """Close."""
        self.closed = True


class Stubborn(Plain):
    """Goes on for a while when it is cancelled."""

    async def put(self, change: Change) -> None:
        """Write one item, whatever comes."""
        try:
            await super().put(change)
        except asyncio.CancelledError:
            for _ in range(LONG_TURNS):
                await turn()
            await super().put(change)


class Gatekeeper(Plain):
    """Writes for one shard at a time."""

    def __init__(self, context: StoresContext) -> None:
        super().__init__(context)
        self.gate = asyncio.Lock()

    async def write(self, batch: Batch) -> None:
        """Wait for the gate, and write."""
        async with self.gate:
            await super().write(batch)


class Filer:
    """Keeps every change as an object under its pipeline, shard and position."""

    def __init__(self, context: StoresContext) -> None:
        self.objects = context.objects("out")
        self.folder = f"{context.pipeline}/"

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, batch: Batch) -> None:
        """Write one by one."""
        for position, change in batch:
            await self.objects.create(self.name(batch, position), change_to_json(change))

    def name(self, batch: Batch, position: int) -> str:
        """Return the name of a change's object."""
        return f"{self.folder}{batch.shard}/{position:08d}.json"

    async def close(self) -> None:
        """Do nothing."""


class Squatter(Filer):
    """Does not tell one pipeline's positions from another's."""

    def __init__(self, context: StoresContext) -> None:
        super().__init__(context)
        self.folder = ""


class Renamer(Filer):
    """Names objects by where their batch starts, which is another place the next time."""

    def name(self, batch: Batch, position: int) -> str:
        """Return the name of a change's object."""
        return f"{self.folder}{batch.shard}/{batch.first:04d}{position - batch.first:04d}.json"


class OverItems(SinkContract):
    """The contract of a sink that writes items and only promises to converge."""

    may_regress = True
    not_applicable = {9: "it has no settings", 49: "it is its first version"}  # noqa: RUF012  # as an author writes it
    sink: type[Plain] = Plain

    def make_sink(self, context: StoresContext) -> Plain:
        """Make it."""
        return self.sink(context)

    async def read_back(self, stores: Stores) -> Found:
        """Read what is stored."""
        return stores.items(REGION).images


class OverObjects(SinkContract):
    """The contract of a sink that keeps every change."""

    not_applicable = {9: "no settings", 31: "a bucket takes all", 49: "first version"}  # noqa: RUF012  # as an author
    sink: type[Filer] = Filer

    def make_sink(self, context: StoresContext) -> Filer:
        """Make it."""
        return self.sink(context)

    async def read_back(self, stores: Stores) -> Found:
        """Read what is stored."""
        objects = sorted(stores.objects("out").objects.items())
        return [Kept(p.parent.name, int(p.stem), data) for p, data in ((PurePosixPath(n), d) for n, d in objects)]

    def content_of(self, change: Change) -> object:
        """Say what is stored of a change."""
        return change_to_json(change)
