"""Environment variables over the file: FANOUT_<SECTION>_<NAME>, and FANOUT_TOPOLOGIES_<TOPOLOGY>_<NAME>."""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping

from pipeline.model.errors import Misconfigured
from pipeline.settings.convert import FromEnvironment, section_of, unknown, variable_of
from pipeline.settings.declaration import SECTIONS
from pipeline.settings.forms import TOPOLOGY_NAME

PREFIX = "FANOUT_"
TOPOLOGIES = "FANOUT_TOPOLOGIES"
"""Names of topologies, separated by commas, that are switched on without a section in the file."""

WEB_TOKEN = "FANOUT_WEB_TOKEN"  # noqa: S105  # the name of a variable
"""What opens status and metrics to other machines: the one secret of ours, and never a setting."""

NEAR = 0.75
"""Likeness from which a section's name is taken for a slip. Kubernetes sets FANOUT_SERVICE_HOST and the like for a
service called fanout, so a variable that resembles no section is not ours."""


def overlay(sections: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Return the sections with the environment's values over the file's; topologies are under `topologies.<name>`.

    Raises Misconfigured for a section nobody knows, and for a variable that looks like a setting and is none.
    """
    merged = _flat(sections)
    for name in _listed(environ):
        merged.setdefault(f"topologies.{name}", {})
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable != TOPOLOGIES:
            _place(merged, variable, FromEnvironment.of(variable, environ[variable]))
    return merged


def _flat(sections: Mapping[str, object]) -> dict[str, dict[str, object]]:
    flat: dict[str, dict[str, object]] = {}
    for name, value in sections.items():
        if name == "topologies":
            for topology, inner in section_of(value, name).items():
                _check_name(topology)
                flat[f"topologies.{topology}"] = dict(section_of(inner, f"topologies.{topology}"))
        elif name in SECTIONS:
            flat[name] = dict(section_of(value, name))
        else:
            raise unknown(name, name, [*SECTIONS, "topologies"])
    return flat


def _listed(environ: Mapping[str, str]) -> Iterable[str]:
    for name in filter(None, (part.strip() for part in environ.get(TOPOLOGIES, "").split(","))):
        _check_name(name)
        yield name


def _check_name(name: str) -> None:
    if not re.fullmatch(TOPOLOGY_NAME, name):
        raise Misconfigured(
            f"topologies.{name}: is not a name for a topology",
            hint="use a-z 0-9 _ -, starting with a letter, up to 63; [topologies] holds sections only",
        )


def _place(merged: dict[str, dict[str, object]], variable: str, value: FromEnvironment) -> None:
    if variable.startswith(TOPOLOGIES + "_"):
        _place_in_topology(merged, variable, value)
        return
    section, _, key = variable.removeprefix(PREFIX).lower().partition("_")
    if section not in SECTIONS:
        if near := difflib.get_close_matches(section, [*SECTIONS, TOPOLOGIES.removeprefix(PREFIX).lower()], 1, NEAR):
            raise Misconfigured(
                f"{variable}: there is no such setting", hint=f"did you mean {variable_of(f'{near[0]}.{key}')}?"
            )
        return
    known = {field.name for field in dataclasses.fields(SECTIONS[section])}
    if key not in known:
        raise unknown(f"{section}.{key} ({variable})", key, known)
    merged.setdefault(section, {})[key] = value


def _place_in_topology(merged: dict[str, dict[str, object]], variable: str, value: FromEnvironment) -> None:
    """Put a value where it belongs; of two names that both fit, as `a` and `a_b`, the longer one is meant."""
    sections = [section for section in merged if variable.startswith(variable_of(section) + "_")]
    if not sections:
        raise Misconfigured(
            f"{variable}: belongs to no configured topology",
            hint=f"name the topology in {TOPOLOGIES}, or give it a section in the file",
        )
    section = max(sections, key=len)
    merged[section][variable.removeprefix(variable_of(section) + "_").lower()] = value
