"""Answers of AWS without AWS: clients whose requests never leave the process."""

from collections.abc import Iterator
from typing import Any

import orjson
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

Answer = tuple[int, object] | Exception


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, **_: Any) -> Iterator[bytes]:
        """Yield the bytes, as the HTTP library would."""
        yield self._data

    def read(self, amt: int | None = None) -> bytes:
        """Return the next bytes of a body that is streamed."""
        some, self._data = (self._data, b"") if amt is None else (self._data[:amt], self._data[amt:])
        return some


class Canned:
    """Answers every request of a client from a list, the last one again and again, and keeps the request bodies."""

    def __init__(self, client: Any, *answers: Answer) -> None:
        self.bodies: list[bytes] = []
        self._answers = list(answers)
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"before-send.{service}.*", self._send)

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        body: Any = request.body
        self.bodies.append(bytes(body or b""))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, content = answer
        data = content if isinstance(content, bytes) else orjson.dumps(content)
        headers: Any = {"content-type": "application/x-amz-json-1.0", "x-amzn-requestid": "r"}
        raw: Any = _Body(data)
        return AWSResponse(request.url, status, headers, raw)


def error(code: str, status: int = 400, **more: object) -> Answer:
    """Return an error answer whose message holds what must not be passed on."""
    return status, {"__type": f"com.amazonaws#{code}", "message": "The key is SECRET-VALUE", **more}
