"""A table whose stream is another one than was captured: the start says that changes were lost."""

import asyncio

import pytest

from pipeline.aws.tables import KeyAttribute, TableDescription
from pipeline.model.errors import Gap
from pipeline.testing.fakes import FakeStateStore
from pipeline.wiring.resources import follow_on


def table(label: str) -> TableDescription:
    """Return a table with a stream of this label."""
    return TableDescription(
        "orders",
        "us-east-1",
        "arn",
        active=True,
        keys=(KeyAttribute("id", "S"),),
        stream_enabled=True,
        stream_arn=f"arn/{label}",
        stream_label=label,
        view_type="NEW_AND_OLD_IMAGES",
    )


def start(store: FakeStateStore, label: str, *, accept_gap: bool = False) -> None:
    """Start a capture of the table."""
    asyncio.run(follow_on(store, "changes", [table(label)], accept_gap=accept_gap))


def test_the_same_stream_is_followed_on() -> None:
    """A first start, and a restart on the same stream, go on."""
    store = FakeStateStore()
    start(store, "one")
    start(store, "one")


@pytest.mark.fault("D6", "D7")
def test_another_stream_is_a_gap_until_it_is_accepted() -> None:
    """Every start is refused until one accepts the gap; after that one the new stream is the one to follow."""
    store = FakeStateStore()
    start(store, "one")
    for _ in range(2):
        with pytest.raises(Gap, match="captured was 'one'"):
            start(store, "two")
    start(store, "two", accept_gap=True)
    start(store, "two")
    with pytest.raises(Gap):
        start(store, "one")
