"""Changes travel encrypted: a plain-http endpoint is refused unless it is loopback or named by hand."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from pipeline.model.errors import Misconfigured


def check_endpoint(url: str, plain_http_hosts: Collection[str], field: str) -> None:
    """Raise Misconfigured, naming `field`, unless a URL is https, or plain http to loopback or `plain_http_hosts`."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not host:
        raise Misconfigured(f"{field}: is not an endpoint", hint="write a URL, such as https://dynamodb.example.com")
    if parts.scheme == "https" or is_loopback(host) or host in plain_http_hosts:
        return
    raise Misconfigured(
        f"{field}: plain http to {host} would send changes and credentials in the clear",
        hint=f'use https; for an emulator in a private network add "{host}" to aws.plain_http_hosts',
    )


def is_loopback(host: str) -> bool:
    """Return True for a host that is this machine by its text; names are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
