"""A sample of `make tamper-proof`: whatever is done to a signed log is found in its place."""

import asyncio

import pytest

from tests.tamper_proof import KINDS, prove

SAMPLE = 8 * len(KINDS)


@pytest.mark.fault("A3")
def test_a_sample_of_tamperings_is_found_and_located() -> None:
    """Eight tamperings of each kind, over five shards with a split and a merge, are named by object and entry."""
    tried, missed = asyncio.run(prove(range(SAMPLE), seed=1))
    assert missed == []
    assert set(tried.values()) == {8}
