"""The doors of the house: `.ci/run` and `make`, tried with stand-ins for the programs they call."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRESENT = dict.fromkeys(("python3", "java", "npm", "spin", "gcc"), "exit 0")

Programs = Callable[..., Path]


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """Return a function that makes a folder of programs, each a few lines of shell, and nothing else on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(scripts: dict[str, str]) -> Path:
        for tool in ("dirname", "awk"):
            found = shutil.which(tool)
            assert found
            (folder / tool).symlink_to(found)
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return folder

    return make


def run(command: list[str], path: Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command that finds only the programs of `path`."""
    environment = {"PATH": str(path)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("fails", "code", "last"),
    [
        ("none", 0, "ci: all passed"),
        ("check", 1, "ci: FAILED: check"),
        ("test", 1, "ci: FAILED: test"),
        ("check|test", 1, "ci: FAILED: check test"),
        ("simulate", 1, "ci: FAILED: simulate"),
        ("mutants", 1, "ci: FAILED: mutants"),
        ("sweep", 1, "ci: FAILED: sweep"),
    ],
)
def test_ci_runs_both_and_tells_the_truth(programs: Programs, fails: str, code: int, last: str) -> None:
    """Checks and tests run in this order whatever happens, and one failure is enough to fail."""
    path = programs(PRESENT | {"make": f'echo "make $1"; case $1 in {fails}) exit 2;; esac'})
    done = run([str(ROOT / ".ci/run")], path, Path("/"))
    assert done.returncode == code
    assert done.stdout.splitlines()[:2] == ["make check", "make test"]
    assert (done.stdout + done.stderr).splitlines()[-1] == last


def test_ci_installs_only_what_is_missing(programs: Programs) -> None:
    """With everything there the package manager is not called; without Java, Java alone is asked for."""
    record = 'echo "apt-get $*"'
    path = programs({name: "exit 0" for name in PRESENT if name != "java"} | {"make": "exit 0", "apt-get": record})
    done = run([str(ROOT / ".ci/run")], path)
    assert "ci: installing default-jre-headless" in done.stdout
    assert "install -y -qq --no-install-recommends default-jre-headless\n" in done.stdout
    shutil.copy(path / "npm", path / "java")
    assert "apt-get" not in run([str(ROOT / ".ci/run")], path).stdout


def test_ci_goes_on_loudly_when_it_cannot_install(programs: Programs) -> None:
    """A machine without a package manager still gets its checks and tests, and is told what they lack."""
    path = programs({name: "exit 0" for name in PRESENT if name != "java"} | {"make": "exit 0"})
    done = run([str(ROOT / ".ci/run")], path)
    assert done.returncode == 0
    assert "COULD NOT INSTALL default-jre-headless" in done.stderr


def test_make_alone_lists_its_targets(programs: Programs) -> None:
    """The default target explains the others."""
    done = run([str(shutil.which("make"))], programs(PRESENT))
    assert done.returncode == 0
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert listed == [
        "help",
        "demo",
        "test",
        "test-slow",
        "check",
        "fuzz",
        "simulate",
        "mutants",
        "sweep",
        "nemesis",
        "models",
        "contract",
        "bootstrap-proof",
        "bench",
        "bench-isolation",
        "lock",
        "restore-proof",
        "tamper-proof",
        "verify-proof",
        "export-proof",
        "clean",
    ]


def test_an_old_python_is_refused_with_the_fix(programs: Programs, tmp_path: Path) -> None:
    """On a machine whose only Python is too old nothing is built, and the message names what is needed and found."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    old = 'case $1 in --version) echo "Python 3.9.2";; *) exit 1;; esac'
    done = run([str(shutil.which("make")), "demo"], programs({"python3": old}), tmp_path)
    assert done.returncode != 0
    assert "fanout needs Python 3.11 or newer; found: Python 3.9.2." in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_a_newer_python_beside_an_old_one_is_found(programs: Programs, tmp_path: Path) -> None:
    """Where python3 is too old and python3.12 is there, the latter makes the environment."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    path = programs({"python3": "exit 1", "python3.12": "exit 0"})
    done = run([str(shutil.which("make")), "--dry-run", "demo"], path, tmp_path)
    assert "python3.12 -m venv .venv" in done.stdout


def test_the_entry_is_executable() -> None:
    """Continuous integration can start it as it is."""
    assert os.access(ROOT / ".ci/run", os.X_OK)
