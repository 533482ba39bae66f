"""ministack: DynamoDB, its streams, Kinesis and S3 on one port; what `fanout demo` runs on.

It does not reshard without losing the parent's records and emits no stream records for PartiQL writes and TTL deletes.
"""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.local.child import LOOPBACK, Child, Launch, Unavailable


def ministack(folder: Path, *, environment: Mapping[str, str] | None = None) -> Child:
    """Return the server, not yet started; its log and pid file go to `folder`. Raises Unavailable when not installed.

    `environment` is added to the server's own.

    It runs in this interpreter's environment, though never in this process.
    """
    if importlib.util.find_spec("ministack") is None:
        raise Unavailable("ministack is not installed", hint="pip install 'fanout[demo]'")

    def launch(port: int) -> Launch:
        own = {"GATEWAY_PORT": str(port), "BIND_HOST": LOOPBACK, "LOG_LEVEL": "WARNING"}
        return Launch([sys.executable, "-m", "ministack"], {**own, **(environment or {})})

    return Child("ministack", launch, folder)


def ministack_settings(server: Child) -> dict[str, str]:
    """Return the AWS variables that point every service at the server."""
    return {"AWS_ENDPOINT_URL": server.url, **EMULATOR_CREDENTIALS}


EMULATOR_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
"""Emulators want a signature, not a secret; one access key, because DynamoDB Local keeps a database for each."""
