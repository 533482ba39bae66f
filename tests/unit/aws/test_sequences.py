"""Sequence numbers as text."""

from pipeline.aws.sequences import DIGITS_MIN, SequenceText


def test_a_table_stream_has_at_least_21_digits() -> None:
    """Short numbers are filled up, long ones are left alone."""
    text = SequenceText(DIGITS_MIN)
    assert text.write(7) == "0" * 20 + "7"
    assert text.write(10**39) == "1" + "0" * 39


def test_the_width_is_learnt_from_leading_zeros_only() -> None:
    """A stream without leading zeros keeps its numbers as they are; with them, numbers become as wide as its own."""
    text = SequenceText()
    text.learn("49590338271490256608559692538361571095921575989136588802")
    assert text.write(123) == "123"
    text.learn("000000017954270050020000000001")
    assert text.write(17954270070560000000003) == "000000017954270070560000000003"
