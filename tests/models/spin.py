"""Models checked with Spin: every state that a model can reach is visited, in memory and depth that are bounded."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MODELS = Path(__file__).parents[2] / "models"
SIZE = "FAULTS"
"""The macro that sizes a model; every other one is a mutant."""
MEMORY_MB_MAX = 1024
LARGE_MEMORY_MB_MAX = 12 * 1024
DEPTH_MAX = 10_000
CHECK_SECONDS_MAX = 60
LARGE_CHECK_SECONDS_MAX = 1800


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the search found: the first violation, "" when there is none, and in how many states."""

    violation: str
    states: int
    seconds: float


def missing() -> str:
    """Return the programs that the checks need and this machine lacks, "" when it has all."""
    return " and ".join(name for name in ("spin", "gcc") if shutil.which(name) is None)


def names() -> list[str]:
    """Return the models."""
    return sorted(path.stem for path in MODELS.glob("*.pml"))


def text(model: str) -> str:
    """Return a model's text."""
    return (MODELS / f"{model}.pml").read_text()


def mutants(model: str) -> list[str]:
    """Return the macros that each break a model in one place."""
    return sorted(set(re.findall(r"^#ifn?def (\w+)", text(model), re.MULTILINE)) - {SIZE})


def core_names(model: str) -> list[str]:
    """Return the functions of the core that a model's actions stand for."""
    return re.findall(r"/\* core: ([\w.]+) \*/", text(model))


def check(model: str, folder: Path, *macros: str, large: bool = False) -> Verdict:
    """Search a model for a failed assertion, a run that never ends and a process that waits for ever.

    A search that was cut short, by memory, depth or time, is an error and not a verdict.
    """
    defines = [f"-D{macro}" for macro in macros]
    memory = LARGE_MEMORY_MB_MAX if large else MEMORY_MB_MAX
    faulty = bool(set(macros) & set(mutants(model)))
    _run(folder, "spin", "-a", *defines, str(MODELS / f"{model}.pml"))
    optimize = "-O0" if faulty else "-O2"  # a mutant is found sooner than a compiler has optimized
    _run(folder, "gcc", optimize, "-w", "-DNP", f"-DMEMLIM={memory}", "-o", "pan", "pan.c")
    found = _run(
        folder,
        "./pan",
        "-l",
        "-n",
        "-b",
        f"-m{DEPTH_MAX}",
        "-w22",
        seconds=LARGE_CHECK_SECONDS_MAX if large else CHECK_SECONDS_MAX,
    )
    if "Search not completed" in found and "errors: 1" not in found:
        raise RuntimeError(found)
    violation = re.search(r"^pan:1: (.*)$", found, re.MULTILINE)
    states, seconds = re.search(r"(\d+) states, stored", found), re.search(r"elapsed time ([\d.]+)", found)
    assert states is not None, found
    assert seconds is not None, found
    return Verdict(violation[1] if violation else "", int(states[1]), float(seconds[1]))


def _run(folder: Path, *command: str, seconds: int = CHECK_SECONDS_MAX) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout
