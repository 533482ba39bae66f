"""From a section of text, numbers and lists to an instance of its declaration, or to an error that helps."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_type_hints

import msgspec

from pipeline.model.errors import Misconfigured
from pipeline.settings.forms import in_words, is_list

T = TypeVar("T")


class FromEnvironment(str):
    """The text of an environment variable: read leniently, and named in errors by the variable."""

    __slots__ = ("variable",)
    variable: str

    @classmethod
    def of(cls, variable: str, text: str) -> "FromEnvironment":
        """Return the text together with where it came from."""
        value = cls(text)
        value.variable = variable
        return value


def build(declared: type[T], values: Mapping[str, object], section: str, *, beside: Iterable[str] = ()) -> T:
    """Return an instance of a dataclass from a section's values; `beside` names keys of the section read elsewhere.

    Raises Misconfigured, naming the field, for an unknown or missing key, a wrong type, a value out of bounds, and for
    what the class itself refuses when it is made. Values are not repeated in the message.
    """
    hints = get_type_hints(declared, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(declared) if field.init}  # type: ignore[arg-type]  # a dataclass by contract, which `type[T]` cannot say
    for key in values:
        if key not in fields:
            raise unknown(f"{section}.{key}", key, {*fields, *beside})
    for name, field in fields.items():
        if name not in values and _required(field):
            raise missing(f"{section}.{name}", in_words(hints[name]))
    converted = {name: convert(value, hints[name], f"{section}.{name}") for name, value in values.items()}
    try:
        return declared(**converted)
    except Misconfigured as error:
        raise Misconfigured(f"[{section}]: {error.reason}", hint=error.hint) from error
    except (TypeError, ValueError) as error:
        raise Misconfigured(f"[{section}]: {error}", hint=f"see the settings of {section}") from error


def convert(value: object, declared: Any, field: str) -> Any:
    """Return a value in its declared type. Raises Misconfigured, which does not repeat the value."""
    given: object = value
    if isinstance(value, FromEnvironment):
        field = f"{field} ({value.variable})"
        given = [part.strip() for part in value.split(",") if part.strip()] if is_list(declared) else str(value)
    try:
        return msgspec.convert(given, declared, strict=not isinstance(value, FromEnvironment))
    except msgspec.ValidationError as error:
        raise Misconfigured(f"{field}: {_fault(error)}", hint=f"give {in_words(declared)}") from error


def unknown(field: str, key: str, known: Iterable[str]) -> Misconfigured:
    """Return the error for a key nobody declared, with the nearest one that somebody did."""
    names = sorted(known)
    near = difflib.get_close_matches(key.lower().replace("-", "_"), names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(names)}"
    return Misconfigured(f"{field}: there is no such setting", hint=hint)


def missing(field: str, form: str) -> Misconfigured:
    """Return the error for a required setting that nobody gave, with both ways to give it."""
    section, _, name = field.rpartition(".")
    return Misconfigured(f"{field}: missing", hint=f"give {form}: {name} in [{section}], or {variable_of(field)}")


def variable_of(field: str) -> str:
    """Return the environment variable of a dotted setting: `source.table` is FANOUT_SOURCE_TABLE."""
    return "FANOUT_" + field.upper().replace(".", "_").replace("-", "_")


def section_of(value: object, name: str) -> Mapping[str, object]:
    """Return a section's values. Raises Misconfigured when something else has its name."""
    if not isinstance(value, dict):
        raise Misconfigured(f"{name}: is a value, not a section", hint=f"write [{name}] and its settings below it")
    return value


def _required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _fault(error: msgspec.ValidationError) -> str:
    """Return what is wrong without the value, which may be something that must not be shown."""
    text = str(error)
    if "got `" in text:
        return "is of the wrong type"
    return "is out of bounds" if "`int`" in text or "`float`" in text else "is not of the right form"
