"""A topology's attribute policy with its keys, from settings; and the file of the keys."""

import base64
import binascii
import hashlib
import secrets
from pathlib import Path
from typing import Any

from pipeline.aws.private import read_private, write_private
from pipeline.model.errors import Misconfigured
from pipeline.settings import ConfiguredTopology, Settings
from pipeline.settings.preflight import Finding, Severity
from pipeline.wire.attributes import KEY_BYTES, AttributeGuard, AttributeKey, Image, must_be_whole, revealing

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


def revealing_of(settings: Settings, topology: str, *, reveal: bool) -> Image | None:
    """Return what shows an archive's items as they were, None where they are shown as stored. Raises Misconfigured."""
    if not reveal:
        return None
    policy = settings.topologies[topology].attributes
    if not policy.key_file:
        raise Misconfigured(
            f"topologies.{topology}.attributes_key_file: is missing, to reveal what is encrypted",
            hint="name the file of the key, or leave out --reveal",
        )
    return revealing(read_keys(Path(policy.key_file)))


def restoring_of(settings: Settings, topology: str, *, reveal: bool) -> Image:
    """Return what an item goes through on its way into the live table. Raises Misconfigured where that cannot be.

    What it returns raises Misconfigured for an item that is not whole.
    """
    policy = settings.topologies[topology].attributes
    for name in (*policy.drop, *policy.hash):
        raise Misconfigured(
            f"the archive does not have the attribute {name}: the live table would lose it",
            hint="restore into a table of its own, or --file, and take from there what you need",
        )
    shown = revealing_of(settings, topology, reveal=reveal)
    return (lambda image: must_be_whole(shown(image))) if shown else must_be_whole


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
