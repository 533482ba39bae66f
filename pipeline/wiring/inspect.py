"""`fanout check`: the look before the start, through the AWS adapters."""

import asyncio

from pipeline.aws.clock import SystemClock
from pipeline.aws.inspector import AwsInspector
from pipeline.aws.session import Aws
from pipeline.settings import Settings, preflight
from pipeline.settings.preflight import Finding
from pipeline.wiring.attributes import key_findings


def findings(settings: Settings) -> list[Finding]:
    """Return what is wrong with the resources the configuration names; nothing is written."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        inspector = AwsInspector(aws, SystemClock(), settings.stream.region)
        return [*key_findings(settings), *asyncio.run(preflight.findings(settings, inspector))]
