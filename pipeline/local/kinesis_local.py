"""kinesis-local: Kinesis Data Streams with true resharding, for tests."""

import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from pipeline.local.child import LOOPBACK, Child, Launch, free_port
from pipeline.local.fetch import Package, fetched, needed

PACKAGE = Package(
    "kinesis-local",
    "0.6.2",
    "main.js",
    "6d46874682bffd8c06a3ca90735e292d144626541d1450bc43326557b3dda414",
)

_BIND_LOOPBACK = f"""
import net from "node:net";
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {{
  return typeof port === "number" ? listen.call(this, port, "{LOOPBACK}", ...rest) : listen.call(this, port, ...rest);
}};
"""
"""Loaded before the server, which would listen on all interfaces otherwise and has no setting for it."""


def kinesis_local(folder: Path, *, environment: Mapping[str, str] | None = None) -> Child:
    """Return the server, not yet started; `environment` is added to its own. Raises Unavailable without node or npm."""
    node = needed("node", "kinesis-local")
    home = fetched(PACKAGE)
    preload = "data:text/javascript," + urllib.parse.quote(_BIND_LOOPBACK)

    def launch(port: int) -> Launch:
        ports = {"KINESIS_MOCK_PLAIN_PORT": str(port), "KINESIS_MOCK_TLS_PORT": str(free_port())}
        own = {**ports, "LOG_LEVEL": "ERROR", "SHARD_LIMIT": "1000"}
        return Launch([node, "--import", preload, PACKAGE.runs], {**own, **(environment or {})}, home)

    return Child("kinesis-local", launch, folder)
