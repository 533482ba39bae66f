"""Where a command is asked to put what it makes: a table of a region, or a file; refused before any work is done."""

import re
from pathlib import Path

from pipeline.model.errors import Misconfigured

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


def table_place(into: str, home: str) -> tuple[str, str]:
    """Return region and table of `[REGION/]TABLE`, `home` where no region is named. Raises Misconfigured."""
    named, slash, table = into.rpartition("/")
    if not _TABLE.fullmatch(table):
        raise Misconfigured(f"--into {into!r}: no table has such a name", hint="3 to 255 of A-Z a-z 0-9 _ . -")
    if slash and not _REGION.fullmatch(named):
        raise Misconfigured(f"--into {into!r}: {named!r} is no region", hint=f"write it like eu-west-1/{table}")
    return named or home, table


def new_file(path: Path, option: str) -> None:
    """Raise Misconfigured when there is something of that name, of whatever kind: it is not ours to replace."""
    if path.is_symlink() or path.exists():
        raise Misconfigured(f"{option} {path}: there is something of that name", hint="give another, or remove it")
    if not path.parent.is_dir():
        raise Misconfigured(f"{option} {path}: there is no folder {path.parent}", hint="create it, or correct the path")
