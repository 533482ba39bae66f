"""Diffs of images, and equality of DynamoDB values."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.errors import Corrupt
from pipeline.wire.diff import attribute_of, canonical, canonical_item, diff

NUMBERS = st.integers(-(10**37), 10**37).map(str) | st.sampled_from(["1.50", "1E-130", "-0", "0", "9.9E+125"])
SCALARS = st.one_of(
    st.builds(lambda text: {"S": text}, st.text(max_size=8)),
    st.builds(lambda number: {"N": number}, NUMBERS),
    st.builds(lambda flag: {"BOOL": flag}, st.booleans()),
    st.just({"NULL": True}),
    st.sampled_from([{"B": ""}, {"B": "AP8="}]),
    st.builds(lambda texts: {"SS": sorted(texts)}, st.sets(st.text(max_size=3), min_size=1)),
    st.builds(lambda numbers: {"NS": list(numbers)}, st.lists(NUMBERS, min_size=1, max_size=3)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda values: {"L": values}, st.lists(inner, max_size=3)),
        st.builds(lambda values: {"M": values}, st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    ),
    max_leaves=6,
)
ITEMS = st.dictionaries(st.text(max_size=3), VALUES, max_size=5)


def shuffled(value: object) -> object:
    """Return the same DynamoDB value, spelled the other way round."""
    match value:
        case {"SS": list(texts)}:
            return {"SS": texts[::-1]}
        case {"NS": list(numbers)}:
            return {"NS": [f"{number}" for number in numbers[::-1]]}
        case {"L": list(values)}:
            return {"L": [shuffled(each) for each in values]}
        case {"M": dict(values)}:
            return {"M": {name: shuffled(values[name]) for name in reversed(values)}}
        case _:
            return value


@given(ITEMS, ITEMS)
def test_a_diff_turns_the_old_image_into_the_new(before: dict[str, object], after: dict[str, object]) -> None:
    """Applied to the old image, a diff gives the new one; it names nothing that is equal."""
    changed = orjson.loads(diff(orjson.dumps(before), orjson.dumps(after)))
    result = dict(before)
    for name, (old, new) in changed.items():
        assert old == before.get(name)
        assert old is None or new is None or canonical(old) != canonical(new)
        if new is None:
            del result[name]
        else:
            result[name] = new
    assert canonical_item(result) == canonical_item(after)


@given(ITEMS)
def test_other_spellings_are_no_difference(item: dict[str, object]) -> None:
    """Sets in another order, and maps and items with their attributes in another order, are equal."""
    other = {name: shuffled(item[name]) for name in reversed(item)}
    assert diff(orjson.dumps(item), orjson.dumps(other)) == b"{}"


@given(ITEMS)
def test_an_insert_and_a_remove_show_the_whole_image(item: dict[str, object]) -> None:
    """The diff of an insert has every attribute as new, that of a removal every attribute as old."""
    image = orjson.dumps(item)
    assert orjson.loads(diff(None, image)) == {name: [None, value] for name, value in item.items()}
    assert orjson.loads(diff(image, None)) == {name: [value, None] for name, value in item.items()}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"N": "1.0"}, {"N": "1"}),
        ({"N": "-0"}, {"N": "0"}),
        ({"N": "1E+2"}, {"N": "100"}),
        ({"NS": ["1", "2.0"]}, {"NS": ["2", "1.0"]}),
        ({"BS": ["AA==", "AQ=="]}, {"BS": ["AQ==", "AA=="]}),
    ],
)
def test_equal_values_are_equal(a: object, b: object) -> None:
    """Numbers count by value, sets without order."""
    assert canonical(a) == canonical(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"N": "12345678901234567890123456789012345678"}, {"N": "12345678901234567890123456789012345679"}),
        ({"N": "1"}, {"S": "1"}),
        ({"S": ""}, {"NULL": True}),
        ({"S": ""}, {"B": ""}),
        ({"BOOL": True}, {"NULL": True}),
        ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}),
        ({"L": []}, {"M": {}}),
    ],
)
def test_different_values_are_different(a: object, b: object) -> None:
    """The last of 38 digits counts, and so do type, emptiness and the order of lists."""
    assert canonical(a) != canonical(b)


@pytest.mark.parametrize("value", [{}, {"S": "a", "N": "1"}, {"X": "1"}, {"N": "one"}, {"B": "?"}, 1, None, {"L": 1}])
def test_what_is_no_dynamodb_json_is_corrupt(value: object) -> None:
    """Anything but one known type with fitting content is refused, not guessed."""
    with pytest.raises(Corrupt):
        canonical(value)


def test_an_image_that_is_no_json_object_is_corrupt() -> None:
    """An image that cannot be read is refused."""
    with pytest.raises(Corrupt):
        diff(b"{}", b"[1]")


def test_one_attribute_can_be_taken_from_an_image() -> None:
    """An attribute comes as it is stored; none comes from an image without it, or from no image."""
    assert attribute_of(b'{"by":{"S":"ann"}}', "by") == b'{"S":"ann"}'
    assert attribute_of(b"{}", "by") is None
    assert attribute_of(None, "by") is None
