"""Names of objects: one rule for buckets and folders, so that what works in one works in the other."""

import re

from pipeline.model.errors import Misconfigured

_PART = r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*"
_NAME = re.compile(rf"{_PART}(/{_PART})*")


def checked(name: str) -> str:
    """Return the name. Raises Misconfigured when it could mean another place, or has characters outside the rule."""
    if not _NAME.fullmatch(name):
        raise Misconfigured(
            f"not a name for an object: {name!r}",
            hint="use A-Z a-z 0-9 . _ = - between single slashes, and start no part with a dot",
        )
    return name


def checked_prefix(prefix: str) -> str:
    """Return the prefix of names to list. Raises Misconfigured when no name can start with it."""
    if prefix:
        checked(prefix + "x" if prefix.endswith("/") else prefix)
    return prefix
