"""The contract of ItemStore, on the fake and on emulators."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from pipeline.aws.clock import SystemClock
from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.session import CONTROL, READ
from pipeline.aws.tables import KeyAttribute, Tables
from pipeline.model.errors import Misconfigured, Rejected
from pipeline.ports import ItemStore, ItemWrite
from pipeline.testing.fakes import FakeItemStore, FakeTable, ManualClock

REGION = "us-east-1"
KEYS = (KeyAttribute("pk", "S"), KeyAttribute("a_sort", "N"))
Run = Callable[[Any], Any]
POSITIONS = "positions"


@pytest.fixture(
    params=["fake", *(pytest.param(n, marks=pytest.mark.emulator) for n in ("dynamodb-local", "ministack"))]
)
def store(request: pytest.FixtureRequest, run: Run, name: str) -> ItemStore:
    """Each store in turn, with an empty table of the test's name."""
    if request.param == "fake":
        return FakeItemStore(FakeTable(name, ManualClock(), keys={key.name: key.type for key in KEYS}))
    aws = request.getfixturevalue("aws_on")(request.param)
    tables = Tables(aws.dynamodb(REGION, CONTROL), SystemClock())
    run(tables.create(name, KEYS))
    run(tables.create_positions(POSITIONS))
    return DynamoDBItemStore(aws, REGION, SystemClock())


def _keys(key: str) -> bytes:
    return orjson.dumps({"pk": {"S": key}, "a_sort": {"N": "1"}})


def _put(table: str, key: str, **attributes: Any) -> ItemWrite:
    item = orjson.dumps({"pk": {"S": key}, "a_sort": {"N": "1"}, **attributes})
    return ItemWrite(table, _keys(key), item)


def _delete(table: str, key: str) -> ItemWrite:
    return ItemWrite(table, _keys(key), None)


async def _items(store: ItemStore, table: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async for item in store.scan(table):
        loaded: Any = item
        assert isinstance(item, Mapping)
        found[loaded["pk"]["S"]] = {name: value for name, value in loaded.items() if name not in {"pk", "a_sort"}}
    return found


def test_key_names_start_with_the_hash(store: ItemStore, run: Run, name: str) -> None:
    """The hash attribute comes first whatever the alphabet says; a missing table is a wrong setting."""
    assert run(store.key_names(name)) == ("pk", "a_sort")
    with pytest.raises(Misconfigured, match="absent-table"):
        run(store.key_names("absent-table"))


def test_a_transaction_writes_all_and_moves_the_row(store: ItemStore, run: Run, name: str) -> None:
    """Puts, deletes and the position come together."""
    assert run(store.position(POSITIONS, name)) == 0
    assert run(store.transact([_put(name, "a"), _put(name, "b")], POSITIONS, name, 0, 2))
    assert run(store.transact([_delete(name, "a"), _put(name, "c")], POSITIONS, name, 2, 4))
    assert sorted(run(_items(store, name))) == ["b", "c"]
    assert run(store.position(POSITIONS, name)) == 4


def test_a_full_transaction_fits(store: ItemStore, run: Run, name: str) -> None:
    """Ninety-nine writes and the position go in one call."""
    assert run(store.transact([_put(name, f"{i}") for i in range(99)], POSITIONS, name, 0, 99))
    assert len(run(_items(store, name))) == 99


@pytest.mark.parametrize(("old", "new"), [(0, 9), (3, 9), (7, 9)])
def test_a_transaction_from_elsewhere_does_nothing(store: ItemStore, run: Run, name: str, old: int, new: int) -> None:
    """A caller that thinks the row stands where it does not is refused, and nothing of its call is done."""
    run(store.transact([_put(name, "a")], POSITIONS, name, 0, 5))
    assert not run(store.transact([_put(name, "b"), _delete(name, "a")], POSITIONS, name, old, new))
    assert list(run(_items(store, name))) == ["a"]
    assert run(store.position(POSITIONS, name)) == 5


def test_a_transaction_that_comes_again_changes_nothing(store: ItemStore, run: Run, name: str) -> None:
    """A call repeated because its answer was lost leaves everything as it was, however it is answered."""
    writes = [_put(name, "a", v={"N": "1"})]
    assert run(store.transact(writes, POSITIONS, name, 0, 1))
    assert run(store.transact([_put(name, "a", v={"N": "2"})], POSITIONS, name, 1, 2))
    run(store.transact(writes, POSITIONS, name, 0, 1))
    assert run(_items(store, name)) == {"a": {"v": {"N": "2"}}}
    assert run(store.position(POSITIONS, name)) == 2


BAD = {
    "too large": {"x": {"S": "x" * 410_000}},
    "wrong key type": {"a_sort": {"S": "1"}},
}


@pytest.mark.fault("R5", "T4")
@pytest.mark.parametrize("why", BAD)
def test_an_item_that_can_never_be_written_is_named(store: ItemStore, run: Run, name: str, why: str) -> None:
    """The indexes of bad items are given, nothing of the call is done, and the rest goes through when offered again."""
    writes = [_put(name, "good"), _put(name, "bad", **BAD[why]), _delete(name, "other")]
    for call in (lambda w: store.transact(w, POSITIONS, name, 0, 1), store.write_batch):
        with pytest.raises(Rejected) as refused:
            run(call(writes))
        assert list(refused.value.positions) == [1]
        assert run(_items(store, name)) == {}
        assert run(store.position(POSITIONS, name)) == 0
    assert run(store.transact([writes[0], writes[2]], POSITIONS, name, 0, 1))


@pytest.mark.fault("R2")
def test_put_newer_refuses_the_old(store: ItemStore, run: Run, name: str) -> None:
    """A higher version replaces, an equal or lower one does not, and an item without a version counts as old."""

    def put(version: str) -> bool:
        done: bool = run(store.put_newer(_put(name, "a", ver={"S": version}), "ver", version))
        return done

    run(store.write_batch([_put(name, "a")]))
    assert [put(version) for version in ("0005", "0005", "0004", "0010")] == [True, False, False, True]
    assert run(_items(store, name)) == {"a": {"ver": {"S": "0010"}}}


def test_items_are_got_by_their_keys(store: ItemStore, run: Run, name: str) -> None:
    """A hundred keys at once: those that exist come back, under the very keys that were asked for."""
    run(store.write_batch([_put(name, f"{i}", v={"N": "1.50"}) for i in range(25)]))
    asked = [_keys(f"{i}") for i in range(100)]
    found = run(store.get(name, asked))
    assert set(found) == set(asked[:25])
    assert orjson.loads(found[asked[3]])["pk"] == {"S": "3"}
    assert run(store.get(name, [])) == {}


SEEN = {"v": {"N": "1"}, "tags": {"SS": ["a", "b"]}, "m": {"M": {"x": {"L": [{"NULL": True}]}}}, "b": {"B": "AAE="}}


def test_an_item_is_replaced_only_if_it_is_the_one_seen(store: ItemStore, run: Run, name: str) -> None:
    """Equal by value is enough; another value, more attributes, fewer, or no item at all is refused and left alone."""
    run(store.write_batch([_put(name, "a", **SEEN)]))
    equal = _put(name, "a", **{**SEEN, "v": {"N": "1.0"}, "tags": {"SS": ["b", "a"]}}).item
    after = _put(name, "a", v={"N": "2"})
    for seen in (
        _put(name, "a", **{**SEEN, "v": {"N": "3"}}).item,
        _put(name, "a", **{**SEEN, "more": {"S": "x"}}).item,
        _put(name, "a", **{k: v for k, v in SEEN.items() if k != "b"}).item,
        None,
    ):
        assert not run(store.replace(after, seen))
        assert not run(store.replace(_delete(name, "a"), seen))
        assert run(_items(store, name))["a"]["b"] == SEEN["b"]
    assert run(store.replace(after, equal))
    assert run(_items(store, name)) == {"a": {"v": {"N": "2"}}}
    assert run(store.replace(_delete(name, "a"), after.item))
    assert run(_items(store, name)) == {}


def test_an_item_is_made_only_if_none_is_there(store: ItemStore, run: Run, name: str) -> None:
    """What was not there may be put; deleting what is not there does nothing; a change of a missing item is refused."""
    put = _put(name, "a", v={"N": "2"})
    assert not run(store.replace(put, put.item))
    assert run(store.replace(_delete(name, "a"), None))
    assert run(store.replace(put, None))
    assert not run(store.replace(put, None))


def test_an_item_of_many_attributes_is_compared_whole(store: ItemStore, run: Run, name: str) -> None:
    """More attributes than one condition can name: a difference in the last of them is found, and undone."""
    many = {f"a{n:03d}": {"N": str(n)} for n in range(150)}
    run(store.write_batch([_put(name, "a", **many)]))
    after = _put(name, "a", v={"N": "2"})
    assert not run(store.replace(after, _put(name, "a", **{**many, "a149": {"N": "0"}}).item))
    assert run(_items(store, name))["a"] == many
    assert run(store.replace(after, _put(name, "a", **many).item))


def test_replace_names_a_bad_item(store: ItemStore, run: Run, name: str) -> None:
    """An item that can never be written is refused for good."""
    with pytest.raises(Rejected) as refused:
        run(store.replace(_put(name, "a", **BAD["too large"]), None))
    assert list(refused.value.positions) == [0]


def test_put_newer_names_a_bad_item(store: ItemStore, run: Run, name: str) -> None:
    """An item that can never be written is refused for good."""
    with pytest.raises(Rejected) as refused:
        run(store.put_newer(_put(name, "a", **BAD["too large"]), "ver", "1"))
    assert list(refused.value.positions) == [0]


def test_a_batch_puts_and_deletes(store: ItemStore, run: Run, name: str) -> None:
    """Twenty-five writes go in one call; deleting what is not there is no error."""
    assert run(store.write_batch([_put(name, f"{i}") for i in range(25)])) == ()
    assert run(store.write_batch([_delete(name, f"{i}") for i in range(26) if i != 7][:25])) == ()
    assert list(run(_items(store, name))) == ["7"]


@pytest.mark.fault("T1", "T2")
def test_items_come_back_as_they_went(store: ItemStore, run: Run, name: str) -> None:
    """Every type of attribute is scanned as it was written: numbers as text, binary as base64 text."""
    attributes = {
        "n": {"N": "12345678901234567890.12345678901234567"},
        "b": {"B": "AP8="},
        "bs": {"BS": ["AA==", "AP8="]},
        "ss": {"SS": ["a", "b"]},
        "l": {"L": [{"NULL": True}, {"BOOL": False}, {"M": {"\u00e9": {"S": '\u2028"\\'}}}]},
        "empty": {"S": ""},
    }
    run(store.write_batch([_put(name, "a", **attributes)]))
    assert run(_items(store, name)) == {"a": attributes}


def test_a_scan_reads_every_page(store: ItemStore, run: Run, name: str) -> None:
    """More items than one answer holds are all found."""
    for i in range(8):
        run(store.write_batch([_put(name, f"{i}", x={"S": "x" * 300_000})]))
    assert len(run(_items(store, name))) == 8


@pytest.mark.fault("R1")
@pytest.mark.emulator
def test_unprocessed_writes_are_matched_by_key(request: pytest.FixtureRequest, run: Run, name: str) -> None:
    """Writes that AWS hands back, in any order and spelling of their keys, are returned as they were given."""
    aws = request.getfixturevalue("aws_on")("dynamodb-local")
    run(Tables(aws.dynamodb(REGION, READ), SystemClock()).create(name, KEYS))
    store = DynamoDBItemStore(aws, REGION, SystemClock())
    writes = [_put(name, "a"), _delete(name, "b"), _put(name, "c", b={"B": "AP8="})]
    put = {"pk": {"S": "c"}, "b": {"B": "AP8="}, "a_sort": {"N": "1.0"}}
    answer = [{"PutRequest": {"Item": put}}, {"DeleteRequest": {"Key": orjson.loads(_keys("b"))}}]
    body = orjson.dumps({"UnprocessedItems": {name: answer}})

    def hand_back(customized_response_dict: dict[str, Any], **_: Any) -> None:
        customized_response_dict["RawResponseBody"] = body

    store._writes.client.meta.events.register_last("before-parse.dynamodb.BatchWriteItem", hand_back)
    assert run(store.write_batch(writes)) == (writes[1], writes[2])
