"""The way of a configuration: file, environment, secrets refused, sections built, topologies loaded, rules checked."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pipeline.model.errors import Misconfigured
from pipeline.settings.convert import FromEnvironment, build, missing
from pipeline.settings.declaration import (
    SECTIONS,
    ConfiguredTopology,
    Quarantine,
    Settings,
    Source,
    State,
    Stream,
    TopologySection,
    Worker,
)
from pipeline.settings.endpoints import check_endpoints
from pipeline.settings.environment import overlay
from pipeline.settings.names import agree, resolve
from pipeline.settings.plugins import load_topology
from pipeline.settings.refuse_secrets import refuse_secrets
from pipeline.settings.rules import check_rules
from pipeline.wire.attributes import AttributePolicy

DEFAULT_FILE = "fanout.toml"

TWICE = ("Cannot declare ", "Cannot overwrite ", "Duplicate inline table key ")
"""How the parser begins to say that a name was given before; the first of sections alone."""

_COMMON = frozenset(field.name for field in fields(TopologySection))
"""Keys of a topology's section that are not the plugin's own."""


def load(file: Path | None, environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Settings:
    """Return the settings of a file under the environment's.

    Without a file, `fanout.toml` in `folder` (default: the working folder) is read if there is one; all settings may
    come from the environment. Raises Misconfigured, naming the setting, why, and what to write instead.
    """
    folder = folder or Path.cwd()
    sections = _sections(file, folder)
    try:
        return settle(sections, environ, folder)
    except Misconfigured as error:
        if sections or file:
            raise
        hint = f"{error.hint}; there is no {DEFAULT_FILE} here, name one with -c"
        raise Misconfigured(error.reason, hint=hint) from error


def load_worker(file: Path | None, environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Worker:
    """Return the worker's section alone, to ask a running process: no topology is loaded, no rule applied."""
    given = {"worker": _sections(file, folder or Path.cwd()).get("worker", {})}
    ours = {variable: text for variable, text in environ.items() if variable.startswith("FANOUT_WORKER_")}
    return build(Worker, overlay(given, ours)["worker"], "worker")


def _sections(file: Path | None, folder: Path) -> dict[str, Any]:
    default = folder / DEFAULT_FILE
    return {} if file is None and not default.exists() else read_file(file or default)


def read_file(file: Path) -> dict[str, Any]:
    """Return a TOML file as it is written. Raises Misconfigured when it cannot be read or is not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(
            f"{file}: cannot be read: {error.strerror}", hint="give the configuration with -c, see docs/reference"
        ) from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{file}: is not UTF-8 text", hint="store the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        said, _, where = str(error).rstrip(")").rpartition(" (")
        if said.startswith(TWICE):
            twice = "section" if said.startswith(TWICE[0]) else "section or key"
            msg = f"{file}: a {twice} stands there for the second time ({where})"
            raise Misconfigured(msg, hint="keep one of the two; what both have goes into it") from None
        raise Misconfigured(f"{file}: is not TOML ({where})", hint="text needs quotes; a section is [name]") from None


def settle(sections: Mapping[str, Any], environ: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings of sections already read, under the environment's: for a configuration made by a program."""
    refuse_secrets(sections, environ)
    merged = overlay(sections, environ)
    _resolve_names(merged)
    built = {name: build(declared, merged.get(name, {}), name) for name, declared in SECTIONS.items()}
    source = _one_way_to_name_tables(built["source"])
    stream: Stream = replace(built["stream"], region=built["stream"].region or source.region)
    state: State = replace(built["state"], region=built["state"].region or stream.region)
    quarantine: Quarantine = replace(built["quarantine"], region=built["quarantine"].region or stream.region)
    topologies = {
        topology.name: topology
        for topology in (
            _topology(section.removeprefix("topologies."), merged[section], source, folder)
            for section in merged
            if section.startswith("topologies.")
        )
    }
    filled = {"source": source, "stream": stream, "state": state, "quarantine": quarantine, "topologies": topologies}
    settings = Settings(**{**built, **filled})
    check_rules(settings)
    check_endpoints(environ, settings.aws.plain_http_hosts)
    return settings


def _resolve_names(merged: dict[str, dict[str, object]]) -> None:
    """Put names in the place of ARNs, and the regions of ARNs where none is given."""
    for section, key, service, kind in (
        ("source", "table", "dynamodb", "table"),
        ("source", "tables", "dynamodb", "table"),
        ("stream", "name", "kinesis", "stream"),
        ("state", "table", "dynamodb", "table"),
    ):
        values = merged.get(section, {})
        given, field = values.get(key), f"{section}.{key}"
        names = []
        for text in _texts(given):
            region, name = resolve(text, field, service=service, kind=kind)
            if found := agree(values.get("region"), region, field):
                values["region"] = found
            names.append(name)
        if isinstance(given, FromEnvironment):
            values[key] = FromEnvironment.of(given.variable, ",".join(names))
        elif isinstance(given, str):
            values[key] = names[0]
        elif names:
            values[key] = names


def _texts(given: object) -> list[str]:
    """Return the texts of a name or a list of names; anything else is left for the conversion to refuse."""
    if isinstance(given, str):
        return [part.strip() for part in given.split(",")] if isinstance(given, FromEnvironment) else [given]
    if isinstance(given, list) and all(isinstance(text, str) for text in given):
        return given
    return []


def _one_way_to_name_tables(source: Source) -> Source:
    """Return the source with all its tables in `tables`."""
    if source.table and source.tables:
        raise Misconfigured("source.table: given together with source.tables", hint="remove one of the two")
    tables = (source.table,) if source.table else source.tables
    if not tables:
        raise missing("source.table", "the name of a table (or several in tables)")
    if len(set(tables)) < len(tables):
        raise Misconfigured("source.tables: names a table twice", hint="name each table once")
    return replace(source, table="", tables=tables)


def _topology(name: str, values: Mapping[str, object], source: Source, folder: Path) -> ConfiguredTopology:
    at = f"topologies.{name}"
    _must_name_attributes(values, at)
    common = build(TopologySection, {key: value for key, value in values.items() if key in _COMMON}, at)
    topology = load_topology(common.kind or name, folder, f"{at}.kind")
    own = {key: value for key, value in values.items() if key not in _COMMON}
    return ConfiguredTopology(
        name=name,
        topology=topology,
        options=build(topology.settings, own, at, beside=_COMMON),
        tables=_subset(common.tables, source, f"{at}.tables"),
        linger_seconds=topology.linger_seconds if common.linger_seconds is None else common.linger_seconds,
        batch_changes_max=common.batch_changes_max or topology.batch_changes_max,
        deadline_seconds=common.deadline_seconds,
        attributes=AttributePolicy(
            common.drop_attributes, common.hash_attributes, common.encrypt_attributes, common.attributes_key_file
        ),
    )


def _must_name_attributes(values: Mapping[str, object], at: str) -> None:
    """Raise Misconfigured for an empty variable that would switch a policy of the file off without a word."""
    for key in ("drop_attributes", "hash_attributes", "encrypt_attributes"):
        value = values.get(key)
        if isinstance(value, FromEnvironment) and not value.strip():
            raise Misconfigured(
                f"{at}.{key}: the variable {value.variable} is empty",
                hint="unset it: the attributes of the file would be let through",
            )


def _subset(tables: tuple[str, ...], source: Source, field: str) -> tuple[str, ...]:
    for table in tables:
        if table not in source.tables:
            near = get_close_matches(table, source.tables, 1)
            raise Misconfigured(
                f"{field}: {table} is not a source table",
                hint=f"did you mean {near[0]}?" if near else f"the source has {', '.join(source.tables)}",
            )
    return tables or source.tables
