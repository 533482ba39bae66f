"""Sequence numbers as text: the services take them as digits, and not every server compares digits as a number."""

DIGITS_MIN = 21
"""The least a table stream's API accepts."""


class SequenceText:
    """Writes the sequence numbers of one stream the way the stream does.

    AWS has no leading zeros. Emulators have, and one of them compares the text: a shorter one reads as trimmed there,
    or finds nothing and says nothing. So the width is learnt from where the listing shows a leading zero.
    """

    def __init__(self, digits_min: int = 1) -> None:
        self._digits = digits_min

    def learn(self, starting: str) -> None:
        """Take notice of a number as the stream writes it."""
        if starting.startswith("0"):
            self._digits = max(self._digits, len(starting))

    def write(self, sequence: int) -> str:
        """Return the number as text."""
        return str(sequence).zfill(self._digits)
