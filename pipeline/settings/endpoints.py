"""The endpoint variables of the environment, checked before a client is made."""

from collections.abc import Collection, Mapping

from pipeline.model.endpoint import check_endpoint

VARIABLE = "AWS_ENDPOINT_URL"
"""The SDK's own variable for all services; AWS_ENDPOINT_URL_<SERVICE> is for one."""


def check_endpoints(environ: Mapping[str, str], plain_http_hosts: Collection[str]) -> None:
    """Raise Misconfigured for an endpoint variable that is not a URL or sends changes in the clear."""
    for variable in sorted(environ):
        if (variable == VARIABLE or variable.startswith(VARIABLE + "_")) and environ[variable]:
            check_endpoint(environ[variable], plain_http_hosts, variable)
