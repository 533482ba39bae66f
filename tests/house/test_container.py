"""The container's constraints without a container engine: the wheel, run as the image runs it.

As root on Linux, mount namespaces give what the engine would: a read-only root file system that holds nothing but
the system, Python and the installed wheel, one writable folder, a numeric user, no capability and no way to gain one.
User, environment, working folder and volume are read from the Dockerfile. Elsewhere these tests are skipped with a line
that says what was not proven; the wheel is built, installed and run all the same.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
LOCK = (ROOT / "requirements-run.lock").read_text()
USER, GROUP = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, flags=re.MULTILINE)[-1]
(FOLDER,) = json.loads(re.findall(r"^VOLUME (.*)$", DOCKERFILE, flags=re.MULTILINE)[-1])
WORKDIR = re.findall(r"^WORKDIR (.*)$", DOCKERFILE, flags=re.MULTILINE)[-1]
ENVIRONMENT = dict(pair.split("=", 1) for pair in re.findall(r"^ENV (.*)$", DOCKERFILE, flags=re.MULTILINE)[-1].split())
SYSTEM = ["/usr", "/bin", "/lib", "/lib64", "/etc/ssl", "/etc/passwd", "/etc/nsswitch.conf", "/etc/ld.so.cache"]

Run = Callable[..., subprocess.CompletedProcess[str]]

MAKE_ROOT = r"""
set -eu
new=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$new"
for path in "$@"; do
    test -e "$path" || continue
    mkdir -p "$new$(dirname "$path")"
    if test -L "$path"; then cp -P "$path" "$new$path"; continue; fi
    if test -d "$path"; then mkdir -p "$new$path"; else touch "$new$path"; fi
    mount --rbind "$path" "$new$path"
    mount -o remount,bind,ro "$new$path"
done
mkdir -p "$new/proc" "$new/dev" "$new/tmp" "$new$WORKDIR" "$new$FOLDER"
chmod 1777 "$new/tmp"
mount -t proc proc "$new/proc"
for device in null urandom; do touch "$new/dev/$device"; mount --bind "/dev/$device" "$new/dev/$device"; done
mount --bind "$STATE" "$new$FOLDER"
mount -o remount,ro "$new"
cd "$new"
exec chroot . setpriv --reuid="$USER_ID" --regid="$GROUP_ID" --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all env -i --chdir="$WORKDIR" $ENVIRONMENT sh -c "$COMMAND"
"""

TRY_TO_WRITE = r"""
import json, os, site, sys, sysconfig, tempfile
places = ["/", "/tmp", "/etc", "/usr", os.getcwd(), os.path.dirname(sys.executable), sysconfig.get_paths()["purelib"]]
def writable(place):
    try:
        open(os.path.join(place, "written"), "w").close()
    except OSError:
        return False
    os.remove(os.path.join(place, "written"))
    return True
status = dict(line.split(":\t") for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
print(json.dumps({
    "writable": [place for place in places if writable(place)],
    "read_write": [place for place in places if not os.statvfs(place).f_flag & os.ST_RDONLY],
    "state": writable(sys.argv[1]), "temporary": tempfile.gettempdir(), "home": os.path.expanduser("~"),
    "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid()], "groups": os.getgroups(),
    "capabilities": status["CapEff"].strip("0") + status["CapBnd"].strip("0"), "no_new_privs": status["NoNewPrivs"],
    "cwd": os.getcwd(),
}))
"""

IMPORT_ALL = """
import importlib, pkgutil, pipeline
for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    if not module.name.startswith(("pipeline.__main__", "pipeline.testing.")):
        print(importlib.import_module(module.name).__name__)
"""


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment of its own."""

    wheel: Path
    prefix: Path
    state: Path

    @property
    def bin(self) -> Path:
        """Return the folder of the commands."""
        return self.prefix / "bin"


def link_locked(site: Path) -> None:
    """Link what the image's lock names, and nothing else, from this environment into another."""
    for name, marker in re.findall(r"^([\w.-]+)==[\w.]+( ;)?", LOCK, flags=re.MULTILINE):
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            assert marker, f"{name} is locked for the image and not installed here"
            continue
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(sysconfig.get_paths()["purelib"]) / top)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it as the image does, beside nothing but the locked dependencies."""
    base = tmp_path_factory.mktemp("image")
    tree, prefix, state = base / "source", base / "opt-fanout", base / "state"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".*cache*", ".venv", "__pycache__", "tests"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(base)]
    subprocess.run([*pip, "wheel", *options, str(tree)], check=True, timeout=60)
    (wheel,) = base.glob("*.whl")
    venv.create(prefix, symlinks=True)
    interpreter = str(prefix / "bin" / "python")
    subprocess.run(
        [*pip, "--python", interpreter, "install", "--no-deps", "--no-index", str(wheel)], check=True, timeout=60
    )
    link_locked(*prefix.glob("lib/python*/site-packages"))
    state.mkdir()
    return Installed(wheel, prefix, state)


def namespaces_allowed() -> bool:
    """Return True when this process may build a root file system of its own."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "chroot"))):
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False, timeout=60
    )
    return tried.returncode == 0


@pytest.fixture(scope="module")
def confined(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a shell command in a root file system like the image's, under its constraints."""
    if not namespaces_allowed():
        pytest.skip(
            "NOT PROVEN: a read-only root and a foreign user need root and mount namespaces, which are refused here"
        )
    new = tmp_path_factory.mktemp("root")
    os.chown(installed.state, int(USER), int(GROUP))
    paths = [*SYSTEM, sys.base_prefix, sysconfig.get_paths()["purelib"], str(installed.prefix)]
    variables = ENVIRONMENT | {"PATH": f"{installed.bin}:/usr/bin:/bin"}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "WORKDIR": WORKDIR,
            "FOLDER": FOLDER,
            "STATE": str(installed.state),
            "USER_ID": USER,
            "GROUP_ID": GROUP,
            "ENVIRONMENT": " ".join(f"{name}={value}" for name, value in variables.items()),
            "COMMAND": command,
        }
        arguments = ["unshare", "--mount", "--pid", "--fork", "--ipc", "sh", "-c", MAKE_ROOT, "sh", str(new), *paths]
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return run


def test_the_wheel_carries_the_program_only(installed: Installed) -> None:
    """The wheel has the two packages and its own record, and names the command and the transport."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        tops = {name.partition("/")[0] for name in wheel.namelist()}
        (entries,) = [wheel.read(n).decode() for n in wheel.namelist() if n.endswith("entry_points.txt")]
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pipeline", "topologies"}
    assert "fanout = pipeline.cli.main:main" in entries
    assert "kinesis = pipeline.worker.transport:Transport" in entries


def look(confined: Run) -> dict[str, Any]:
    """Return what a program sees and may do under the constraints."""
    done = confined(f"python -c '{TRY_TO_WRITE}' {FOLDER}")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_one_folder_is_writable(confined: Run) -> None:
    """As the image's user nothing can be written but the volume, and temporary files and HOME are in it."""
    seen = look(confined)
    assert seen["read_write"] == seen["writable"] == []
    assert seen["state"] is True
    assert seen["temporary"] == seen["home"] == FOLDER
    assert seen["cwd"] == WORKDIR


def test_no_privilege_is_left(confined: Run) -> None:
    """The user is the image's, in no other group, without a capability and without a way to one."""
    seen = look(confined)
    assert seen["ids"] == [int(USER)] * 2 + [int(GROUP)] * 2
    assert seen["groups"] == []
    assert seen["capabilities"] == ""
    assert seen["no_new_privs"] == "1"


def test_the_command_works_confined(confined: Run) -> None:
    """`fanout --help` answers under all constraints and leaves nothing behind."""
    done = confined("fanout --help")
    assert done.returncode == 0, done.stderr
    assert "Usage: fanout" in done.stdout
    assert done.stderr == ""
    assert confined(f"ls -A {FOLDER}").stdout == ""


def test_every_module_imports_confined(confined: Run) -> None:
    """No module but those of the test kit, which needs pytest, asks for more than the image has when it is imported."""
    done = confined(f"python -c '{IMPORT_ALL}'")
    assert done.returncode == 0, done.stderr
    assert "pipeline.ports" in done.stdout.split()


def tree_of(prefix: Path) -> list[Path]:
    """Return a tree but its bytecode: the interpreter stores that of the linked modules, which pip never compiled."""
    return sorted(path for path in prefix.rglob("*") if "__pycache__" not in path.parts)


def test_the_command_works_without_a_home(installed: Installed) -> None:
    """`fanout --help` answers from / with no environment but PATH, and writes nothing of its own into its tree."""
    before = tree_of(installed.prefix)
    command = [str(installed.bin / "fanout"), "--help"]
    environment = {"PATH": f"{installed.bin}:/usr/bin:/bin"}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Usage: fanout" in done.stdout
    assert tree_of(installed.prefix) == before
