"""The pages of a worker, asked over http: open on this machine, beyond it for those with the token."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from pipeline.local.child import free_port
from pipeline.telemetry.metrics import PipelineCollector
from pipeline.worker.app import Work, create_app

TOKEN = "open-sesame"
HERE = "127.0.0.1"
ELSEWHERE = "127.1"
"""The system binds this to loopback, so nothing leaves this machine; by its text it is any other address."""
STATE = {"healthy": False, "problems": ["capture of orders: its stream is gone"], "halted": []}
PAGES = ("/status", "/metrics", "/", "/health/", "//health", "/nowhere")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def work(host: str, token: str) -> Work:
    """Return the work of a process that does nothing but show its pages."""
    collector = PipelineCollector([], None, {})
    status = {"worker": "w-1"}
    return Work(
        "changes", [], None, {}, 1.0, 1.0, 1.0, host, free_port(), lambda: STATE, lambda: status, collector, token
    )


def ask(host: str, token: str, *asked: tuple[str, Mapping[str, str]]) -> list[tuple[int, str, Mapping[str, str]]]:
    """Start the pages on a host and return status, text and headers of each answer."""

    async def story() -> list[tuple[int, str, Mapping[str, str]]]:
        app = create_app(work(host, token))
        await app.start()
        try:
            base = f"http://{HERE}:{app.work.web_port}"
            async with aiohttp.ClientSession() as client:
                return [await answer(client, base + path, headers) for path, headers in asked]
        finally:
            await app.stop()

    return asyncio.run(story())


async def answer(client: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> Any:
    """Return one answer."""
    async with client.get(url, headers=headers) as response:
        return response.status, await response.text(), response.headers


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    """Return the header."""
    return {"Authorization": f"{scheme} {token}"}


def test_on_this_machine_all_pages_are_open() -> None:
    """On loopback status, metrics and the whole of health are shown without a token."""
    health, status, metrics = ask(HERE, "", ("/health", {}), ("/status", {}), ("/metrics", {}))
    assert (health[0], status[0], metrics[0]) == (503, 200, 200)
    assert "its stream is gone" in health[1]
    assert "w-1" in status[1]
    assert "process_cpu_seconds_total" in metrics[1]


@pytest.mark.parametrize("token", ["", TOKEN])
def test_beyond_it_health_says_yes_or_no(token: str) -> None:
    """Without a token in the request, health is answered, and names neither tables nor reasons."""
    ((status, text, _),) = ask(ELSEWHERE, token, ("/health", {}))
    assert status == 503
    assert text.replace(" ", "") == '{"healthy":false}'


def test_without_a_token_in_the_environment_everything_else_is_shut() -> None:
    """403 with what to do, whatever the request carries; an empty token opens nothing."""
    asked = [(path, headers) for path in PAGES for headers in ({}, bearer(""), bearer("x"))]
    for status, text, _ in ask(ELSEWHERE, "", *asked):
        assert status == 403
        assert "FANOUT_WEB_TOKEN is not set" in text


def test_without_the_right_token_nothing_is_shown() -> None:
    """401, alike for pages that exist and those that do not, and no word of what is expected."""
    wrong = [{}, bearer(""), bearer("open"), bearer(TOKEN + "x"), bearer("é"), bearer(TOKEN, "Basic"), {"X": TOKEN}]
    for status, text, headers in ask(ELSEWHERE, TOKEN, *((path, each) for path in PAGES for each in wrong)):
        assert status == 401
        assert headers["WWW-Authenticate"] == "Bearer"
        assert TOKEN not in text
        assert "w-1" not in text


def test_the_token_opens_the_pages() -> None:
    """With the token in the header, status and metrics are shown."""
    asked = [("/status", bearer(TOKEN)), ("/metrics", bearer(TOKEN, "bearer")), ("/nowhere", bearer(TOKEN))]
    status, metrics, nowhere = ask(ELSEWHERE, TOKEN, *asked)
    assert (status[0], metrics[0], nowhere[0]) == (200, 200, 404)
    assert "w-1" in status[1]


def test_the_token_is_not_in_what_describes_the_work() -> None:
    """A traceback or a log line that shows the work does not show its token."""
    assert TOKEN not in repr(work(HERE, TOKEN))
