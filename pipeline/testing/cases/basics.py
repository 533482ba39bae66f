"""Cases 1 to 10: what a sink is given, it keeps, and what its author says of it is so."""

import asyncio
from collections.abc import Mapping
from dataclasses import MISSING, fields

import pytest

from pipeline.model.errors import Misconfigured, Rejected
from pipeline.settings.convert import build
from pipeline.testing.changes import CHANGES, OVERSIZE, batch, batches, history, put, remove
from pipeline.testing.rig import CASES, Rig, offer
from pipeline.testing.watch import comparable

BATCH_CHANGES_DEFAULT = 1_000
ATTRIBUTES: Mapping[str, object] = {
    "number": {"N": "-12345678901234567890123456789012345678"},
    "small": {"N": "1E-130"},
    "text": {"S": 'line\nend "quoted" \\ é 🜁 \u0000 </script>'},
    "empty": {"S": ""},
    "binary": {"B": "AP8="},
    "no_bytes": {"B": ""},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "texts": {"SS": ["b", "a"]},
    "numbers": {"NS": ["2", "1.50"]},
    "binaries": {"BS": ["AQ==", "AA=="]},
    "list": {"L": [{"S": "x"}, {"L": []}]},
    "map": {"M": {"": {"M": {}}}},
}


class _Nothing:
    """A value that is right for no setting."""


class Basics(Rig):
    """Cases 1 to 10: what a sink is given, it keeps, and what its author says of it is so."""

    def test_01_a_batch_without_changes(self) -> None:
        """A range of which all changes were filtered out, where it is asked for, leaves nothing; the next follows."""

        async def case() -> None:
            stores, sink = await self.start()
            for each in filter(self.takes, [batch(CHANGES, 1, 4, without=range(1, 5))]):
                await sink.write(each)
            await self.holds(stores)
            await sink.write(batch(CHANGES, 5, 12))
            await self.holds(stores, batch(CHANGES, 5, 12))

        asyncio.run(case())

    def test_01_filtered_changes_leave_holes_in_positions(self) -> None:
        """A range of which some changes were filtered out is written like any other."""

        async def case() -> None:
            stores, sink = await self.start()
            given = [
                batch(CHANGES, 1, 4, without=[1, 3]),
                batch(CHANGES, 5, 6, without=[5, 6]),
                batch(CHANGES, 7, 12),
            ]
            for each in filter(self.takes, given):
                await sink.write(each)
            await self.holds(stores, *given)

        asyncio.run(case())

    def test_02_one_change(self) -> None:
        """A batch of one change is written."""
        asyncio.run(self.whole(CHANGES[:1]))

    def test_03_changes_in_their_order(self) -> None:
        """The changes of one batch, and of one change a batch, are all there, in their order."""

        async def case() -> None:
            for cuts in ((), tuple(range(1, 12))):
                await self.whole(CHANGES, batches(CHANGES, *cuts))

        asyncio.run(case())

    def test_04_the_largest_batch(self) -> None:
        """As many changes of different items as the topology takes in a batch are all written."""
        count = self.topology.batch_changes_max if self.topology else BATCH_CHANGES_DEFAULT
        asyncio.run(self.whole(history([f"item-{n}" for n in range(count)])))

    def test_05_the_largest_items(self) -> None:
        """Items as large as DynamoDB allows, a dozen in a batch, come back as they were given."""
        large = {"S": "x" * (400 * 1024 - 200)}
        asyncio.run(self.whole(tuple(put(f"item-{n}", n, {"large": large}) for n in range(1, 13))))

    def test_06_inserts_modifies_and_removes(self) -> None:
        """An item is inserted, modified, removed and inserted anew."""
        asyncio.run(self.whole(history(("a", "a", "-a", "a", "b", "-b"))))

    def test_06_removing_what_is_not_there_is_no_error(self) -> None:
        """An item that the destination never had can be removed."""
        asyncio.run(self.whole((remove("ghost", 1), put("a", 2))))

    def test_07_every_type_survives(self) -> None:
        """38 digits, sets, binary, empty values and control characters come back as they were given."""
        asyncio.run(self.whole((put("a", 1, ATTRIBUTES),)))

    def test_07_nesting_to_the_limit_survives(self) -> None:
        """An item nested 32 deep, DynamoDB's limit, comes back as it was given."""
        value: dict[str, object] = {"N": "1"}
        for _ in range(31):
            value = {"L": [value]}
        asyncio.run(self.whole((put("a", 1, {"deep": value}),)))

    def test_08_what_is_too_large_is_rejected_or_kept(self) -> None:
        """A change too large for the destination is Rejected by its position; without it the rest is written."""

        async def case() -> None:
            stores, sink = await self.start()
            changes = (put("a", 1), put("b", 2, OVERSIZE), put("c", 3))
            given = batch(changes, 1, 3)
            try:
                await offer(sink, given)
            except Rejected as error:
                assert list(error.positions) == [2], "Rejected names positions of the batch"  # noqa: PT017  # both outcomes are right, each is looked at
                given = batch(changes, 1, 3, without=[2])
                await offer(sink, given)
            await self.holds(stores, given)

        asyncio.run(case())

    def test_09_wrong_settings_are_named(self) -> None:
        """A setting that is unknown, missing or of the wrong type is refused, and the message names it."""
        topology = self.topology
        assert topology is not None, "set `topology` and `settings`, or say in not_applicable why there are none"
        section = f"topologies.{topology.name}"
        build(topology.settings, self.settings, section)
        wrong = {"no_such_setting": {**self.settings, "no_such_setting": 1}}
        for field in fields(topology.settings):
            wrong[field.name] = {**self.settings, field.name: _Nothing()}
            if field.default is MISSING and field.default_factory is MISSING:
                left = {name: value for name, value in self.settings.items() if name != field.name}
                with pytest.raises(Misconfigured, match=rf"{section}\.{field.name}"):
                    build(topology.settings, left, section)
        for name, values in wrong.items():
            with pytest.raises(Misconfigured, match=rf"{section}\.{name}"):
                build(topology.settings, values, section)

    def test_10_what_is_said_of_the_sink_is_so(self) -> None:
        """The kit's questions to the author have true answers, or the other cases would prove nothing."""
        assert self.not_applicable.keys() <= set(CASES), "not_applicable has numbers of cases"
        assert all(self.not_applicable.values()), "not_applicable gives a reason for each"

        async def case() -> None:
            stores, _ = await self.start()
            for _ in range(2):
                assert not await self.read_back(stores), "read_back of an empty destination is empty"
            contents = [self.content_of(put("a", number)) for number in (1, 2)]
            assert contents[0] != contents[1], "content_of tells changes apart"
            if self.may_regress:
                await self._regresses()

        asyncio.run(case())

    async def _regresses(self) -> None:
        """Expect that an older image does show: who promises less than it keeps is tested for less."""
        stores, _ = await self.start()
        await self.deliver(stores, [batch(CHANGES, 1, 12)])
        await self.deliver(stores, [batch(CHANGES, 1, 3)])
        found = await self.read_back(stores)
        assert isinstance(found, Mapping), "may_regress is for sinks that keep items"
        newest = {(change.table, change.keys): change.after for change in CHANGES}
        assert comparable(found) != comparable(newest), "the sink shows nothing old: it need not say may_regress"
