"""Loops, two writers of one place, and ARNs of something else: refused before anything is written."""

from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from tests.unit.settings.configurations import RIGHT, load_text

TABLE_ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"

# what is done to the right configuration: (text replaced, by what), then the field, reason and fix expected
CASES = {
    "not a source table": (
        "[topologies.copy]",
        '[topologies.copy]\ntables = ["order"]',
        "copy.tables",
        "not a source",
        "orders",
    ),
    "loop on a table": (
        '"eu-west-1"\ntable = "orders-copy"',
        '"us-east-1"\ntable = "users"',
        "copy.table",
        "every write would be a change",
        "another table",
    ),
    "loop by default": (
        'region = "eu-west-1"\ntable = "orders-copy"',
        "",
        "copy.table",
        "us-east-1/orders",
        "another region",
    ),
    "loop on the stream": (
        '"eu-west-1"\ntable',
        '"us-east-1"\nstream = "orders-changes"\ntable',
        "copy.stream",
        "delivered again",
        "another stream",
    ),
    "state in the source": (
        '"fanout-state"',
        '"users"',
        "state.table",
        "every checkpoint would be a change",
        "of its own",
    ),
    "state as replica": (
        '"eu-west-1"\ntable = "orders-copy"',
        '"us-east-1"\ntable = "fanout-state"',
        "copy.table",
        "is the table of state.table",
        "another table",
    ),
    "positions in the source": (
        '"eu-west-1"\ntable',
        '"us-east-1"\npositions_table = "users"\ntable',
        "topologies.copy.positions_table",
        "also a source table",
        "of its own",
    ),
    "positions in the replica": (
        "[topologies.copy]",
        '[topologies.copy]\npositions_table = "orders-copy"',
        "topologies.copy.table",
        "is the table of topologies.copy.positions_table",
        "another table",
    ),
    "ARN of a replica": (
        '"orders-copy"',
        f'"{TABLE_ARN}"',
        "topologies.copy.table",
        "right form",
        "a table name",
    ),
    "region of a replica": ('"eu-west-1"', '"Ireland"', "topologies.copy.region", "right form", "an AWS region"),
    "bucket as URL": (
        "[topologies.copy]",
        '[topologies.copy]\nbucket = "s3://archive"',
        "topologies.copy.bucket",
        "right form",
        "a bucket name",
    ),
    "prefix": (
        "[topologies.copy]",
        '[topologies.copy]\nbucket = "archive"\nprefix = "a b"',
        "topologies.copy.prefix",
        "right form",
        "an object prefix",
    ),
    "one bucket from two regions": (
        "[topologies.copy]",
        (
            '[topologies.a]\nkind = "copy"\ntable = "a-a"\nbucket = "bbb"\nregion = "us-west-2"\n'
            '[topologies.copy]\nbucket = "bbb"'
        ),
        "topologies.copy.bucket",
        "the same bucket and prefix as topologies.a.bucket",
        "another prefix",
    ),
    "one bucket twice": (
        "[topologies.copy]",
        (
            '[topologies.a]\nkind = "copy"\ntable = "a-a"\nbucket = "bbb"\nprefix = "p/"\n'
            '[topologies.copy]\nbucket = "bbb"\nprefix = "p"'
        ),
        "topologies.copy.bucket",
        "the same bucket and prefix as topologies.a.bucket",
        "another prefix",
    ),
    "one table twice": (
        "[topologies.copy]",
        '[topologies.a]\nkind = "copy"\nregion = "eu-west-1"\ntable = "orders-copy"\n[topologies.copy]',
        "topologies.copy.table",
        "the same table as topologies.a.table",
        "its own",
    ),
    "claims in a topology's place": (
        '[state]\ntable = "fanout-state"',
        (
            'claim_bucket = "bbb"\n[state]\ntable = "fanout-state"\n'
            '[topologies.a]\nkind = "copy"\ntable = "a-a"\nbucket = "bbb"'
        ),
        "topologies.a.bucket",
        "as stream.claim_bucket",
        "its own",
    ),
    "ARN of a stream": (
        '"orders", "users"',
        f'"{TABLE_ARN}/stream/2026-01-01T00:00:00.000"',
        "source.tables",
        "a stream of a table",
        "orders: the stream",
    ),
    "ARN of another service": (
        '"orders", "users"',
        '"arn:aws:s3:::bucket"',
        "source.tables",
        "an ARN of s3, not that",
        "name of the table",
    ),
    "ARN of another kind": (
        '"orders", "users"',
        '"arn:aws:sns:eu-west-1:1:topic"',
        "source.tables",
        "not that of a dynamodb table",
        "arn:aws:dynamodb",
    ),
    "half an ARN": ('"orders", "users"', '"arn:aws:dynamodb"', "source.tables", "not a complete ARN", "whole ARN"),
    "ARN of another region": (
        '"orders", "users"',
        f'"{TABLE_ARN}"',
        "source.tables",
        "source.region says us-east-1",
        "correct one",
    ),
}


@pytest.mark.fault("O2")
@pytest.mark.parametrize("case", CASES)
def test_wrong_place(tmp_path: Path, case: str) -> None:
    """A wrong place is refused with field, reason and fix."""
    old, new, field, reason, fix = CASES[case]
    assert old in RIGHT
    with pytest.raises(Misconfigured) as refused:
        load_text(tmp_path, RIGHT.replace(old, new, 1))
    assert field in refused.value.reason
    assert reason in refused.value.reason
    assert fix in refused.value.hint
