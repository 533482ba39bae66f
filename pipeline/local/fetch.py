"""Emulators published as npm packages, fetched when first needed and never shipped."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from pipeline.local.child import Unavailable

FETCH_SECONDS = 180.0
CACHE_VARIABLE = "FANOUT_EMULATOR_CACHE"


class Package(NamedTuple):
    """One npm package, pinned by version and by the digest of the file that is run."""

    name: str
    version: str
    runs: str
    """Path inside the package of the file that is run."""
    sha256: str


def cache_folder() -> Path:
    """Return where packages are unpacked: `.cache/emulators` of the repository unless the environment says other."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(__file__).parents[2] / ".cache" / "emulators"


def fetched(package: Package) -> Path:
    """Return the folder of the unpacked package, fetched with npm when it is not there yet.

    Two processes may do this at once: each unpacks beside the cache, and the first to rename wins.
    Raises Unavailable when npm is missing, cannot fetch, or brings another file than the pinned one.
    """
    home = cache_folder() / f"{package.name}-{package.version}"
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetch-") as name:
            _adopt(_unpacked(package, Path(name)), home)
    _check(package, home)
    return home


def needed(program: str, purpose: str) -> str:
    """Return the path of a program. Raises Unavailable, saying what it is needed for."""
    path = shutil.which(program)
    if path is None:
        raise Unavailable(f"{program} is not installed, {purpose} needs it", hint=f"install {program}")
    return path


def _unpacked(package: Package, folder: Path) -> Path:
    npm = needed("npm", f"fetching {package.name}")
    command = [npm, "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"npm did not fetch {package.name} in {FETCH_SECONDS:.0f} s") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise Unavailable(f"npm could not fetch {package.name}@{package.version}", hint="is the registry in reach?")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def _adopt(unpacked: Path, home: Path) -> None:
    try:
        unpacked.rename(home)
    except OSError:
        if not home.is_dir():
            raise


def _check(package: Package, home: Path) -> None:
    digest = hashlib.sha256((home / package.runs).read_bytes()).hexdigest()
    if digest != package.sha256:
        raise Unavailable(
            f"{package.name}@{package.version} is not the package that was tested", hint=f"remove {home} and try again"
        )
