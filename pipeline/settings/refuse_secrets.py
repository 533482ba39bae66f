"""No secret belongs in the configuration: one that is found is refused, and never shown."""

import re
from collections.abc import Iterator, Mapping

from pipeline.model.errors import Misconfigured
from pipeline.settings.environment import PREFIX, WEB_TOKEN

_SECRET_KEY = re.compile(
    r"secret|passw|session_?token|access_?key|private_?key|api_?key|credential|(^|_)token$", re.IGNORECASE
)
_REFERENCE = re.compile(r"_(arn|env|file)$", re.IGNORECASE)
"""A key that says where a secret is kept is no secret."""

_KEY_ID = re.compile(r"(?<![A-Z0-9])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])")
_SECRET_VALUE = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_URL_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def refuse_secrets(sections: Mapping[str, object], environ: Mapping[str, str]) -> None:
    """Raise Misconfigured, naming the setting and showing nothing of its value, when a secret is configured.

    Looks at the names and the values of the file and of the FANOUT_ variables. Credentials in the standard AWS
    variables are where they belong, and so is the token of the pages.
    """
    ours = ((name, name, text) for name, text in environ.items() if name.startswith(PREFIX) and name != WEB_TOKEN)
    for field, key, value in (*_leaves(sections, ""), *ours):
        if looks_secret(key):
            raise _refusal(field.replace(key, "<hidden>"))
        if (_SECRET_KEY.search(key) and not _REFERENCE.search(key)) or looks_secret(value):
            raise _refusal(field)


def looks_secret(text: str) -> bool:
    """Return True for text in which an AWS key, a private key or a password in a URL is recognised."""
    if _KEY_ID.search(text) or _PRIVATE_KEY.search(text) or _URL_PASSWORD.search(text):
        return True
    return any(_mixed(match.group()) for match in _SECRET_VALUE.finditer(text))


def _mixed(text: str) -> bool:
    """Tell 40 random characters from a name or a hexadecimal digest of 40: they mix cases and digits."""
    return all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]"))


def _leaves(value: object, at: str) -> Iterator[tuple[str, str, str]]:
    """Yield (dotted name, last key, value as text) of everything in a file."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = f"{at}.{key}" if at else str(key)
            yield name, str(key), ""
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, at)
    else:
        yield at, at.rpartition(".")[2], str(value)


def _refusal(field: str) -> Misconfigured:
    return Misconfigured(
        f"{field}: looks like a secret, and secrets do not belong in the configuration",
        hint="remove it, and rotate it if the file was shared; credentials come from the standard AWS chain"
        " (role, profile, AWS_* variables), any other secret from a variable or file that a setting ending in"
        " _env, _file or _arn names",
    )
