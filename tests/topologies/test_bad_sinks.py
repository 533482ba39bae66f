"""The contract finds sinks that break it: a test kit that passes everything would prove nothing."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.model.change import Batch
from pipeline.model.errors import RetryLater
from pipeline.plugin import Sink
from pipeline.ports import ItemWrite
from pipeline.testing.contract import Found, SinkContract, Stores, StoresContext

REGION = "eu-west-1"


class Plain(Sink):
    """Writes every change at once, whatever is stored: sound as long as nothing comes again."""

    def __init__(self, context: StoresContext) -> None:
        self.items = context.items(REGION)

    async def write(self, batch: Batch) -> None:
        """Write one by one."""
        for _, change in batch:
            await self.put(change.table, change.keys, change.after)

    async def put(self, table: str, keys: bytes, item: bytes | None) -> None:
        """Write one item."""
        await self.items.write_batch([ItemWrite(table, keys, item)])


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
        await asyncio.gather(*(self.put(c.table, c.keys, c.after) for c in reversed(batch.changes)))


class Leaker(Plain):
    """Keeps every batch it has written."""

    def __init__(self, context: StoresContext) -> None:
        super().__init__(context)
        self.kept: list[Batch] = []

    async def write(self, batch: Batch) -> None:
        """Write and keep."""
        await super().write(batch)
        self.kept.append(batch)


class Swallower(Plain):
    """Takes an answer that is lost, or a refusal, for success."""

    async def put(self, table: str, keys: bytes, item: bytes | None) -> None:
        """Write one item, or do not."""
        try:
            await super().put(table, keys, item)
        except RetryLater:
            return


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


def contract_of(sink: Callable[[StoresContext], Sink], *, regresses: bool = True) -> SinkContract:
    """Return the contract of a sink that writes items."""

    class Contract(SinkContract):
        may_regress = regresses

        def make_sink(self, context: StoresContext) -> Sink:
            return sink(context)

        async def read_back(self, stores: Stores) -> Found:
            return stores.items(REGION).images

    return Contract()


def failed(contract: SinkContract) -> set[str]:
    """Return the names of the cases that fail."""
    return {name for name, case, arguments in cases(contract) if not passes(case, arguments)}


def cases(contract: SinkContract) -> Iterator[tuple[str, Callable[..., None], dict[str, Any]]]:
    """Yield all cases, those with a parameter once for each value."""
    for name, case in inspect.getmembers(contract, inspect.ismethod):
        if name.startswith("test_"):
            for when in ("before", "after") if "when" in inspect.signature(case).parameters else (None,):
                yield name, case, {"when": when} if when else {}


def passes(case: Callable[..., None], arguments: dict[str, Any]) -> bool:
    """Return True when a case passes."""
    try:
        case(**arguments)
    except (AssertionError, pytest.fail.Exception):
        return False
    return True


def test_a_plain_sink_passes_as_converging() -> None:
    """What the bad sinks are made from passes, so that each fails for its own fault."""
    assert failed(contract_of(Plain)) == set()


def test_a_plain_sink_regresses() -> None:
    """A sink without a guard fails when it promises never to show an older image."""
    assert {
        "test_old_after_new_is_ignored",
        "test_a_late_delete_removes_nothing_newer",
        "test_an_old_owner_that_wakes_up",
    } <= failed(contract_of(Plain, regresses=False))


@pytest.mark.fault("X3")
def test_the_liar_is_found() -> None:
    """A sink that returns before its changes are durable fails."""
    assert {"test_a_written_batch_can_be_read_back_at_once", "test_a_crash_at_any_call"} <= failed(contract_of(Liar))


@pytest.mark.fault("X3")
def test_the_reorderer_is_found() -> None:
    """A sink that changes the order of an item's changes fails."""
    assert "test_changes_of_one_item_are_applied_in_order" in failed(contract_of(Reorderer))


@pytest.mark.fault("X4")
def test_the_leaker_is_found() -> None:
    """A sink that keeps what it wrote fails, for that only."""
    assert failed(contract_of(Leaker)) == {"test_nothing_piles_up"}


@pytest.mark.fault("X3")
def test_the_swallower_is_found() -> None:
    """A sink that ignores a refusal fails."""
    assert failed(contract_of(Swallower)) == {"test_a_slow_destination_at_any_call"}


def test_the_mixer_is_found() -> None:
    """A sink that keeps one position for all shards fails."""
    assert "test_several_shards_do_not_mix" in failed(contract_of(Mixer))
