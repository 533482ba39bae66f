"""What a user gets wrong before the start: a clear error with field, reason and fix, exit code 2, nothing written."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from tests.blackbox import ends
from tests.blackbox.stack import HOME, Stack
from tests.blackbox.test_plugin import PLUGIN, install

pytestmark = pytest.mark.emulator

KEY = "AKIA" + "ABCDEFGHIJKLMNOP"
Changed = Mapping[str, Mapping[str, object]]


class Case(NamedTuple):
    """A change to a right configuration or environment, and what the error must say."""

    change: Callable[[Stack], Changed]
    field: str
    reason: str
    fix: str
    environment: Mapping[str, str] = {}


LOOPING = PLUGIN.replace("    path: str", "    path: str\n    stream: str").replace('"lines"', '"looping"')

CASES = {
    "a name that cannot be": Case(
        lambda _: {"source": {"tables": ["or ders"]}}, "source.tables", "not of the right form", "A-Z"
    ),
    "an ARN of something else": Case(
        lambda s: {"source": {"tables": [f"arn:aws:kinesis:us-east-1:1:stream/{s.stream}"]}},
        "source.tables",
        "ARN of kinesis",
        "arn:aws:dynamodb",
    ),
    "no such table": Case(
        lambda _: {"source": {"tables": ["no-such-table"]}}, "source.tables", "there is no table", "correct the name"
    ),
    "a table without a stream": Case(
        lambda s: {"source": {"tables": [s.state + "-plain"]}}, "source.tables", "has no stream", "update-table"
    ),
    "a stream of keys only": Case(
        lambda s: {"source": {"tables": [s.state + "-keys"]}},
        "source.tables",
        "KEYS_ONLY",
        "StreamViewType=NEW_AND_OLD_IMAGES",
    ),
    "no such Kinesis stream": Case(
        lambda _: {"stream": {"name": "no-such-stream"}}, "stream.name", "there is no Kinesis stream", "fanout setup"
    ),
    "a replica that is its source": Case(
        lambda _: {"topologies.replica": {"region": HOME}},
        "topologies.replica.table",
        "is also a source table",
        "another table or another region",
    ),
    "a topology into the stream it reads": Case(
        lambda s: {"topologies.looping": {"path": "x", "stream": s.stream}},
        "topologies.looping.stream",
        "delivered again",
        "another stream",
    ),
    "two topologies in one place": Case(
        lambda s: {"topologies.second": {"kind": "archive", "bucket": s.archive, "prefix": "a/"}},
        "topologies.second.bucket",
        "same bucket and prefix",
        "another prefix",
    ),
    "no such topology": Case(
        lambda _: {"topologies.replicca": {"region": "eu-west-1"}},
        "topologies.replicca",
        "no topology 'replicca'",
        "did you mean 'replica'",
    ),
    "no such key": Case(
        lambda _: {"topologies.archive": {"bukket": "x"}},
        "topologies.archive.bukket",
        "no such setting",
        "did you mean 'bucket'",
    ),
    "a secret": Case(lambda _: {"source": {"access_key": KEY}}, "source.access_key", "secret", "AWS chain"),
    "an endpoint in the clear": Case(
        lambda _: {},
        "AWS_ENDPOINT_URL_S3",
        "in the clear",
        "https",
        {"AWS_ENDPOINT_URL_S3": "http://10.1.2.3:4566"},
    ),
}


@pytest.fixture(scope="module")
def stack(stack_of: Callable[..., Stack]) -> Stack:
    """Everything a right configuration names, and two tables that are not right."""
    stack = stack_of()
    install(stack, "looping", LOOPING)
    stack.create(stack.write(stack.sections(stack.shipped)), shards=1)
    client = stack.client("dynamodb")
    for name, extra in (
        ("plain", {}),
        ("keys", {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}}),
    ):
        client.create_table(
            TableName=f"{stack.state}-{name}",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            **extra,
        )
    return stack


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_it_is_refused_with_field_reason_and_fix(stack: Stack, case: Case) -> None:
    """`fanout run` ends at once with exit code 2 and says what, why and what to write instead; nothing is begun."""
    sections: dict[str, Any] = {name: dict(values) for name, values in stack.sections(stack.shipped).items()}
    for name, values in case.change(stack).items():
        sections[name] = {**sections.get(name, {}), **values}
    config = stack.write(sections, "wrong.toml")
    done = stack.fanout("run", "-c", str(config), FANOUT_WORKER_WEB_PORT="1", **case.environment)
    assert done.returncode == 2, done.stderr
    error, fix = (line for line in done.stderr.splitlines() if line.startswith(("error: ", "fix: ")))
    assert error.startswith(f"error: {case.field}"), error
    assert case.reason in error
    assert case.fix in fix
    assert KEY not in done.stderr
    assert "Traceback" not in done.stderr
    assert ends.scan(stack.client("dynamodb"), stack.state) == [], "nothing is begun"


def test_check_finds_what_a_start_would_only_meet_later(stack: Stack) -> None:
    """`fanout check` ends with exit code 1 and names a missing replica, a missing bucket and what makes them."""
    changed = {"replica": {"region": "ap-south-1"}, "archive": {"bucket": "no-such-bucket"}}
    config = stack.write(stack.sections(changed), "check.toml")
    done = stack.fanout("check", "-c", str(config))
    assert done.returncode == 1, done.stderr
    assert "topologies.replica.table" in done.stdout
    assert "topologies.archive.bucket" in done.stdout
    assert done.stdout.count("fix: ") >= 2
    right = stack.write(stack.sections(stack.shipped), "right.toml")
    assert stack.fanout("check", "-c", str(right)).returncode == 0
    running = stack.service("capture", right, "capture").start()
    running.wait_working()
    assert running.terminate() == 0
    sections = stack.sections({"audit": {**stack.shipped["audit"], "signing_key_file": "no-key.pem"}})
    other = stack.write(sections | {"stream": {**sections["stream"], "lanes": 128}}, "other.toml")
    done = stack.fanout("check", "-c", str(other))
    assert done.returncode == 1
    assert "stream.lanes is 128, but" in done.stdout
    assert "topologies.audit.signing_key_file" in done.stdout
