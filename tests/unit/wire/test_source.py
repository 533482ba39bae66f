"""Decoding DynamoDB Streams pages."""

import base64

import orjson
import pytest

from pipeline.model.change import ChangeKind
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.wire.source import SourceShard

SHARD = SourceShard("orders", "2026-11-23T00:00:00.000", "shardId-1", "pk")


def _record(name: str = "MODIFY", **over: object) -> dict[str, object]:
    detail: dict[str, object] = {
        "ApproximateCreationDateTime": 1763800000,
        "Keys": {"sk": {"N": "1.50"}, "pk": {"S": "a"}},
        "NewImage": {"pk": {"S": "a"}},
        "OldImage": {"pk": {"S": "a"}},
        "SequenceNumber": "300000000000000499659",
        "SizeBytes": 3,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    detail = {k: v for k, v in {**detail, **over}.items() if v is not ...}
    return {"eventID": "e1", "eventName": name, "eventVersion": "1.1", "awsRegion": "x", "dynamodb": detail}


def _body(*records: object, **more: object) -> bytes:
    return orjson.dumps({"Records": list(records), "NextShardIterator": "next", **more})


def test_a_change_carries_everything_the_stream_said() -> None:
    """Kind, identity, canonical keys, time in milliseconds and eventID come from the record; place from the shard."""
    page = SHARD.page(_body(_record()))
    (change,) = page.changes
    assert page.next == "next"
    assert change[:6] == (
        "orders",
        SHARD.epoch,
        "shardId-1",
        300000000000000499659,
        ChangeKind.MODIFY,
        b'{"pk":{"S":"a"},"sk":{"N":"1.5"}}',
    )
    assert (change.time_ms, change.by_ttl, change.event_id) == (1763800000000, False, "e1")


@pytest.mark.fault("T1", "T2")
def test_images_are_the_exact_bytes() -> None:
    """Spelling of numbers, order of sets, spaces, escapes and base64 of an image are not touched."""
    image = b'{ "pk":{"S":"\\u00e9/\\/"}, "n":{"N":"1.500"}, "s":{"SS":["b","a"]}, "b":{"B":"AAEC"} }'
    body = _body(_record(NewImage="@new")).replace(b'"@new"', image)
    assert SHARD.page(body).changes[0].after == image


def test_images_outlive_the_page() -> None:
    """An image is a copy of its own: it does not keep a whole page in memory."""
    change = SHARD.page(_body(_record())).changes[0]
    assert type(change.after) is bytes
    assert type(change.before) is bytes


@pytest.mark.parametrize(
    ("name", "absent", "before", "after"), [("INSERT", "OldImage", 0, 1), ("REMOVE", "NewImage", 1, 0)]
)
def test_an_image_that_cannot_be_is_none(name: str, absent: str, before: int, after: int) -> None:
    """An insert has no before and a remove no after, whether the stream leaves the field out or says null."""
    for missing in (..., None):
        change = SHARD.page(_body(_record(name, **{absent: missing}))).changes[0]
        assert (change.before is not None, change.after is not None) == (bool(before), bool(after))


@pytest.mark.fault("D9")
@pytest.mark.parametrize(("name", "absent"), [("INSERT", "NewImage"), ("MODIFY", "OldImage"), ("REMOVE", "OldImage")])
def test_a_missing_image_is_a_wrong_view_type(name: str, absent: str) -> None:
    """A KEYS_ONLY or one-image stream is refused, naming the fix, once a change lacks what its kind must have."""
    with pytest.raises(Misconfigured, match=r"300000000000000499659 .*shardId-1.*NEW_AND_OLD_IMAGES"):
        SHARD.page(_body(_record(name, **{absent: ...})))


@pytest.mark.fault("D9")
@pytest.mark.parametrize(
    "identity",
    [
        {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
        {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"},
    ],
)
def test_time_to_live_is_known_in_any_capitalisation(identity: dict[str, str]) -> None:
    """A deletion by DynamoDB itself is marked, as the API and as the SDK spell it."""
    record = {**_record("REMOVE", NewImage=...), "userIdentity": identity}
    assert SHARD.page(_body(record)).changes[0].by_ttl


@pytest.mark.parametrize("identity", [None, {"type": "Service", "principalId": "someone.else"}, {}])
def test_other_identities_are_users(identity: object) -> None:
    """No identity, an empty one and another service's are not time to live."""
    assert not SHARD.page(_body({**_record(), "userIdentity": identity})).changes[0].by_ttl


def test_an_empty_page_and_the_last_page() -> None:
    """A page may be empty; without a next iterator the shard is drained, though the page may carry changes."""
    assert SHARD.page(b'{"Records":[],"NextShardIterator":"n"}') == ((), "n")
    last = SHARD.page(_body(_record(), NextShardIterator=None))
    assert (len(last.changes), last.next) == (1, None)


@pytest.mark.fault("T4")
@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"Records":[{}]}',
        b"",
        _body(_record(SequenceNumber="12x")),
        _body(_record(SequenceNumber="\u0661")),
        _body(_record("UPSERT")),
        _body(_record(Keys={"pk": {"L": []}})),
        _body(_record(Keys={"other": {"S": "secret"}})),
        _body(_record(Keys=...)),
    ],
)
def test_what_cannot_be_decoded_is_corrupt_and_says_where(body: bytes) -> None:
    """Anything but what the API promises stops the shard, names table and shard, and quotes no content."""
    with pytest.raises(Corrupt, match=r"orders.*shardId-1") as caught:
        SHARD.page(body)
    assert "secret" not in str(caught.value)


def test_binary_keys_keep_their_base64() -> None:
    """A binary key is carried as the text of its base64."""
    text = base64.b64encode(bytes(range(5))).decode()
    change = SHARD.page(_body(_record(Keys={"pk": {"B": text}}))).changes[0]
    assert orjson.loads(change.keys) == {"pk": {"B": text}}
