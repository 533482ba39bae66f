"""What is refused before anything is planned: half an archive, and times it cannot speak of."""

import asyncio

import pytest

from pipeline.history.keys import Scope
from pipeline.history.moment import Moment, moment
from pipeline.history.reading import gather, must_be_complete, must_have_begun, must_not_lie_ahead
from pipeline.history.traces import Traces
from pipeline.history.watermark import Bound, Watermark
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.testing.fakes import FakeObjectStore
from tests.recorded import Recorded

AT = moment("2026-11-24T10:41:07Z")


def test_a_second_that_is_not_over_is_refused() -> None:
    """The running second is the future; the one before it is not."""
    must_not_lie_ahead(AT, AT.end_ms)
    with pytest.raises(Misconfigured, match="is not over: it is 2026-11-24T10:41:07Z now"):
        must_not_lie_ahead(AT, AT.end_ms - 1)


def test_a_time_past_the_watermark_is_refused_with_who_is_behind() -> None:
    """The error says up to when the archive is complete, what holds it back, and what to do."""
    must_be_complete(AT, Watermark(AT.end_ms, ()))
    mark = Watermark(AT.end_ms - 1000, (Bound("table orders, shard 1", AT.end_ms - 1000, "it is behind"),))
    with pytest.raises(
        Misconfigured, match="up to 2026-11-24T10:41:06Z, not to 2026-11-24T10:41:07Z: table orders"
    ) as e:
        must_be_complete(AT, mark)
    assert "archive check" in e.value.hint


def test_a_time_before_the_first_change_is_refused() -> None:
    """The second of the first change is the first there is; an archive without a change of the table has none."""
    must_have_begun(AT, AT.second_ms + 500, "orders")
    for first_ms, reason in (
        (AT.end_ms, "the archive begins at 2026-11-24T10:41:08Z"),
        (0, "no change of table orders"),
    ):
        with pytest.raises(Misconfigured, match=reason):
            must_have_begun(AT, first_ms, "orders")


@pytest.mark.parametrize("which", [0, 7, -1])
def test_no_plan_is_made_of_half_an_archive(which: int) -> None:
    """One object gone, the last of a shard too, stops the reading: its checkpoint tells that it was there."""

    async def story() -> None:
        objects = await Recorded(1).archive()
        delivered: dict[str, int] = {}
        traces = Traces(Scope("orders"), (Moment(10**15).end_ms,), FakeObjectStore())
        delivered = (await gather(objects, "orders", traces, {})).reached
        await gather(objects, "orders", traces, delivered)
        name = sorted(objects.objects)[which]
        del objects.objects[name]
        with pytest.raises(Corrupt, match=name):
            await gather(objects, "orders", traces, delivered)

    asyncio.run(story())
