"""What a right configuration becomes."""

from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from pipeline.settings import check_topologies, load
from tests.unit.settings.configurations import PLUGIN, RIGHT, load_text

MINIMAL = """
[source]
region = "us-east-1"
table = "orders"
[stream]
name = "orders-changes"
[state]
table = "fanout-state"
"""


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    """Three sections are enough; the regions of stream and state follow the source, the table is in `tables`."""
    settings = load_text(tmp_path, MINIMAL)
    assert settings.source.tables == ("orders",)
    assert (settings.stream.region, settings.state.region) == ("us-east-1", "us-east-1")
    assert (settings.stream.lanes, settings.stream.wire) == (64, "compact")
    assert (settings.worker.lease_seconds, settings.worker.web_port) == (10.0, 6066)
    assert settings.topologies == {}


def test_the_state_follows_the_stream(tmp_path: Path) -> None:
    """A stream in another region takes the state with it."""
    settings = load_text(tmp_path, MINIMAL.replace("[state]", 'region = "eu-west-1"\n[state]'))
    assert (settings.stream.region, settings.state.region) == ("eu-west-1", "eu-west-1")


def test_a_topology_gets_its_own_settings(tmp_path: Path) -> None:
    """Common keys and the plugin's own stand side by side; what is unset comes from the plugin."""
    configured = load_text(tmp_path, RIGHT + 'tables = ["users"]\nrows_max = 3\ncolumns = ["a"]').topologies["copy"]
    assert configured.tables == ("users",)
    assert (configured.options.table, configured.options.rows_max, configured.options.columns) == (
        "orders-copy",
        3,
        ("a",),
    )
    assert (configured.batch_changes_max, configured.linger_seconds) == (500, 0.5)


def test_a_second_topology_of_one_kind(tmp_path: Path) -> None:
    """`kind` gives a second topology of a kind another name; both share one module, and 0 is not unset."""
    settings = load_text(tmp_path, RIGHT + '[topologies.other]\nkind = "copy"\ntable = "second"\nlinger_seconds = 0')
    first, second = settings.topologies["copy"], settings.topologies["other"]
    assert first.topology is second.topology
    assert second.linger_seconds == 0
    assert second.tables == ("orders", "users")


def test_the_environment_wins(tmp_path: Path) -> None:
    """A variable overrides the file, is read by the type of its setting, and separates a list by commas."""
    environ = {
        "FANOUT_SOURCE_TABLES": "orders, invoices",
        "FANOUT_WORKER_WEB_PORT": "7000",
        "FANOUT_WORKER_LEASE_SECONDS": "2.5",
        "FANOUT_LOG_FORMAT": "json",
        "FANOUT_TOPOLOGIES_COPY_REGION": "eu-central-1",
        "FANOUT_TOPOLOGIES_COPY_ROWS_MAX": "7",
        "FANOUT_TOPOLOGIES_COPY_COLUMNS": "a,b",
        "FANOUT_TOPOLOGIES_COPY_BATCH_CHANGES_MAX": "9",
    }
    settings = load_text(tmp_path, RIGHT, environ)
    assert settings.source.tables == ("orders", "invoices")
    assert (settings.worker.web_port, settings.worker.lease_seconds, settings.log.format) == (7000, 2.5, "json")
    copy = settings.topologies["copy"]
    assert (copy.options.region, copy.options.rows_max, copy.options.columns) == ("eu-central-1", 7, ("a", "b"))
    assert copy.batch_changes_max == 9


def test_no_file_is_needed(tmp_path: Path) -> None:
    """The environment alone configures everything, topologies by FANOUT_TOPOLOGIES included."""
    environ = {
        "FANOUT_SOURCE_REGION": "us-east-1",
        "FANOUT_SOURCE_TABLE": "orders",
        "FANOUT_STREAM_NAME": "changes",
        "FANOUT_STATE_TABLE": "state",
        "FANOUT_TOPOLOGIES": "copy",
        "FANOUT_TOPOLOGIES_COPY_TABLE": "orders-copy",
    }
    load_text(tmp_path)
    (tmp_path / "fanout.toml").unlink()
    assert load(None, environ, tmp_path).topologies["copy"].options.table == "orders-copy"


def test_the_longest_topology_name_is_meant(tmp_path: Path) -> None:
    """A variable that fits `copy` and `copy-mode` belongs to the longer name."""
    text = RIGHT + '[topologies.copy-two]\nkind = "copy"\ntable = "t-two"'
    settings = load_text(tmp_path, text, {"FANOUT_TOPOLOGIES_COPY_TWO_MODE": "fast"})
    assert settings.topologies["copy-two"].options.mode == "fast"
    assert settings.topologies["copy"].options.mode == "safe"


def test_variables_of_kubernetes_are_not_ours(tmp_path: Path) -> None:
    """A service called fanout makes Kubernetes set FANOUT_PORT and the like: they do no harm."""
    load_text(tmp_path, MINIMAL, {"FANOUT_PORT": "tcp://10.0.0.1:80", "FANOUT_SERVICE_HOST": "10.0.0.1"})


def test_arns_are_taken_for_names(tmp_path: Path) -> None:
    """An ARN gives the name and, where none is given, the region."""
    arns = """
    [source]
    table = "arn:aws:dynamodb:us-gov-west-1:123456789012:table/orders"
    [stream]
    name = "arn:aws:kinesis:us-gov-west-1:123456789012:stream/changes"
    [state]
    table = "arn:aws:dynamodb:us-gov-east-1:123456789012:table/state"
    """
    settings = load_text(tmp_path, arns)
    assert (settings.source.region, settings.source.tables) == ("us-gov-west-1", ("orders",))
    assert (settings.stream.region, settings.stream.name) == ("us-gov-west-1", "changes")
    assert (settings.state.region, settings.state.table) == ("us-gov-east-1", "state")


def test_a_module_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kind = "module:name"` imports a module beside the configuration."""
    monkeypatch.setattr("sys.path", __import__("sys").path.copy())
    (tmp_path / "mysink_for_test.py").write_text(PLUGIN.replace('"copy"', '"mine"'))
    settings = load_text(tmp_path, MINIMAL + '[topologies.x]\nkind = "mysink_for_test:topology"\ntable = "abc"')
    assert settings.topologies["x"].topology.name == "mine"


@pytest.mark.parametrize(
    "url", ["https://a.example", "http://127.0.0.9:4566", "http://localhost:1", "http://[::1]:8000"]
)
def test_endpoints_that_are_allowed(tmp_path: Path, url: str) -> None:
    """TLS anywhere and plain http on loopback are fine."""
    load_text(tmp_path, MINIMAL, {"AWS_ENDPOINT_URL": url, "AWS_ENDPOINT_URL_S3": ""})


def test_a_plain_host_named_by_hand(tmp_path: Path) -> None:
    """A host in aws.plain_http_hosts may be reached in the clear."""
    text = MINIMAL + '[aws]\nplain_http_hosts = ["localstack"]'
    load_text(tmp_path, text, {"AWS_ENDPOINT_URL_KINESIS": "http://localstack:4566"})


def test_references_to_secrets_and_digests_are_no_secrets(tmp_path: Path) -> None:
    """A setting that names where a secret is kept is unknown here, not refused as a secret; nor is a hex digest."""
    with pytest.raises(Misconfigured, match="there is no such setting"):
        load_text(tmp_path, RIGHT + 'password_env = "WEBHOOK_PASSWORD"')
    load_text(tmp_path, RIGHT + 'prefix = "da39a3ee5e6b4b0d3255bfef95601890afd80709"')


def test_delivery_needs_a_topology(tmp_path: Path) -> None:
    """Without a topology capture may run, delivery is told what to add."""
    with pytest.raises(Misconfigured, match=r"topologies: none is configured.*\[topologies.replica\]"):
        check_topologies(load_text(tmp_path, MINIMAL))
