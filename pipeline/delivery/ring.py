"""The last pages of a shard, read once, followed by several cursors; bounded in bytes."""

from collections import deque

from pipeline.delivery.reader import Page


class Ring:
    """Pages numbered from 0 without end; `oldest`..`next - 1` are held."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._pages: deque[Page] = deque()
        self._size_bytes = 0
        self._start: int | None = None
        self.oldest = 0
        self.ended = False
        self.torn = False
        """True when what follows the last page may be missing: nothing is read ahead then."""

    @property
    def next(self) -> int:
        """Return the number the next page will have."""
        return self.oldest + len(self._pages)

    @property
    def full(self) -> bool:
        """Return True when one more page would displace the oldest."""
        return self._size_bytes >= self._bytes_max

    def restart(self, place: int | None) -> None:
        """Forget all pages; the next one appended follows the record `place`."""
        self.oldest = self.next
        self._pages.clear()
        self._size_bytes = 0
        self._start = place
        self.ended = self.torn = False

    def append(self, page: Page) -> None:
        """Hold one more page; the oldest make room when there is none."""
        self._pages.append(page)
        self._size_bytes += page.size_bytes
        self.ended = page.ended
        while self._size_bytes > self._bytes_max and len(self._pages) > 1:
            self._drop_oldest()

    def forget_before(self, number: int) -> None:
        """Let go of pages that every follower has taken."""
        while self._pages and self.oldest < number:
            self._drop_oldest()

    def page(self, number: int) -> Page:
        """Return a held page."""
        return self._pages[number - self.oldest]

    def join(self, place: int | None) -> int | None:
        """Return the number of the page where a cursor at `place` can follow on.

        None when the ring began later, or has let go of the shard's last page: only that one says that the shard ended.
        """
        if (place if place is not None else -1) < (self._start if self._start is not None else -1):
            return None
        for offset, page in enumerate(self._pages):
            if page.last is not None and (place is None or page.last > place):
                return self.oldest + offset
        if self.ended:
            return self.next - 1 if self._pages else None
        return self.next

    def _drop_oldest(self) -> None:
        page = self._pages.popleft()
        self._size_bytes -= page.size_bytes
        self._start = page.last
        self.oldest += 1
