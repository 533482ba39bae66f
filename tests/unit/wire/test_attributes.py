"""Attributes left out, hashed and encrypted: what each topology is given."""

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.change import Batch, Change, ChangeKind
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.testing.changes import put
from pipeline.wire.attributes import (
    HASHED,
    KEY_BYTES,
    AttributeGuard,
    AttributeKey,
    AttributePolicy,
    Revealing,
    must_be_open,
    without,
)
from pipeline.wire.diff import canonical

KEY, OLD_KEY = AttributeKey(bytes(range(KEY_BYTES))), AttributeKey(bytes(KEY_BYTES))
POLICY = AttributePolicy(drop=("card",), hash=("mail",), encrypt=("name",), key_file="key")
GUARD = AttributeGuard(POLICY, (KEY,))
ITEM = {"pk": {"S": "a"}, "card": {"S": "4111"}, "mail": {"S": "a@b.c"}, "name": {"S": "Ada"}, "n": {"N": "1.10"}}

texts = st.text(max_size=20)
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000).map(str)
binaries = st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode())
plain = st.one_of(
    st.builds(lambda text: {"S": text}, texts),
    st.builds(lambda number: {"N": number}, numbers),
    st.builds(lambda data: {"B": data}, binaries),
    st.just({"NULL": True}),
    st.builds(lambda value: {"BOOL": value}, st.booleans()),
    st.builds(lambda values: {"SS": values}, st.lists(texts, min_size=1, max_size=4, unique=True)),
    st.builds(lambda values: {"BS": values}, st.lists(binaries, min_size=1, max_size=4, unique=True)),
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.builds(lambda many: {"L": many}, st.lists(inner, max_size=3)),
        st.builds(lambda many: {"M": many}, st.dictionaries(texts, inner, max_size=3)),
    ),
    max_leaves=8,
)


def image(**more: object) -> bytes:
    """Return ITEM with other attributes, as bytes."""
    return orjson.dumps({**ITEM, **more})


def batch_of(*changes: Change) -> Batch:
    """Return a batch of changes from position 1 on."""
    return Batch("stream", "shard", 1, len(changes), changes, range(1, len(changes) + 1))


def made_of(value: object) -> bytes:
    """Return an item with a value in the encrypted and in the hashed attribute, as the topology gets it."""
    return GUARD.image(orjson.dumps({"mail": value, "name": value}))


def test_what_is_named_does_not_get_through_and_all_else_does() -> None:
    """No value of a named attribute is in the result; other attributes stay as they were, to the digit."""
    given_item = GUARD.image(image())
    got = orjson.loads(given_item)
    assert not [value for value in (b"4111", b"a@b.c", b"Ada") if value in given_item]
    assert "card" not in got
    assert (got["pk"], got["n"]) == (ITEM["pk"], ITEM["n"])
    assert got["mail"]["S"].startswith(HASHED)
    assert set(got["name"]) == {"B"}


def test_an_item_without_them_is_the_same_bytes() -> None:
    """Where nothing is to be done an image is passed on as it is, its spelling too."""
    spelt = b'{ "pk":{"S":"a"}, "n":{"N":"1.10"} }'
    assert GUARD.image(spelt) is spelt


@given(values)
def test_doing_it_twice_changes_nothing(value: object) -> None:
    """What went through once comes out the same the second time: a redriven change, a repaired item."""
    once = made_of(value)
    assert GUARD.image(once) == once


@given(values)
def test_what_is_revealed_is_what_was_encrypted(value: object) -> None:
    """With the key, an encrypted attribute is again what it was, and goes through again to the same bytes."""
    once = made_of(value)
    shown = orjson.loads(Revealing((KEY,))(once))
    assert GUARD.image(orjson.dumps(shown)) == once
    assert canonical(shown["name"]) == canonical(value)  # a number comes back in its one spelling, a set in order


def test_equal_values_have_equal_results_and_others_have_not() -> None:
    """Sets without order and numbers by value are equal; another value or another attribute gives another result."""
    assert made_of({"SS": ["a", "b"]}) == made_of({"SS": ["b", "a"]})
    assert made_of({"N": "1.10"}) == made_of({"N": "1.1"})
    assert made_of({"M": {"a": {"N": "1"}, "b": {"S": ""}}}) == made_of({"M": {"b": {"S": ""}, "a": {"N": "1.0"}}})
    assert made_of({"S": "1"}) != made_of({"N": "1"})
    assert KEY.hashed("a", {"S": "x"}) != KEY.hashed("b", {"S": "x"})
    assert KEY.sealed("a", {"S": "x"}) != KEY.sealed("b", {"S": "x"})
    assert KEY.hashed("a", {"S": "x"}) != OLD_KEY.hashed("a", {"S": "x"})


def _forged() -> list[str]:
    ours, theirs = KEY.hashed("mail", {"S": "x"})["S"], OLD_KEY.hashed("mail", {"S": "x"})["S"]
    digest = ours.removeprefix(HASHED)
    other = KEY.hashed("card", {"S": "x"})["S"]
    beside = [f"{ours}=ada@example.org", f"{ours}\n", f"{HASHED}{digest[:20]}!(*)#{digest[20:]}", f" {ours}"]
    tail = next(each for each in "ABCD" if each != digest[-1])  # the last character has bits to spare
    return [HASHED, HASHED + "A" * 43, HASHED + "ä" * 43, theirs, other, *beside, ours[:-1] + tail]


@pytest.mark.parametrize("forged", _forged())
def test_a_text_that_only_looks_like_a_hash_is_hashed(forged: str) -> None:
    """Nobody gets a value through by making it look like one that went through already, or by writing beside one."""
    got = orjson.loads(GUARD.image(image(mail={"S": forged})))["mail"]["S"]
    assert got == KEY.hashed("mail", {"S": forged})["S"] != forged


def test_what_passes_as_one_thing_does_not_pass_as_the_other() -> None:
    """A hash is encrypted where values are encrypted, a ciphertext hashed where they are hashed."""
    hashed, sealed, theirs = (
        KEY.hashed("name", {"S": "x"}),
        KEY.sealed("mail", {"S": "x"}),
        OLD_KEY.sealed("name", ITEM["pk"]),
    )
    got = orjson.loads(GUARD.image(image(name=hashed, mail=sealed)))
    assert KEY.opened("name", got["name"]) == hashed
    assert got["mail"] == KEY.hashed("mail", sealed)
    assert KEY.opened("name", orjson.loads(GUARD.image(image(name=theirs)))["name"]) == theirs


def test_an_older_key_reveals_and_what_no_key_made_stays_and_is_named() -> None:
    """With several keys each value is opened by its own; without it the value stays as stored, others are revealed."""
    old = orjson.dumps({"pk": {"S": "a"}, "name": OLD_KEY.sealed("name", {"S": "Ada"})})
    both, one = Revealing((KEY, OLD_KEY)), Revealing((KEY,))
    assert orjson.loads(both(old))["name"] == {"S": "Ada"}
    assert AttributeGuard(POLICY, (KEY, OLD_KEY)).image(old) == old
    assert (one(old), one.closed, both.closed) == (old, {"name"}, set())
    assert orjson.loads(one(made_of({"S": "Eve"})))["name"] == {"S": "Eve"}


def test_what_an_older_key_encrypted_compares_like_the_present_one_s() -> None:
    """After a change of key an item that was stored before it equals the one that is expected now."""
    rotated = AttributeGuard(POLICY, (KEY, OLD_KEY))
    old = orjson.dumps({"pk": {"S": "a"}, "name": OLD_KEY.sealed("name", {"S": "Ada"})})
    assert rotated.resealed(old) == rotated.image(orjson.dumps({"pk": {"S": "a"}, "name": {"S": "Ada"}}))
    assert rotated.resealed(image()) == image()


def test_a_note_tells_what_was_ever_kept_from_an_archive() -> None:
    """Notes of several policies are joined, each attribute once; one that is no note is told by its name."""
    name, note = POLICY.note
    joined = AttributePolicy(drop=("x",), encrypt=("name",)).joined(name, note)
    assert (joined.drop, joined.hash, joined.encrypt) == (("x", "card"), ("mail",), ("name",))
    assert AttributePolicy(encrypt=("name",)).note[0] != name
    with pytest.raises(Corrupt, match="object policies/x is damaged"):
        joined.joined("policies/x", b"{}")


def test_a_ciphertext_moved_to_another_attribute_is_not_opened() -> None:
    """A ciphertext is bound to its attribute, and one changed in a bit opens to nothing."""
    sealed = KEY.sealed("name", {"S": "Ada"})
    assert KEY.opened("name", sealed) == {"S": "Ada"}
    assert KEY.opened("nickname", sealed) is None
    data = bytearray(base64.b64decode(sealed["B"]))
    data[-1] ^= 1
    assert KEY.opened("name", {"B": base64.b64encode(data).decode()}) is None


def test_what_is_encrypted_still_is_kept_from_the_live_table() -> None:
    """A ciphertext in an attribute that is encrypted is refused by name; one in another is an item's own affair."""
    sealed = image(name=KEY.sealed("name", {"S": "Ada"}))
    assert must_be_open(image(), ["name"]) == image()
    assert must_be_open(sealed, ["mail"]) == sealed
    with pytest.raises(Misconfigured, match="attribute name is encrypted"):
        must_be_open(sealed, ["name"])
    assert orjson.loads(without(image(), ["name", "nothing"])) == {k: v for k, v in ITEM.items() if k != "name"}
    assert without(image(), ["nothing"]) == image()


def test_a_batch_keeps_positions_keys_and_gaps() -> None:
    """Both images of each change go through; identity, key and position stay, and a gap's record is left alone."""
    whole = put("a", 1)._replace(before=image(), after=image(n={"N": "2"}))
    gap = put("b", 2)._replace(kind=ChangeKind.GAP, after=b'{"name":{"S":"kept"}}')
    got = GUARD.batch(batch_of(whole, gap))
    assert [each.identity for each in got.changes] == [whole.identity, gap.identity]
    assert (got.changes[0].before, got.changes[0].after) == (GUARD.image(image()), GUARD.image(image(n={"N": "2"})))
    assert got.changes[1] == gap


def test_a_key_attribute_in_a_policy_stops_the_topology() -> None:
    """A key can be neither left out, hashed nor encrypted: it is refused, with the names of attribute and table."""
    whole = put("a", 1)
    name = next(iter(orjson.loads(whole.keys)))
    with pytest.raises(Misconfigured, match=f"attribute {name} is of the key of table {whole.table}"):
        AttributeGuard(AttributePolicy(drop=(name,))).batch(batch_of(whole))


@pytest.mark.parametrize("bad", [b"[]", b"nothing", b'{"name":1}', b'{"name":{"N":"x"}}', b'{"mail":{}}'])
def test_what_is_no_item_is_corrupt(bad: bytes) -> None:
    """An image that is no DynamoDB JSON is told as such, never passed on."""
    with pytest.raises(Corrupt, match="no DynamoDB JSON"):
        GUARD.image(bad)
