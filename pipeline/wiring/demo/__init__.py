"""`fanout demo`: the whole job on an embedded AWS, with two processes killed on the way and proof at the end."""

import asyncio
import json
import sys

from rich.console import Console

from pipeline.aws.session import Aws
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.demo.gauges import gauges_of
from pipeline.wiring.demo.picture import shown
from pipeline.wiring.demo.play import Play
from pipeline.wiring.demo.proof import Proof
from pipeline.wiring.demo.report import put_report
from pipeline.wiring.demo.scene import Scene
from pipeline.wiring.demo.stage import Stage, open_stage


def run(*, changes: int, seconds_max: float, as_json: bool) -> int:
    """Run the demo; return 0 when all is proven, 1 when something is wrong, which the report names.

    Standard output gets the report, and the picture before it; with `as_json` one JSON object, and the picture goes to
    standard error. Raises PipelineError when the demo cannot be played at all.
    """
    console = Console(stderr=as_json)
    scene = Scene(changes, ("replica", "archive", "audit", "folder"))
    with open_stage(_say_kept) as stage:
        with shown(scene, console, lines=not as_json), Aws() as aws:
            proof = asyncio.run(_play(stage, parts_of(stage.settings, aws), scene, seconds_max))
        stage.failed = bool(proof.problems)
    if as_json:
        sys.stdout.write(json.dumps(proof.figures) + "\n")
    else:
        put_report(proof, console)
    return 1 if proof.problems else 0


async def _play(stage: Stage, parts: Parts, scene: Scene, seconds_max: float) -> Proof:
    return await Play(stage, parts, await gauges_of(parts), scene).run(seconds_max)


def _say_kept(folder: str) -> None:
    sys.stderr.write(f"configuration and logs are kept in {folder}\n")
