"""Calls of a sink have an end: X1-X5 of the fault catalogue, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pipeline.delivery.keeper import ABANDONED_CALLS_MAX, GRACE_SECONDS, SinkKeeper
from pipeline.model.errors import Defect, PipelineError, RetryLater
from pipeline.plugin import Batch
from pipeline.testing.changes import batch, history
from pipeline.testing.fakes import ManualClock

DEADLINE_SECONDS = 60.0
CHANGES = history(("a", "b", "c"))

Script = Callable[["Scripted", Batch], Awaitable[object]]


class Scripted:
    """A sink whose write is a script; it notes whether two writes of a shard met in it."""

    all_let_go = False

    def __init__(self, script: Script, clock: ManualClock) -> None:
        self.clock = clock
        self.written: list[tuple[str, int, int]] = []
        self.closed = self.let_go = self.met = False
        self._script = script
        self._inside: set[str] = set()

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, given: Batch) -> None:
        """Follow the script, then note the batch."""
        self.met = self.met or given.shard in self._inside
        self._inside.add(given.shard)
        try:
            answer = await self._script(self, given)
            self.written.append((given.shard, given.first, given.last))
            return answer  # type: ignore[return-value]  # a sink that lies returns something
        finally:
            self._inside.discard(given.shard)

    async def close(self) -> None:
        """Note it."""
        self.closed = True


class Stage:
    """A keeper of scripted sinks, and time to move."""

    def __init__(self, script: Script) -> None:
        self.clock = ManualClock()
        self.made: list[Scripted] = []
        self._script = script
        self.keeper = SinkKeeper("x", self._make, self.clock, DEADLINE_SECONDS)

    def _make(self) -> Scripted:
        self.made.append(Scripted(self._script, self.clock))
        return self.made[-1]

    async def write(self, given: Batch, seconds: float) -> BaseException | None:
        """Let so much time pass while a batch is written; return what was raised."""
        task = asyncio.ensure_future(self.keeper.write(given))
        await self.clock.advance(seconds)
        assert task.done(), "the call was still waited for"
        return task.exception()


def shard(name: str) -> Batch:
    """Return a batch of a shard."""
    given = batch(CHANGES, 1, 3)
    return Batch(given.stream, name, given.first, given.last, given.changes, given.positions)


def play(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story; let go of what hangs at its end, or asyncio would wait for it."""
    Scripted.all_let_go = False
    asyncio.run(_played(story))


async def _played(story: Callable[[], Awaitable[None]]) -> None:
    try:
        await story()
    finally:
        Scripted.all_let_go = True


async def hang(_: Scripted, __: Batch) -> None:
    """Wait for ever, and end when cancelled."""
    await asyncio.Event().wait()


async def deaf(sink: Scripted, _: Batch) -> None:
    """Wait for ever, whoever cancels, until its sink is told to let go."""
    while not (sink.let_go or Scripted.all_let_go):
        try:
            await sink.clock.sleep(1)
        except asyncio.CancelledError:
            continue


@pytest.mark.fault("X2")
def test_a_call_that_hangs_is_cancelled_at_its_deadline_and_its_sink_kept() -> None:
    """X2: nothing happens before the deadline; then RetryLater says so, and the same instance is used again."""

    async def story() -> None:
        stage = Stage(hang)
        task = asyncio.ensure_future(stage.keeper.write(shard("s")))
        await stage.clock.advance(DEADLINE_SECONDS - 1)
        assert not task.done()
        await stage.clock.advance(1.1)
        assert isinstance(task.exception(), RetryLater)
        assert "did not end within 60 s" in str(task.exception())
        await stage.write(shard("s"), DEADLINE_SECONDS + 1)
        assert len(stage.made) == 1
        assert (stage.keeper.overdue_total, stage.keeper.abandoned_calls) == (2, 0)

    play(story)


@pytest.mark.fault("X2")
def test_a_call_that_ignores_its_cancellation_is_abandoned_and_its_sink_replaced() -> None:
    """X2: after the grace a fresh instance gets the batch; the old one is closed when its call ends after all."""

    async def story() -> None:
        stage = Stage(deaf)
        error = await stage.write(shard("s"), DEADLINE_SECONDS + GRACE_SECONDS + 1)
        assert isinstance(error, RetryLater)
        assert stage.keeper.abandoned_calls == 1
        stage._script = nothing
        assert await stage.write(shard("s"), 1) is None
        old, new = stage.made
        assert (old.written, new.written, old.closed) == ([], [("s", 1, 3)], False)
        old.let_go = True
        await stage.clock.advance(2)
        assert old.closed
        assert stage.keeper.abandoned_calls == 0
        assert not new.closed

    play(story)


async def nothing(_: Scripted, __: Batch) -> None:
    """Do nothing."""


def test_the_other_shards_of_a_replaced_sink_end_in_peace() -> None:
    """A call of another shard goes on in the old instance, which is closed only when that has ended too."""

    async def story() -> None:
        async def script(sink: Scripted, given: Batch) -> None:
            if given.shard == "deaf":
                await deaf(sink, given)
            else:
                await sink.clock.sleep(30)

        stage = Stage(script)
        asyncio.ensure_future(stage.keeper.write(shard("deaf"))).add_done_callback(lambda task: task.exception())
        await stage.clock.advance(DEADLINE_SECONDS - 5)
        other = asyncio.ensure_future(stage.keeper.write(shard("slow")))
        await stage.clock.advance(GRACE_SECONDS + 6)
        assert stage.keeper.replaced_total == 1
        stage.made[0].let_go = True
        await stage.clock.advance(1.5)
        assert not other.done()
        assert not stage.made[0].closed
        await stage.clock.advance(40)
        assert other.done()
        assert other.exception() is None
        assert [name for name, *_ in stage.made[0].written] == ["deaf", "slow"]
        assert stage.made[0].closed

    play(story)


@pytest.mark.fault("X2")
def test_abandoned_calls_are_counted_and_capped() -> None:
    """With ABANDONED_CALLS_MAX of them the topology makes no call more, and says so, until one ends."""

    async def story() -> None:
        stage = Stage(deaf)
        for n in range(ABANDONED_CALLS_MAX):
            await stage.write(shard(f"s{n}"), DEADLINE_SECONDS + GRACE_SECONDS + 1)
        assert stage.keeper.abandoned_calls == ABANDONED_CALLS_MAX == len(stage.made)
        error = await stage.write(shard("more"), 1)
        assert isinstance(error, PipelineError)
        assert not isinstance(error, RetryLater)
        assert "have not ended" in error.reason
        assert len(stage.made) == ABANDONED_CALLS_MAX
        stage.made[0].let_go = True
        stage._script = nothing
        await stage.clock.advance(2)
        assert await stage.write(shard("more"), 1) is None

    play(story)


@pytest.mark.fault("X3")
def test_a_call_that_returns_after_its_deadline_does_not_count() -> None:
    """X3: a sink that swallows the cancellation and returns has not said that the batch is durable."""

    async def story() -> None:
        async def swallow(_: Scripted, __: Batch) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return

        stage = Stage(swallow)
        assert isinstance(await stage.write(shard("s"), DEADLINE_SECONDS + 1), RetryLater)

    play(story)


@pytest.mark.fault("X5")
def test_a_shard_that_comes_back_never_meets_its_own_old_call() -> None:
    """Given up with its lease, a call that does not end keeps its instance: the shard's next batch goes to another."""

    async def story() -> None:
        stage = Stage(deaf)
        task = asyncio.ensure_future(stage.keeper.write(shard("s")))
        await stage.clock.advance(1)
        task.cancel()
        await stage.clock.advance(0.1)
        assert task.cancelled()
        stage._script = nothing
        assert await stage.write(shard("s"), GRACE_SECONDS + 1) is None
        assert [each.met for each in stage.made] == [False, False]

    play(story)


@pytest.mark.parametrize("error", [ValueError("item k1"), SystemExit(3), asyncio.CancelledError(), BaseException("x")])
@pytest.mark.fault("X1")
def test_whatever_is_raised_is_a_defect_by_name(error: BaseException) -> None:
    """X1: also what is no Exception stays with the topology; its text, which may hold an item, is not passed on."""

    async def story() -> None:
        async def script(_: Scripted, __: Batch) -> None:
            raise error

        found = await Stage(script).write(shard("s"), 1)
        assert type(found) is Defect
        assert type(error).__name__ in found.reason
        assert "k1" not in str(found)

    play(story)


@pytest.mark.fault("X3")
def test_a_write_that_returns_something_is_a_defect() -> None:
    """X3: True, a list of failures, a count: a sink that answers so means something that delivery would not hear."""

    async def story() -> None:
        async def script(_: Scripted, __: Batch) -> object:
            return [2]

        found = await Stage(script).write(shard("s"), 1)
        assert type(found) is PipelineError
        assert "returned a list" in found.reason

    play(story)


@pytest.mark.fault("X1")
def test_a_sink_that_cannot_be_made_is_a_defect_each_time() -> None:
    """X1: a constructor that raises halts its topology, and is tried again."""

    async def story() -> None:
        clock, failures = ManualClock(), [2]

        def make() -> Scripted:
            if failures[0]:
                failures[0] -= 1
                raise OSError("no")
            return Scripted(nothing, clock)

        keeper = SinkKeeper("x", make, clock, DEADLINE_SECONDS)
        for _ in range(2):
            with pytest.raises(Defect, match="OSError"):
                await keeper.write(shard("s"))
        await keeper.write(shard("s"))

    play(story)
