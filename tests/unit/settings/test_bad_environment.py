"""A wrong variable is refused with its name, the reason and the fix."""

from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from tests.unit.settings.configurations import RIGHT, load_text

TABLE_ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"

ENVIRONMENTS = {
    "type": ("FANOUT_WORKER_WEB_PORT", "many", "worker.web_port (FANOUT_WORKER_WEB_PORT)", "wrong type", "1 to 65535"),
    "bounds": ("FANOUT_STREAM_LANES", "9999", "FANOUT_STREAM_LANES", "bounds", "power of two"),
    "key": ("FANOUT_SOURCE_TABEL", "x", "FANOUT_SOURCE_TABEL", "no such setting", "'table'"),
    "section": ("FANOUT_SORCE_TABLE", "x", "FANOUT_SORCE_TABLE", "no such setting", "FANOUT_SOURCE_TABLE"),
    "topology": (
        "FANOUT_TOPOLOGIES_ZIP_MODE",
        "x",
        "FANOUT_TOPOLOGIES_ZIP_MODE",
        "no configured",
        "FANOUT_TOPOLOGIES,",
    ),
    "topology key": ("FANOUT_TOPOLOGIES_COPY_MOD", "x", "topologies.copy.mod", "no such setting", "'mode'"),
    "topology name": ("FANOUT_TOPOLOGIES", "copy,9lives", "topologies.9lives", "not a name", "a-z"),
    "topology unknown": ("FANOUT_TOPOLOGIES", "copy,nothing", "topologies.nothing.kind", "no topology", "known: "),
    "ARN": (
        "FANOUT_STREAM_NAME",
        "arn:aws:kinesis:eu-west-1:1:stream/x/consumer/y",
        "stream.name",
        "consumer of a",
        "x",
    ),
    "region": (
        "FANOUT_SOURCE_TABLES",
        f"users,{TABLE_ARN}",
        "source.tables",
        "its ARN says region eu-west-1",
        "remove",
    ),
    "plain http": ("AWS_ENDPOINT_URL", "http://aws.example:80", "AWS_ENDPOINT_URL", "in the clear", "plain_http_hosts"),
    "plain streams": (
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
        "http://10.0.0.1",
        "_DYNAMODB_STREAMS",
        "in the clear",
        "https",
    ),
    "looks like loopback": ("AWS_ENDPOINT_URL_S3", "http://localhost.example", "_S3", "in the clear", "https"),
    "user part": ("AWS_ENDPOINT_URL_S3", "http://localhost@example.com", "_S3", "to example.com", "https"),
    "no scheme": ("AWS_ENDPOINT_URL_KINESIS", "localhost:4566", "_KINESIS", "not an endpoint", "write a URL"),
    "no URL": ("AWS_ENDPOINT_URL_KINESIS", "http://[::1", "_KINESIS", "not an endpoint", "write a URL"),
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_wrong_environment(tmp_path: Path, case: str) -> None:
    """A wrong variable is refused with its name, the reason and the fix."""
    variable, value, field, reason, fix = ENVIRONMENTS[case]
    with pytest.raises(Misconfigured) as refused:
        load_text(tmp_path, RIGHT, {variable: value})
    assert field in refused.value.reason
    assert reason in refused.value.reason
    assert fix in refused.value.hint
