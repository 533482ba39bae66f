"""The Dockerfile: clean by hadolint, and what it says about user, folder, health and signals."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()


def stages() -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage as (name, argument), continued lines joined."""
    lines = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    parts = [line.partition(" ") for line in lines if line.strip()]
    found: list[list[tuple[str, str]]] = []
    for name, _, argument in parts:
        if name == "FROM":
            found.append([])
        found[-1].append((name, " ".join(argument.split())))
    return found


def image() -> dict[str, str]:
    """Return the last instruction of each name in the final stage."""
    return dict(stages()[-1])


def test_hadolint_has_nothing_to_say() -> None:
    """The linter passes at its strictest, and no rule is switched off."""
    assert "hadolint" not in TEXT
    assert not list(ROOT.glob(".hadolint*"))
    command = [str(Path(sys.executable).parent / "hadolint"), "--failure-threshold", "style", "Dockerfile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_base_images_are_pinned() -> None:
    """Both stages start from one exact Python on one Debian, so that what is built there runs here."""
    bases = [re.fullmatch(r"python:(\d+\.\d+\.\d+)-(?:slim-)?(\w+)(?: AS \w+)?", dict(s)["FROM"]) for s in stages()]
    assert all(bases)
    assert len({base.groups() for base in bases if base}) == 1


def test_the_image_has_nothing_to_build_with() -> None:
    """The final stage is the slim one, installs nothing and removes pip and its company."""
    runs = " ".join(argument for name, argument in stages()[-1] if name == "RUN")
    assert "-slim-" in image()["FROM"]
    assert "pip uninstall --yes setuptools wheel pip" in runs
    assert not re.search(r"apt-get|pip install|curl|wget", runs)


def test_dependencies_come_from_the_lock_by_hash() -> None:
    """The environment is filled from the runtime lock, and the project's own wheel brings nothing along."""
    runs = [argument for name, argument in stages()[0] if name == "RUN"]
    assert any("--require-hashes -r requirements-run.lock" in run for run in runs)
    assert any("install --no-deps --no-index /dist/*.whl" in run for run in runs)


def test_it_runs_as_a_number_without_root() -> None:
    """The user is numeric, so that an orchestrator can tell that it is not root."""
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", image()["USER"])


def test_it_has_one_writable_folder() -> None:
    """The one volume belongs to the user, and HOME and temporary files go there."""
    (folder,) = json.loads(image()["VOLUME"])
    owner, group = image()["USER"].split(":")
    runs = " ".join(argument for name, argument in stages()[-1] if name == "RUN")
    assert f"install -d -o {owner} -g {group} -m 0750 {folder}" in runs
    assert f"HOME={folder}" in image()["ENV"]
    assert f"TMPDIR={folder}" in image()["ENV"]
    assert "PYTHONUNBUFFERED=1" in image()["ENV"]


def test_signals_reach_the_program() -> None:
    """No shell stands between the orchestrator and the program, and stopping means SIGTERM."""
    assert json.loads(image()["ENTRYPOINT"]) == ["fanout"]
    assert json.loads(image()["CMD"]) == ["run"]
    assert image()["STOPSIGNAL"] == "SIGTERM"


def test_health_is_the_programs_own_word() -> None:
    """The health check asks the program, in exec form, with a bound on time."""
    assert image()["HEALTHCHECK"].endswith('CMD ["fanout", "health"]')
    assert "--timeout=" in image()["HEALTHCHECK"]


def test_the_build_context_is_what_is_copied() -> None:
    """Nothing else of the folder, a secret least of all, is sent to the builder."""
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copies = [argument.split()[:-1] for name, argument in stages()[0] if name == "COPY"]
    assert "*" in rules
    assert allowed == {source for copied in copies for source in copied}
