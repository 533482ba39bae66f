"""The reference pages under docs/reference/, and what makes each."""

from collections.abc import Callable, Iterator, Mapping

import click

from pipeline.cli.cases import contract_page
from pipeline.cli.failures import MEANINGS
from pipeline.cli.main import fanout
from pipeline.cli.modules import modules_page
from pipeline.settings.reference import settings_page, topologies_page

WIDTH = 100
_INTRODUCTION = """# Commands

`fanout` and `python -m pipeline` are the same. The shared options (`-c`, `--log-level`, `--log-format`, `--debug`) may
stand before or after the command's name. Reports go to standard output, everything else to standard error.
"""


def commands_page() -> str:
    """Return docs/reference/cli.md: the help of every command, and the exit codes."""
    parts = [f"\n## {path}\n\n```text\n{text}\n```\n" for path, text in _helps(fanout, None, "fanout")]
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in sorted(MEANINGS.items()))
    return "".join([_INTRODUCTION, *parts, "\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n", codes])


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/reference/cli.md": commands_page,
    "docs/reference/contract.md": contract_page,
    "docs/reference/modules.md": modules_page,
    "docs/reference/settings.md": settings_page,
    "docs/reference/topologies.md": topologies_page,
}
"""Path to what makes the page, for the command that writes them and the test that they are fresh."""


def _helps(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command, parent, info_name=name, terminal_width=WIDTH, color=False, **command.context_settings
    )
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None and not found.hidden:
                yield from _helps(found, context, inner)
