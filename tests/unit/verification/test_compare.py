"""Comparing items: equal in DynamoDB's sense, different in everything else."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest

from pipeline.model.errors import Corrupt
from pipeline.verification import compare as comparison
from pipeline.verification.compare import Comparison, compare, items_of

KEYS = ("id",)


def item(key: str, **attributes: object) -> dict[str, object]:
    """Return an item."""
    return {"id": {"S": key}, **attributes}


async def scan(*items: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
    """Yield items."""
    for each in items:
        yield each


def run(expected: list[dict[str, object]], actual: list[dict[str, object]], **options: Any) -> Comparison:
    """Compare two lists."""
    return asyncio.run(compare(scan(*expected), scan(*actual), KEYS, **options))


@pytest.mark.fault("R6")
def test_every_kind_of_difference_is_counted_and_named() -> None:
    """Equal, missing, extra and different items are counted, and the latter three named by key."""
    result = run([item("a"), item("b"), item("c", v={"N": "1"})], [item("c", v={"N": "2"}), item("d"), item("a")])
    assert (result.equal, result.missing, result.extra, result.different) == (1, 1, 1, 1)
    keys = [orjson.loads(k[0])["id"][1] for k in (result.missing_keys, result.extra_keys, result.different_keys)]
    assert keys == ["b", "d", "c"]
    assert not result.same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"N": "1.50"}, {"N": "1.5"}),
        ({"SS": ["x", "y"]}, {"SS": ["y", "x"]}),
        ({"NS": ["1", "2"]}, {"NS": ["2.0", "1"]}),
        ({"M": {"x": {"S": ""}, "y": {"L": []}}}, {"M": {"y": {"L": []}, "x": {"S": ""}}}),
    ],
)
def test_other_spellings_are_the_same(a: object, b: object) -> None:
    """Numbers compare by value, sets without order, maps by content, at any depth."""
    assert run([item("k", v={"L": [a]})], [item("k", v={"L": [b]})]).same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"N": "1" * 38}, {"N": "1" * 37 + "2"}),
        ({"S": ""}, {"B": ""}),
        ({"S": "1"}, {"N": "1"}),
        ({"L": [{"N": "1"}, {"N": "2"}]}, {"L": [{"N": "2"}, {"N": "1"}]}),
        ({"B": "AA=="}, {"B": "AQ=="}),
    ],
)
def test_different_values_differ(a: object, b: object) -> None:
    """The last of 38 digits, the type, the order of a list and each byte count."""
    assert run([item("k", v=a)], [item("k", v=b)]).different == 1


def test_numbers_in_keys_are_one_key() -> None:
    """A number key that one side spells differently is the same item."""
    result = asyncio.run(compare(scan({"n": {"N": "1.0"}}), scan({"n": {"N": "1"}}), ("n",)))
    assert result.equal == 1


def test_what_a_guarded_replica_adds_does_not_count() -> None:
    """Its version attribute is ignored, and a tombstone is no item."""
    actual = [item("a", version={"S": "1"}), item("b", version={"S": "2"}, deleted={"BOOL": True})]
    assert run([item("a")], actual, ignore=("version",), gone="deleted").same


def test_lists_of_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tables with nothing in common give counts, and a few keys."""
    monkeypatch.setattr(comparison, "EXAMPLES_MAX", 2)
    result = run([item(f"a{n}") for n in range(5)], [item(f"b{n}") for n in range(5)])
    assert (result.missing, result.extra) == (5, 5)
    assert (len(result.missing_keys), len(result.extra_keys)) == (2, 2)


def test_images_are_compared_as_items() -> None:
    """What an archive folds to can be one side."""
    images = [orjson.dumps(item("a"))]
    assert asyncio.run(compare(scan(item("a")), items_of(images), KEYS)).same


def test_what_is_no_item_is_corrupt() -> None:
    """An attribute without a type is refused, not compared."""
    with pytest.raises(Corrupt):
        run([item("a", v="bare")], [])
