"""Strategies for whatever a DynamoDB table can hold, and for runs of changes of it."""

import os
from base64 import b64encode
from typing import Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pipeline.model.change import Change, ChangeKind
from pipeline.wire.json import canonical_keys

DEPTH_MAX = 32
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "")
fuzzed = settings(
    max_examples=int(EXAMPLES or 8),
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
"""A few examples, the same in every run; as many as `make fuzz EXAMPLES=...` asks for, others each time."""
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "../..", "\x00", "\n", "\u202e", "<b>", "=1+1", "${x}", "|", "\ud7ff"]
)
SEQUENCE_BASE = 10**24 - 3
"""Sequences grow by a digit within the first changes."""


def numbers() -> st.SearchStrategy[str]:
    """Return numbers as DynamoDB takes them: up to 38 digits, exponents from -130 to 125."""
    digits = st.integers(1, 10**38 - 1).map(str)
    plain = st.tuples(st.sampled_from(["", "-"]), digits).map("".join)
    decimal = st.tuples(plain, st.sampled_from([".0", ".10", ".5"])).map(lambda pair: pair[0][:30] + pair[1])
    exponents = st.tuples(st.sampled_from(["1", "-9.9", "1.00"]), st.integers(-130, 125))
    powers = exponents.map(lambda pair: f"{pair[0]}E{pair[1]}")
    return plain | decimal | powers | st.sampled_from(["0", "-0", "0.00", "1E-130", "9.9E+125"])


def binary() -> st.SearchStrategy[str]:
    """Return base64 text."""
    return st.binary(max_size=12).map(lambda data: b64encode(data).decode())


def values() -> st.SearchStrategy[dict[str, Any]]:
    """Return attribute values of every type."""
    scalars = st.one_of(
        TEXTS.map(lambda text: {"S": text}),
        numbers().map(lambda number: {"N": number}),
        binary().map(lambda data: {"B": data}),
        st.booleans().map(lambda value: {"BOOL": value}),
        st.just({"NULL": True}),
        st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(lambda texts: {"SS": texts}),
        st.lists(numbers(), min_size=1, max_size=3, unique=True).map(lambda found: {"NS": found}),
        st.lists(binary(), min_size=1, max_size=3, unique=True).map(lambda found: {"BS": found}),
        st.integers(1, DEPTH_MAX).map(_nested),
    )
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda found: {"L": found})
            | st.dictionaries(TEXTS, inner, max_size=3).map(lambda found: {"M": found})
        ),
        max_leaves=6,
    )


def _nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"M": {}}
    for _ in range(depth - 1):
        value = {"L": [value]}
    return value


def images() -> st.SearchStrategy[dict[str, Any]]:
    """Return the attributes of an item beside its key."""
    return st.dictionaries(TEXTS.filter(lambda name: name not in {"id", "sort", "number"}), values(), max_size=4)


def keys() -> st.SearchStrategy[dict[str, Any]]:
    """Return primary keys: a hash attribute and, perhaps, another."""
    parts = st.one_of(
        st.text(min_size=1, max_size=30).map(lambda text: {"S": text}),
        st.sampled_from(["k" * 2048, "\u20ac" * 682]).map(lambda text: {"S": text}),
        numbers().map(lambda number: {"N": number}),
        st.binary(min_size=1, max_size=12).map(lambda data: {"B": b64encode(data).decode()}),
    )
    return st.fixed_dictionaries({"id": parts}, optional={"sort": parts})


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Return a run of changes of one source shard, in order."""
    run = []
    for number in range(draw(st.integers(1, 5))):
        key, kind = draw(keys()), draw(st.sampled_from(list(ChangeKind)))
        before, after = (orjson.dumps({**key, **draw(images())}) for _ in range(2))
        run.append(
            Change(
                "orders",
                "2026-01-01T00:00:00.000",
                "shardId-1",
                SEQUENCE_BASE + 7 * number,
                kind,
                canonical_keys(orjson.dumps(key), "id"),
                None if kind is ChangeKind.INSERT else before,
                None if kind is ChangeKind.REMOVE else after,
                draw(st.integers(0, 4_000_000_000_000)),
                kind is ChangeKind.REMOVE and draw(st.booleans()),
                draw(st.sampled_from(["", "f" * 32])),
                draw(st.integers(0, 900_000)),
            )
        )
    return run
