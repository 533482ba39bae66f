"""Keys as people write them: read in one way, or refused with the form to write."""

import pytest

from pipeline.history.keys import KeySchema, Scope, prefixes
from pipeline.model.errors import Misconfigured

BOTH = KeySchema(("pk", "sk"), ("S", "N"))
KEYS = b'{"pk":{"S":"a,b=c"},"sk":{"N":"3"}}'


@pytest.mark.parametrize(
    "text",
    [
        "pk=a,b=c,sk=3",
        "sk=3.0,pk=a,b=c",
        '{"pk":"a,b=c","sk":3}',
        '{"sk":{"N":"03"},"pk":{"S":"a,b=c"}}',
    ],
)
def test_one_key_in_many_spellings(text: str) -> None:
    """Pairs in any order, plain JSON and DynamoDB JSON are the same key; a comma in a value is no border."""
    assert BOTH.read(text) == KEYS
    assert KeySchema.of(KEYS) == BOTH


@pytest.mark.parametrize(
    "text", ["pk=a", "a", "", "pk=a,sk=b", "x=1,pk=a,sk=3", "pk=a,sk=1,sk=2", "{", '{"pk":{"N":"1"},"sk":3}', "{}"]
)
def test_half_a_key_is_refused_and_not_repeated(text: str) -> None:
    """What is no whole key of the table is refused with the form to write, and the error shows no value."""
    with pytest.raises(Misconfigured) as caught:
        BOTH.read(text)
    assert caught.value.hint
    assert "a,b" not in str(caught.value)


def test_scopes() -> None:
    """All, listed, or by the start of a key attribute; only text has a start."""
    assert Scope("t").has(KEYS)
    assert Scope("t").whole
    assert Scope("t", prefixes=prefixes(["pk=a,b="], BOTH)).has(KEYS)
    assert not Scope("t", prefixes={"pk": "b"}).has(KEYS)
    assert Scope("t", keys=frozenset([KEYS])).has(KEYS)
    assert not Scope("t", keys=frozenset()).has(KEYS)
    for wrong in ("sk=1", "x=1", "pk"):
        with pytest.raises(Misconfigured):
            prefixes([wrong], BOTH)
