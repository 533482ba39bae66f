"""Who may see the pages: anybody on this machine; from elsewhere, who has the token."""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from pipeline.model.endpoint import is_loopback

HEALTH = "/health"
"""The one page that needs no token, for load balancers and orchestrators; it then says yes or no and nothing else."""
UNSET = (
    "this worker listens beyond its machine, and FANOUT_WEB_TOKEN is not set: "
    "set it in the environment of the worker, or let worker.web_host be 127.0.0.1\n"
)
WRONG = "send the header Authorization: Bearer <the worker's FANOUT_WEB_TOKEN>\n"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guarded(host: str) -> bool:
    """Return True when a server on this host can be reached from other machines, as far as its text tells."""
    return not is_loopback(host)


def middlewares(host: str, token: str) -> Sequence[Any]:
    """Return what stands before every page of a server on this host."""
    return [_guard(token)] if guarded(host) else []


def _guard(token: str) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == HEALTH:
            return await handler(request)
        if not token:
            return web.Response(status=403, text=UNSET)
        if not _knows(request, token):
            return web.Response(status=401, text=WRONG, headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return guard


def _knows(request: web.Request, token: str) -> bool:
    """Return True when the request carries the token; how long the answer takes does not tell how much was right."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    given_bytes, token_bytes = (text.encode("utf-8", "surrogateescape") for text in (given.strip(), token))
    return scheme.lower() == "bearer" and hmac.compare_digest(given_bytes, token_bytes)
