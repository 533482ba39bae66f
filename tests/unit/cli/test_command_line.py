"""What a person, a script or an orchestrator sees of a command: words, streams, exit codes."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipeline.cli.failures import CODES, DEFECT, INTERRUPTED, MEANINGS, tell
from pipeline.cli.main import fanout, main
from pipeline.model import errors

CONFIGURED = """
[source]
region = "us-east-1"
table = "orders"
[stream]
name = "orders-changes"
[state]
table = "fanout-state"
"""


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, at a terminal of 80 columns, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FANOUT_CONFIG", raising=False)
    return tmp_path


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command."""
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_help_of_the_group(capsys: pytest.CaptureFixture[str]) -> None:
    """The first page a newcomer sees is the one we agreed on."""
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == (Path(__file__).parent / "help.txt").read_text()


@pytest.mark.parametrize("command", list(commands(fanout)))
def test_every_command_explains_itself(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Each command has a page of help, which needs no configuration."""
    assert main([*command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: fanout {' '.join(command)}")
    assert err == ""


@pytest.mark.parametrize("arguments", [["nope"], ["run", "--nope"], ["replicate", "a"], ["demo", "--changes", "0"], []])
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong use ends with 2 and says on standard error how it is right."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: fanout" in err


def amounts() -> list[tuple[str, ...]]:
    """Return the words of each command with each of its options that take a number with a fraction."""
    found = []
    for words in commands(fanout):
        command: click.Command = fanout
        for word in words:
            assert isinstance(command, click.Group)
            command = command.commands[word]
        floats = [each for each in command.params if isinstance(each.type, click.types.FloatParamType)]
        found += [(*words, each.opts[0]) for each in floats]
    return found


@pytest.mark.parametrize("amount", ["nan", "inf", "-1", "x"])
@pytest.mark.parametrize("words", amounts())
def test_an_amount_is_a_finite_number_within_bounds(
    words: tuple[str, ...], amount: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no amount of seconds or units is refused by every option that takes one, with its name and the reason."""
    assert main([*words, amount]) == 2
    assert f"Invalid value for '{words[-1]}'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "capture", "worker", "check", "setup", "status"])
def test_no_configuration(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without any configuration the first missing setting is named, with every way to give it, and no traceback."""
    assert main([command]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        'error: source.region: missing\nfix: give an AWS region such as "eu-west-1": region in [source],'
        " or FANOUT_SOURCE_REGION; there is no fanout.toml here, name one with -c\n"
    )


@pytest.mark.parametrize("arguments", [["-c", "x.toml", "check"], ["check", "-c", "x.toml"], ["check"]])
def test_where_the_configuration_is(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """-c counts before and after the command; FANOUT_CONFIG counts when it is not given."""
    monkeypatch.setenv("FANOUT_CONFIG", "elsewhere.toml" if "-c" in arguments else "x.toml")
    assert main(arguments) == 2
    assert "error: x.toml: cannot be read" in capsys.readouterr().err


def test_delivery_without_topologies(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run and worker refuse to start with nothing to deliver to."""
    (working_folder / "fanout.toml").write_text(CONFIGURED)
    for command in ("run", "worker"):
        assert main([command]) == 2
        assert "error: topologies: none is configured\nfix: add a section" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("orders", "SOURCE: names no region"),
        ("us-east-1/o", "SOURCE (table): is not of the right form"),
        ("mars/orders", "SOURCE (region): is not of the right form"),
        ("arn:aws:s3:::orders", "SOURCE: is an ARN of s3"),
    ],
)
def test_wrong_places(source: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Replicate names the argument that is no table, and how a table is written."""
    assert main(["replicate", source, "eu-west-1/orders"]) == 2
    assert reason in capsys.readouterr().err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """--debug adds the traceback to the message, before or after the command."""
    for arguments in (["--debug", "check"], ["check", "--debug"]):
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert err.splitlines()[-2] == "error: source.region: missing"


def test_every_error_has_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of error ends with the code of its cause, and each code is explained."""
    kinds = [errors.Misconfigured, errors.Gap, errors.Corrupt, errors.RetryLater, errors.LeaseLost]
    assert [tell(kind("reason", hint="hint"), debug=False) for kind in kinds] == [2, 3, 4, 75, 75]
    assert tell(errors.Rejected({7: "too large"}), debug=False) == 5
    assert tell(errors.Defect("ValueError at sink.py:1"), debug=False) == 70
    assert tell(errors.IteratorExpired("reason"), debug=False) == 75
    assert "error: reason\nfix: hint\n" in capsys.readouterr().err
    assert set(errors.PipelineError.__subclasses__()) == set(CODES)
    assert set(CODES.values()) <= set(MEANINGS)


def raising(error: BaseException) -> click.Command:
    """Return a command that raises."""

    def callback() -> None:
        raise error

    return click.Command("raising", callback=callback)


def test_a_defect_is_one_line_without_content(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error nobody foresaw is told by kind and place; its text, which may quote an item, is not shown."""
    monkeypatch.setitem(fanout.commands, "raising", raising(KeyError("card 4111")))
    assert main(["raising"]) == DEFECT
    err = capsys.readouterr().err
    assert err.startswith("error: unexpected KeyError in ")
    assert f"{Path(__file__).name}:" in err
    assert "fix: run it again with --debug" in err
    assert "4111" not in err
    assert "Traceback" not in err
    assert main(["--debug", "raising"]) == DEFECT
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with 130 and one line: that the same command can be given again."""
    monkeypatch.setitem(fanout.commands, "raising", raising(KeyboardInterrupt()))
    assert main(["raising"]) == INTERRUPTED
    out, err = capsys.readouterr()
    assert (out, len(err.split("\n"))) == ("", 3)  # click ends the line that has ^C
    assert "can be given again" in err


def test_no_control_characters_in_errors(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name with an escape sequence or a line break in it is spelled out."""
    (working_folder / "fanout.toml").write_text('["\\u001b[2Jerror\\nfix"]\nx = 1')
    assert main(["check"]) == 2
    err = capsys.readouterr().err
    assert "\\x1b[2Jerror\\nfix: there is no such setting" in err
    assert "\x1b" not in err


SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12"


@pytest.mark.parametrize("command", [["check"], ["run"], ["setup"], ["status"], ["audit", "verify"], ["health"]])
@pytest.mark.parametrize(
    "place", [f'[aws]\naws_secret_access_key = "{SECRET}"', f'[worker]\nid = "{SECRET}"\nweb_port = "{SECRET}"']
)
def test_a_secret_is_in_no_output(
    command: list[str], place: str, working_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret put into the configuration appears in no output of any command, tracebacks included."""
    (working_folder / "fanout.toml").write_text(CONFIGURED + place + "\n")
    assert main([*command, "--debug"]) in ({1, 2} if command == ["health"] else {2})
    out, err = capsys.readouterr()
    assert SECRET[:12] not in out + err
