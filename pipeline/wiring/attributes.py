"""What a topology's changes go through, from settings; and the file of its keys."""

import base64
import binascii
import hashlib
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.aws.private import read_private, write_private
from pipeline.model.errors import Misconfigured
from pipeline.plugin import Mirror
from pipeline.settings import ConfiguredTopology, Settings
from pipeline.settings.preflight import Finding, Severity
from pipeline.wire.attributes import KEY_BYTES, AttributeGuard, AttributeKey

_PREFIX = "fanout-attributes-1:"
_MAKE = "`fanout attributes keygen` makes one"


def make_key(file: Path) -> dict[str, Any]:
    """Write a new key into a file of its own; return the file, and the fingerprint by which keys are told apart."""
    secret = secrets.token_bytes(KEY_BYTES)
    line = f"{_PREFIX}{base64.b64encode(secret).decode()}\n"
    write_private(file, line.encode(), "name another file: what the old key encrypted is lost without it")
    return {"file": str(file), "fingerprint": hashlib.sha256(b"fanout" + secret).hexdigest()[:16]}


def read_keys(file: Path) -> tuple[AttributeKey, ...]:
    """Return the keys of a file, the present one first. Raises Misconfigured, and shows nothing of what is in it."""
    lines = read_private(file, "the key of the attributes", _MAKE).split(b"\n")
    return tuple(_key(file, number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()) or _none(
        file
    )


def guard_of(configured: ConfiguredTopology) -> AttributeGuard | None:
    """Return what a topology's changes go through, None where it gets them as they are. Raises Misconfigured."""
    policy = configured.attributes
    if not policy.names:
        return None
    return AttributeGuard(policy, read_keys(Path(policy.key_file)) if policy.hash or policy.encrypt else ())


def mirror_of(configured: ConfiguredTopology) -> Mirror | None:
    """Return what a topology's copy is to have under its policy, None where it keeps none. Raises Misconfigured.

    What an older key encrypted counts as the present one's; a hash by an older key is another.
    """
    if configured.topology.mirror is None:
        return None
    mirror, guard = configured.topology.mirror(configured.options), guard_of(configured)
    if guard is None:
        return mirror

    def held(image: bytes) -> bytes | None:
        found = mirror.held(image)
        return None if found is None else guard.resealed(found)

    return replace(mirror, expected=lambda image: mirror.expected(guard.image(image)), held=held)


def key_findings(settings: Settings) -> list[Finding]:
    """Return which files of keys cannot be used, for `fanout check`."""
    found = []
    for name, configured in settings.topologies.items():
        try:
            guard_of(configured)
        except Misconfigured as error:
            field = f"topologies.{name}.attributes_key_file"
            found.append(Finding(Severity.ERROR, field, error.reason, error.hint))
    return found


def _key(file: Path, number: int, line: bytes) -> AttributeKey:
    try:
        secret = base64.b64decode(line.removeprefix(_PREFIX.encode()), validate=True)
    except binascii.Error:
        secret = b""
    if not line.startswith(_PREFIX.encode()) or len(secret) != KEY_BYTES:
        raise Misconfigured(f"{file}: line {number} is no key for attributes", hint=_MAKE)
    return AttributeKey(secret)


def _none(file: Path) -> tuple[AttributeKey, ...]:
    raise Misconfigured(f"{file}: has no key for attributes", hint=_MAKE)
