"""Secrets in files that only their owner may read."""

import os
import stat
from pathlib import Path

from pipeline.model.errors import Misconfigured

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write_private(file: Path, content: bytes, why_not_over: str) -> None:
    """Write a new file that only its owner may read, durably.

    Raises Misconfigured when the file is there, which is left as it is, with `why_not_over` as the way out; or when it
    cannot be written.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise Misconfigured(f"{file}: is there already", hint=why_not_over) from None
    except OSError as error:
        raise Misconfigured(f"{file}: cannot be written: {error.strerror}", hint="name another file") from None


def read_private(file: Path, what: str, hint: str) -> bytes:
    """Return what is in a file. Raises Misconfigured when it cannot be read, or others may read it too."""
    try:
        if file.stat().st_mode & _OTHERS:
            raise Misconfigured(f"{file}: others may read this key", hint=f"chmod 600 {file}, and consider a new key")
        return file.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{file}: {what} cannot be read: {error.strerror}", hint=hint) from None
