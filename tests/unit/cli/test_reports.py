"""How reports look: JSON for machines, columns for pipes, tables for a person."""

import io
import json

import pytest

from pipeline.cli.check import report
from pipeline.cli.main import main
from pipeline.cli.render import put_report
from pipeline.settings.preflight import Finding, Severity

FINDINGS = [
    Finding(Severity.ERROR, "source.tables", "the stream of table us-east-1/orders is off", "aws dynamodb ..."),
    Finding(Severity.WARNING, "stream.lanes", "too\x1bmany", "merge"),
]

REPORT = {
    "worker": "host-1",
    "running": True,
    "captures": {"orders": {"problem": "", "shards": {"s-1": {"behind_ms": 1.26, "flow": "reading"}}}},
    "rows": [{"topology": "replica", "lag_seconds": None}, {"topology": "[red]audit", "owners": ("a", "b")}],
    "gaps": [],
}


class Terminal(io.StringIO):
    """A standard output that somebody watches."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def test_findings_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Each finding is shown with its fix, ready to be copied; an error makes the exit code 1."""
    assert report(FINDINGS, as_json=False) == 1
    assert capsys.readouterr().out.splitlines() == [
        "error    source.tables: the stream of table us-east-1/orders is off",
        "         fix: aws dynamodb ...",
        "warning  stream.lanes: too\\x1bmany",
        "         fix: merge",
        "1 errors, 1 warnings",
    ]


def test_findings_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints one object with severity, field, reason and fix of each; warnings alone are exit code 0."""
    assert report(FINDINGS[1:], as_json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is True
    assert printed["findings"] == [
        {"severity": "warning", "field": "stream.lanes", "reason": "too\x1bmany", "fix": "merge"}
    ]


def test_a_report_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal a report is plain lines and aligned columns, whatever depth it has."""
    put_report(REPORT)
    assert capsys.readouterr().out.splitlines() == [
        "worker: host-1",
        "running: yes",
        "captures orders problem: -",
        "captures orders shards:",
        "       behind ms  flow",
        "  s-1  1.3        reading",
        "rows:",
        "  topology    lag seconds  owners",
        "  replica     -            -",
        "  [red]audit  -            a, b",
        "gaps: none",
    ]


def test_a_report_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal rows become a drawn table, and text that looks like markup stays text."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    put_report(REPORT)
    drawn = terminal.getvalue()
    assert "┏" in drawn
    assert "[red]audit" in drawn


def test_versions(capsys: pytest.CaptureFixture[str]) -> None:
    """`version --json` names what behaviour depends on; --version is one line."""
    assert main(["version", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"fanout", "boto3", "faust-streaming", "python"}
    assert main(["version"]) == 0
    assert f"fanout {printed['fanout']}\n" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fanout {printed['fanout']}\n"
