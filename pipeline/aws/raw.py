"""Bodies that pass botocore untouched, in and out: its parser and serialiser cost most of a core otherwise.

Sending uses documented events. Receiving uses `before-parse`, which is not documented: where it is not emitted, or the
protocol is no longer JSON, botocore parses as always and the answer is encoded again, to the same JSON shape.
"""

import base64
import datetime as dt
from collections.abc import Iterable
from typing import Any

import orjson
from botocore.model import OperationModel

_SENT = "RawRequestBody"
_RECEIVED = "RawResponseBody"
_OK = 200


def receive(client: Any, operations: Iterable[str]) -> None:
    """Make the client hand on the bodies of these operations' answers, for `body_of`."""
    for operation in operations:
        _register(client, "before-parse", operation, _keep_body)


def send(client: Any, operations: Iterable[str]) -> None:
    """Make the client send what it is given by `with_body` as the body of these operations' requests."""
    for operation in operations:
        _register(client, "provide-client-params", operation, _take_body)
        _register(client, "before-call", operation, _put_body)


def with_body(body: bytes) -> dict[str, Any]:
    """Return the keyword argument that carries a request's body."""
    return {_SENT: body}


def body_of(answer: Any) -> bytes:
    """Return the JSON body of an answer, as it came or, without the event, encoded again."""
    if _RECEIVED in answer:
        body: bytes = answer[_RECEIVED]
        return body
    parsed = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    return orjson.dumps(parsed, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _register(client: Any, event: str, operation: str, handler: Any) -> None:
    service = client.meta.service_model.service_id.hyphenize()
    # The id makes a second registration for a shared client do nothing.
    client.meta.events.register(f"{event}.{service}.{operation}", handler, unique_id=f"fanout-{event}-{operation}")


def _keep_body(
    operation_model: OperationModel,
    response_dict: dict[str, Any],
    customized_response_dict: dict[str, Any],
    **_: Any,
) -> None:
    if response_dict["status_code"] == _OK and operation_model.service_model.resolved_protocol == "json":
        customized_response_dict[_RECEIVED] = response_dict["body"]
        response_dict["body"] = b""


def _take_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context[_SENT] = params.pop(_SENT)


def _put_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    params["body"] = context[_SENT]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        return value.timestamp()
    raise TypeError(type(value).__name__)
