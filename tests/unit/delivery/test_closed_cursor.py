"""A cursor that has taken its shard's last page."""

from pipeline.delivery.appetite import Appetite
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.reader import Page
from pipeline.model.state import Report


def test_an_older_page_does_not_open_a_closed_cursor() -> None:
    """A page read before the shard was closed, which comes in after the last one, is no new beginning."""
    cursor = Cursor("changes", "shard", Appetite(10, 1_000, 0.0, {"orders"}), Report())
    last = Page(None, (), None, 0, ended=True, behind_ms=0)
    cursor.feed(last, 0.0)
    cursor.feed(last._replace(ended=False), 1.0)
    assert cursor.closed
    assert cursor.ended
