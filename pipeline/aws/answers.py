"""Whose answer it is: what did not come from AWS is no answer, whatever its status says.

A proxy or the login page of a network may answer in AWS's place, with status 200 and a page of its own. botocore takes
such a page for an answer without fields: a conditional write would count as done, a listing as empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse

_REQUEST_IDS = ("x-amzn-requestid", "x-amz-request-id")
"""The header with the request's id, one of which every answer of AWS carries: JSON services, and S3."""
_ERRORS = 300
"""From this status on an answer claims no success."""


class NotFromAws(ResponseParserError):
    """An answer that says the call succeeded, and was not written by AWS."""


def check_origin(client: Any) -> None:
    """Make the client raise NotFromAws for an answer that claims success without the id of its request."""
    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"after-call.{service}", _check, unique_id="fanout-origin")


def _check(http_response: AWSResponse, **_: Any) -> None:
    if http_response.status_code < _ERRORS and not any(name in http_response.headers for name in _REQUEST_IDS):
        http_response.raw.close()  # of a download nobody will read on
        raise NotFromAws("an answer without a request id")
