"""What every command shares: where the configuration is, how to log, and whether to show tracebacks."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from pipeline.settings import Settings, load
from pipeline.settings.load import DEFAULT_FILE
from pipeline.telemetry.logs import LEVELS, configure

P = ParamSpec("P")
R = TypeVar("R")
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True)
class Invocation:
    """The shared options of one call of `fanout`, given before or after the command's name; the last one counts."""

    config: Path | None = None
    log_level: str | None = None
    log_format: str | None = None
    debug: bool = False

    @property
    def file(self) -> Path | None:
        """Return the configuration that was named, by option or else by FANOUT_CONFIG."""
        named = os.environ.get("FANOUT_CONFIG")
        return self.config or (Path(named) if named else None)

    def settings(self) -> Settings:
        """Return the settings, with logging set up as they say. Raises Misconfigured."""
        settings = load(self.file)
        self.log(settings.log.level, settings.log.format)
        return settings

    def log(self, level: str = "info", form: str = "text") -> None:
        """Set up logging, options first."""
        configure(self.log_level or level, self.log_format or form)


def shared_options(command: Command) -> Command:
    """Add the options of Invocation, kept there and not passed to the function."""
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, callback=_keep, help="Show tracebacks."),
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            expose_value=False,
            callback=_keep,
            help="Its form.",
        ),
        click.option(
            "--log-level",
            type=click.Choice(list(LEVELS)),
            expose_value=False,
            callback=_keep,
            help="Least severity.",
        ),
        click.option(
            "-c",
            "--config",
            type=click.Path(path_type=Path),
            expose_value=False,
            callback=_keep,
            help=f"Configuration, or FANOUT_CONFIG. Default: ./{DEFAULT_FILE} if it exists.",
        ),
    ):
        command = option(command)
    return command


def with_settings(function: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Pass the settings to a command as its first argument; add the shared options to it."""

    @functools.wraps(function)
    def load_first(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(invocation().settings(), *args, **kwargs)

    return shared_options(load_first)


def invocation() -> Invocation:
    """Return the shared options of the running command."""
    return click.get_current_context().ensure_object(Invocation)


def _keep(context: click.Context, option: click.Parameter, value: object) -> None:
    if value and option.name:
        setattr(context.ensure_object(Invocation), option.name, value)
