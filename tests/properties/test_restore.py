"""Restoring: for random histories, moments and scopes the result is the table as it was, in any target."""

import asyncio
import random
from collections.abc import Mapping, Sequence

import orjson
import pytest

from pipeline.history.keys import Scope
from pipeline.history.plan import Action, Aim, Tally, Whole, Window, Wish, since
from pipeline.history.reading import gather
from pipeline.history.restore import Target, carry_out, plan
from pipeline.history.traces import Traces
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.model.snapshot import digest_of
from pipeline.ports import ItemWrite
from pipeline.testing.clock import SkippingClock
from pipeline.testing.fakes import FakeItemStore, FakeObjectStore, FakeTable, SeededChance
from pipeline.testing.faults import Faults, Killed, kill
from tests.recorded import Images, Recorded

KEYS = {"pk": "S", "sk": "N"}


def table_of(items: Images) -> FakeTable:
    """Return a table that holds these items."""
    table = FakeTable("orders", SkippingClock(), keys=KEYS)
    table.disable_stream()
    table.items.update(items)
    return table


def target_of(store: FakeItemStore, *, fresh: bool = False) -> Target:
    """Return a target without a limit that matters."""
    return Target(store, "orders", SkippingClock(), SeededChance(1), units_per_second=1e9, fresh=fresh)


async def traces_of(history: Recorded, scope: Scope, moments: Sequence[int], *, memory: int = 10**9) -> Traces:
    """Return the traces of an archive."""
    traces = Traces(scope, moments, FakeObjectStore(), memory_bytes_max=memory)
    await gather(await history.archive(), "orders", traces, {})
    return traces


def some_scope(chance: random.Random, history: Recorded) -> Scope:
    """Return all items, some tenant's, or a few."""
    kind = chance.randrange(3)
    if kind == 0:
        return Scope("orders")
    if kind == 1:
        return Scope("orders", prefixes={"pk": chance.choice(["tenant-0", "tenant-1#2", "tenant", "nobody"])})
    return Scope("orders", keys=frozenset(chance.choice(history.changes).keys for _ in range(5)))


def within(scope: Scope, items: Images, without: Images = {}) -> dict[bytes, bytes]:  # noqa: B006  # never changed
    """Return the items of a scope."""
    return {key: image for key, image in items.items() if scope.has(key) and key not in without}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("memory", [10**9, 20_000], ids=["in memory", "laid aside"])
def test_a_new_table_is_the_table_as_it_was(seed: int, memory: int) -> None:
    """Any second, any scope, traces in memory or laid aside: items, deletes and re-inserts as they were."""

    async def story() -> None:
        chance, history = random.Random(seed), Recorded(seed)
        scope, second = some_scope(chance, history), chance.choice(history.seconds)
        traces = await traces_of(history, scope, (second + 1000,), memory=memory)
        store = FakeItemStore(table_of({}))
        done = await carry_out(traces, Whole(second + 1000), target_of(store, fresh=True))
        expected = within(scope, history.states[second], history.untouched)
        assert store.tables["orders"].items == expected
        assert done.writes == len(expected)
        assert bool(traces.runs) == (memory < 10**6 and scope.whole) or not scope.whole

    asyncio.run(story())


@pytest.mark.parametrize("seed", range(12))
def test_a_live_table_goes_back_to_a_moment(seed: int) -> None:
    """Items of the scope are as they were, all others are left alone; a second run does nothing."""

    async def story() -> None:
        chance, history = random.Random(seed), Recorded(seed)
        scope, second = some_scope(chance, history), chance.choice(history.seconds)
        live = table_of(history.states[history.seconds[-1]])
        store = FakeItemStore(live)
        aim = since(second + 1000, overwrite=False)
        traces = await traces_of(history, scope, aim.moments)
        planned = await tally_of(traces, aim, store)
        done = await carry_out(traces, aim, target_of(store))
        assert (done.digest, done.report()) == (planned.digest, planned.report())
        assert within(scope, live.items) == within(scope, history.states[second])
        outside = {k: v for k, v in history.states[history.seconds[-1]].items() if not scope.has(k)}
        assert {k: v for k, v in live.items.items() if not scope.has(k)} == outside
        assert (await carry_out(traces, aim, target_of(store))).writes == 0

    asyncio.run(story())


async def tally_of(traces: Traces, aim: Aim, store: FakeItemStore) -> Tally:
    """Return what a plan amounts to."""
    tally = Tally()
    async for step in plan(traces, aim, target_of(store)):
        tally.add(step.action, step.wish, step.have)
    return tally


def test_what_somebody_else_did_already_is_as_planned() -> None:
    """A second restore at the same time finds some items done; one that is left as it was seen is another matter."""
    wishes = [Wish(b'{"pk":{"S":"%d"}}' % n, b"{}", None) for n in range(3)]
    planned, beside, stale = Tally(), Tally(), Tally()
    for wish in wishes:
        planned.add(Action.PUT, wish, None)
        beside.add(Action.KEEP if wish is wishes[0] else Action.PUT, wish, None)
        stale.add(Action.STALE if wish is wishes[0] else Action.PUT, wish, None)
    assert planned.became(planned)
    assert planned.became(beside)
    assert not planned.became(stale)
    assert not beside.became(planned)


def windowed(history: Recorded, start: int, end: int) -> dict[bytes, bytes | None]:
    """Return what the live table must be after the bad changes of a window are undone: the model."""
    final: dict[bytes, bytes | None] = dict(history.states[history.seconds[-1]])
    last = {change.keys: change for change in history.changes}
    for keys, change in last.items():
        if start <= change.time_ms < end:
            earlier = [each for each in history.changes if each.keys == keys and each.time_ms < start]
            first = next(each for each in history.changes if each.keys == keys)
            final[keys] = earlier[-1].after if earlier else first.before
    return final


@pytest.mark.parametrize("seed", range(20))
def test_a_bad_window_is_undone_and_later_changes_are_kept(seed: int) -> None:
    """Only items whose last change is a bad one go back, to what they were before the window."""

    async def story() -> None:
        chance, history = random.Random(seed), Recorded(seed)
        start, last = sorted(chance.sample(history.seconds, 2))
        live = table_of(history.states[history.seconds[-1]])
        aim = Window(start, last + 1000)
        traces = await traces_of(history, Scope("orders"), aim.moments)
        await carry_out(traces, aim, target_of(FakeItemStore(live)))
        assert live.items == {k: v for k, v in windowed(history, start, last + 1000).items() if v is not None}

    asyncio.run(story())


@pytest.mark.parametrize("seed", range(10))
def test_a_write_nobody_has_archived_yet_survives(seed: int) -> None:
    """Items that were changed after the archive's last change of them are kept, as stale; or overwritten."""

    async def story() -> None:
        chance, history = random.Random(seed), Recorded(seed)
        second = history.seconds[len(history.seconds) // 2]
        final = history.states[history.seconds[-1]]
        new = {key: image.replace(b'"v"', b'"new"') for key, image in final.items() if chance.random() < 0.3}
        for overwrite in (False, True):
            live = table_of({**final, **new})
            aim = since(second + 1000, overwrite=overwrite)
            traces = await traces_of(history, Scope("orders"), aim.moments)
            done = await carry_out(traces, aim, target_of(FakeItemStore(live)))
            changed = {change.keys for change in history.changes if change.time_ms >= second + 1000}
            for key, image in new.items():
                back = overwrite and key in changed
                assert live.items.get(key) == (history.states[second].get(key) if back else image)
            assert done.counts[Action.STALE] == (0 if overwrite else len(changed & new.keys()))

    asyncio.run(story())


class Meddled(FakeItemStore):
    """A store in which somebody else changes items between our looking and our writing."""

    meddle: Mapping[bytes, bytes] = {}

    async def replace(self, write: ItemWrite, seen: bytes | None) -> bool:
        """Let the other one write first, once an item."""
        if write.keys in self.meddle and self.tables[write.table].items.get(write.keys) == seen:
            self.tables[write.table].items[write.keys] = self.meddle[write.keys]
        return await super().replace(write, seen)


def test_a_write_between_plan_and_restore_survives() -> None:
    """An item that changes after it was looked at is not overwritten, and counts as stale in what was done."""

    async def story() -> None:
        history = Recorded(3)
        second = history.seconds[len(history.seconds) // 2]
        aim = since(second + 1000, overwrite=False)
        traces = await traces_of(history, Scope("orders"), aim.moments)
        store = Meddled(table_of(history.states[history.seconds[-1]]))
        puts = [step async for step in plan(traces, aim, target_of(store)) if step.action is Action.PUT]
        victim = next(step for step in puts if step.have)
        assert victim.have is not None
        store.meddle = {victim.wish.keys: victim.have.replace(b'"v"', b'"good"')}
        done = await carry_out(traces, aim, target_of(store))
        assert store.tables["orders"].items[victim.wish.keys] == store.meddle[victim.wish.keys]
        assert done.counts[Action.STALE] == 1

    asyncio.run(story())


@pytest.mark.parametrize("fresh", [True, False])
def test_killed_at_every_call_and_run_again_it_ends_the_same(fresh: bool) -> None:
    """A restore that dies at any call, before or after its effect, is finished by a second run."""

    async def story() -> None:
        history = Recorded(5, changes=120, keys=30)
        second = history.seconds[len(history.seconds) // 3]
        aim: Aim = Whole(second + 1000) if fresh else since(second + 1000, overwrite=False)
        traces = await traces_of(history, Scope("orders"), aim.moments)
        expected = {k: v for k, v in history.states[second].items() if not fresh or k not in history.untouched}
        for at in range(1, 60):
            for when in ("before", "after"):
                store = FakeItemStore(table_of({} if fresh else history.states[history.seconds[-1]]))
                dying = store.behind(Faults(at, when, kill))
                (outcome,) = await asyncio.gather(
                    carry_out(traces, aim, target_of(dying, fresh=fresh)), return_exceptions=True
                )
                await carry_out(traces, aim, target_of(store))
                assert store.tables["orders"].items == expected
            if not isinstance(outcome, Killed):
                return
        pytest.fail("more than sixty calls")

    asyncio.run(story())


def test_lost_answers_and_refusals_change_nothing_but_time() -> None:
    """Calls that fail before or after their effect: all is written, and all that was planned counts as done."""

    async def story() -> None:
        for seed in range(8):
            chance, history = random.Random(seed), Recorded(seed, changes=150)
            second = history.seconds[len(history.seconds) // 2]
            live = table_of(history.states[history.seconds[-1]])
            store = FakeItemStore(live)
            aim = since(second + 1000, overwrite=False)
            traces = await traces_of(history, Scope("orders"), aim.moments)
            planned = await tally_of(traces, aim, store)
            store.faults.decide = lambda *_, c=chance: RetryLater("busy") if c.random() < 0.2 else None
            done = await carry_out(traces, aim, target_of(store))
            assert done.report() == planned.report()
            assert live.items == history.states[second]

    asyncio.run(story())


@pytest.mark.parametrize("fresh", [True, False])
def test_an_item_that_no_table_takes_is_named_by_its_digest(fresh: bool) -> None:
    """An item over 400 KB stops the restore: its key's digest and the remedy are told, nothing of its content."""

    async def story() -> None:
        history = Recorded(2)
        second = history.seconds[-1]
        victim = next(iter(within(Scope("orders"), history.states[second], history.untouched)))
        change = next(each for each in reversed(history.changes) if each.keys == victim)
        large = orjson.dumps({**orjson.loads(victim), "secret": {"S": "x" * 500_000}})
        history.changes[history.changes.index(change)] = change._replace(after=large)
        traces = await traces_of(history, Scope("orders"), (second + 1000,))
        with pytest.raises(Misconfigured, match=digest_of(victim).hex()) as caught:
            await carry_out(traces, Whole(second + 1000), target_of(FakeItemStore(table_of({})), fresh=fresh))
        assert "over 400 KB" in caught.value.hint
        assert "xxx" not in str(caught.value)

    asyncio.run(story())


def test_a_new_table_that_holds_other_items_is_refused() -> None:
    """An item that the restore would not put there as it is stops the plan before anything is written."""

    async def story() -> None:
        history = Recorded(2)
        second = history.seconds[-1]
        traces = await traces_of(history, Scope("orders"), (second + 1000,))
        key = next(iter(within(Scope("orders"), history.states[second], history.untouched)))
        store = FakeItemStore(table_of({key: key}))
        with pytest.raises(Misconfigured, match="other items"):
            await carry_out(traces, Whole(second + 1000), target_of(store))
        assert store.tables["orders"].items == {key: key}

    asyncio.run(story())
