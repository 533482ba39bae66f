"""How a command ends when it is told to, whoever began it. Real processes, real signals."""

import os
import signal
import subprocess
import sys

import pytest

from pipeline.cli.failures import NOT_READ

WAITING = """
import asyncio, signal, sys
from pipeline.cli.main import fanout, main

@fanout.command()
def wait():
    async def story():
        try:
            print("waits", flush=True)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            print("cleaned up", flush=True)
    asyncio.run(story())

for each in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.SIG_IGN if sys.argv[1] == "background" else signal.default_int_handler)
sys.exit(main(["wait"]))
"""
SECONDS_MAX = 30.0


def test_output_that_nobody_reads_to_its_end_is_no_finding() -> None:
    """With `| head` the exit code is that of a closed pipe, not that of a problem that was found."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "--help"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (NOT_READ, b"")


@pytest.mark.parametrize("begun", ["foreground", "background"])
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_cleans_up(begun: str, told: signal.Signals) -> None:
    """SIGTERM and the terminal's closing end it as Ctrl-C does, also where a script began it deaf to Ctrl-C."""
    with subprocess.Popen([sys.executable, "-c", WAITING, begun], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline() == "waits\n"
            running.send_signal(told)
            rest, _ = running.communicate(timeout=SECONDS_MAX)
        finally:
            running.kill()
    assert (running.returncode, rest) == (130, "cleaned up\n")
