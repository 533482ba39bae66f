"""What topologies share cannot be changed by one of them."""

import pytest

from pipeline.testing.changes import batch, history


@pytest.mark.fault("X4")
def test_a_batch_cannot_be_changed_in_place() -> None:
    """X4: topologies share the decoded batch, so none can change what another sees."""
    given = batch(history(("a", "b", "c")), 1, 3)
    change = given.changes[0]
    for name, value in (("first", 9), ("changes", ()), ("shard", "t")):
        with pytest.raises(AttributeError):
            setattr(given, name, value)
    with pytest.raises(AttributeError):
        change.after = b""  # type: ignore[misc]  # what is forbidden is tried
    with pytest.raises(TypeError):
        given.changes[0] = change  # type: ignore[index]  # what is forbidden is tried
    assert isinstance(change.after, bytes)
