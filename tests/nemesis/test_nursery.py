"""A forked process is one: it writes its log, has an exit code, and can be killed."""

import os
from pathlib import Path

from tests.nemesis.nursery import Nursery

ENDED_SECONDS = 60.0


def test_it_runs_the_command_line_and_dies_like_a_process(tmp_path: Path) -> None:
    """One that ends by itself has its code and its words; one that is killed has -9; both at once."""
    log = tmp_path / "log"
    with Nursery(dict(os.environ)) as nursery:
        wrong = nursery.start(["run", "-c", "nowhere.toml"], tmp_path, dict(os.environ), log)
        killed = nursery.start(["run", "-c", "nowhere.toml"], tmp_path, dict(os.environ), tmp_path / "other")
        killed.kill()
        assert killed.wait(ENDED_SECONDS) == -9
        assert wrong.wait(ENDED_SECONDS) == 2
    assert "nowhere.toml" in log.read_text()
