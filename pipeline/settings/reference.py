"""The reference pages of the settings, made from their declaration."""

import ast
import dataclasses
import inspect
import json
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.plugin import Topology
from pipeline.settings.convert import variable_of
from pipeline.settings.declaration import SECTIONS, TopologySection
from pipeline.settings.environment import TOPOLOGIES
from pipeline.settings.forms import help_of, in_words
from pipeline.settings.plugins import load_topology

SHIPPED = ("replica", "archive", "audit", "folder")

_INTRODUCTION = f"""# Settings

One TOML file, `fanout.toml` in the working folder or the one given with `-c`. Any value can be given as an environment
variable instead, which wins: `source.table` is `{variable_of("source.table")}`, and the `region` of
`[topologies.replica]` is `{variable_of("topologies.replica.region")}`; lists are separated by commas.
`{TOPOLOGIES}=replica,audit` switches on topologies that have no section in the file. Unknown names are refused.

AWS credentials and endpoints come from the standard AWS chain and variables, never from here: what looks like a secret
is refused. An `http://` endpoint is refused unless it is loopback or listed in `aws.plain_http_hosts`.

`FANOUT_WEB_TOKEN` is the one secret of ours, taken from the environment only: where `worker.web_host` is not loopback,
`/status` and `/metrics` are for those who send `Authorization: Bearer` and that token; while it is unset, for nobody.
`/health` needs no token there and says yes or no. The pages are plain http: beyond a private network, put TLS in front.

Tables and streams may be given by name or by ARN. `fanout check` looks at all of them before the start.
"""

_TOPOLOGY = """
## [topologies.&lt;name&gt;]

One section for each topology; the name is the kind unless `kind` says otherwise. A topology's own settings stand beside
these; those of the shipped ones are in [topologies.md](topologies.md).
"""

_TOPOLOGIES = """# Shipped topologies

The settings each has beside those of every topology, which [settings.md](settings.md) lists.
"""


def settings_page() -> str:
    """Return docs/reference/settings.md."""
    sections = [_section(name, declared) for name, declared in SECTIONS.items()]
    return "".join([_INTRODUCTION, *sections, _TOPOLOGY, _table(TopologySection, "topologies.<name>")])


def topologies_page() -> str:
    """Return docs/reference/topologies.md: the settings of the topologies that are shipped."""
    return _TOPOLOGIES + "".join(topology_part(load_topology(kind, Path(), "kind")) for kind in SHIPPED)


def topology_part(topology: Topology) -> str:
    """Return one topology's part of the page."""
    module = inspect.getmodule(topology.settings)
    prose, _, more = ((inspect.getdoc(module) if module else None) or "").partition("\n\n")
    told = f"{prose}\n" + (f"\n```text\n{more}\n```\n" if more else "")
    return f"\n## {topology.name}\n\n{told}" + _table(topology.settings, f"topologies.{topology.name}")


def _section(name: str, declared: type[Any]) -> str:
    return f"\n## [{name}]\n\n{inspect.getdoc(declared)}\n" + _table(declared, name)


def _table(declared: type[Any], section: str) -> str:
    hints, told = get_type_hints(declared, include_extras=True), _docstrings(declared)
    rows = []
    for field in dataclasses.fields(declared):
        hint = hints[field.name]
        meaning = help_of(hint) or told.get(field.name, "")
        rows.append((f"`{field.name}`", in_words(hint), _default(field), meaning))
    return "\n" + _markdown((f"in `{section}`", "value", "default", "meaning"), rows)


def _markdown(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(headings), ["---"] * 4, *map(list, rows)]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{json.dumps(field.default_factory())}`"
    if field.default is dataclasses.MISSING:
        return "required"
    return "unset" if field.default is None else f"`{json.dumps(field.default)}`"


def _docstrings(declared: type[Any]) -> Mapping[str, str]:
    """Return the docstring below each field, which is how topologies describe their settings."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(declared))).body
    assert isinstance(body, ast.ClassDef)
    told = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                told[name] = " ".join(text.split())
            case _:
                continue
    return told
