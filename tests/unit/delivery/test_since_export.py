"""What has changed since an export, found in the Kinesis stream before a row of it is sent."""

from pipeline.delivery.since_export import KeyFilter


def test_a_filter_forgets_no_key() -> None:
    """Every key that was added is in it; of others few are, when it is large enough, and most when it is small."""
    large, small = KeyFilter(1 << 16), KeyFilter(64)
    added, others = ([b"%s-%d" % (kind, n) for n in range(1_000)] for kind in (b"added", b"other"))
    for keys in added:
        large.add(keys)
        small.add(keys)
    assert all(keys in large and keys in small for keys in added)
    assert sum(keys in large for keys in others) < 10
    assert sum(keys in small for keys in others) > 900
