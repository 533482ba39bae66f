"""Changes travel encrypted: a plain-http endpoint is refused unless it is loopback or named by hand."""

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from pipeline.model.errors import Misconfigured

VARIABLE = "AWS_ENDPOINT_URL"
"""The SDK's own variable for all services; AWS_ENDPOINT_URL_<SERVICE> is for one."""


def check_endpoints(environ: Mapping[str, str], plain_http_hosts: Collection[str]) -> None:
    """Raise Misconfigured for an endpoint variable that is not a URL or sends changes in the clear."""
    for variable in sorted(environ):
        if (variable == VARIABLE or variable.startswith(VARIABLE + "_")) and environ[variable]:
            check_endpoint(environ[variable], plain_http_hosts, variable)


def check_endpoint(url: str, plain_http_hosts: Collection[str], field: str) -> None:
    """Raise Misconfigured unless a URL is https, or plain http to loopback or to one of `plain_http_hosts`.

    Adapters call this with the endpoint a client ended up with, which may come from a profile.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not host:
        raise Misconfigured(f"{field}: is not an endpoint", hint="write a URL, such as https://dynamodb.example.com")
    if parts.scheme == "https" or _loopback(host) or host in plain_http_hosts:
        return
    raise Misconfigured(
        f"{field}: plain http to {host} would send changes and credentials in the clear",
        hint=f'use https; for an emulator in a private network add "{host}" to aws.plain_http_hosts',
    )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
