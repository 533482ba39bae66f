"""The live picture of the flow, for a terminal, and its plain lines, for everything else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Signal
from threading import Thread

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.wiring.demo.scene import Scene
from pipeline.wiring.demo.stage import LIMITS, REPLICA_REGION, SOURCE_REGION, STREAM, TABLE

FRAMES_PER_SECOND = 6
LINE_SECONDS = 2.0
EVENTS_SHOWN = 5
WIDTH_MAX = 100
COLOURS = {"replica": "green", "archive": "yellow", "audit": "magenta", "folder": "blue"}
PLACES = {
    "replica": f"{REPLICA_REGION}/{TABLE}",
    "archive": "s3://orders-archive",
    "audit": "s3://orders-audit",
    "folder": "a local folder",
}


class Picture:
    """Renders the scene anew each time it is asked."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the picture of this moment."""
        scene = self._scene
        title = Text.assemble(
            (" fanout demo ", "bold"), (f" {scene.phase} ", "cyan"), (f" {scene.seconds:.0f} s ", "dim")
        )
        yield Panel(
            Group(self._flow(), *self._events()),
            title=title,
            title_align="left",
            subtitle=Text(f" {LIMITS} ", "dim"),
            subtitle_align="left",
            border_style="cyan",
            padding=(1, 2),
            width=min(options.max_width, WIDTH_MAX),
        )

    def _flow(self) -> Table:
        scene = self._scene
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=12, no_wrap=True)
        table.add_column(width=25, no_wrap=True)
        table.add_column(ratio=1)
        for width in (7, 7, 7):
            table.add_column(width=width, justify="right", no_wrap=True)
        table.add_row("", "", "", *(Text(word, "dim") for word in ("changes", "per s", "behind")))
        self._row(table, "table", f"{SOURCE_REGION}/{TABLE}", "written", "white")
        self._process(table, "capture")
        self._row(table, "Kinesis", f"{STREAM}, {scene.shards or '?'} shards", "captured", "cyan")
        self._process(table, "worker")
        last = scene.topologies[-1]
        for name in scene.topologies:
            self._row(table, f" {'└' if name == last else '├'}─▶ {name}", PLACES[name], name, COLOURS[name])
        return table

    def _row(self, table: Table, name: str, place: str, stage: str, colour: str) -> None:
        scene = self._scene
        count, behind, rate = scene.counts.of(stage), scene.behind(stage), round(scene.rate(stage))
        table.add_row(
            Text(name, f"bold {colour}"),
            Text(place, "dim"),
            ProgressBar(scene.changes, count, complete_style=colour, finished_style=colour),
            f"{count:,}",
            f"{rate:,}" if rate else "-",
            Text(f"{behind:,}" if behind else "-", "yellow" if behind else "dim"),
        )

    def _process(self, table: Table, command: str) -> None:
        state = self._scene.processes.get(command, "not started yet")
        gone = state.endswith("killed")
        table.add_row(Text(" │", "dim"), Text(state, "bold red" if gone else "dim"))

    def _events(self) -> Iterator[RenderableType]:
        if self._scene.events:
            yield Text()
        for event in self._scene.events[-EVENTS_SHOWN:]:
            yield Text.assemble(
                (f"{event.seconds:5.1f} s  ", "dim"), (event.text, "bold red" if event.alarming else "green")
            )


def line_of(scene: Scene) -> str:
    """Return the scene as one line."""
    counts = scene.counts
    done = "  ".join(f"{name} {count:,}" for name, count in counts.settled.items())
    return f"{scene.seconds:5.1f} s  {scene.phase}: written {counts.written:,}  captured {counts.captured:,}  {done}"


@contextmanager
def shown(scene: Scene, console: Console, *, lines: bool) -> Iterator[None]:
    """Show the scene while the body runs: alive on a terminal, else as lines now and then if `lines`."""
    if console.is_terminal:
        with Live(Picture(scene), console=console, refresh_per_second=FRAMES_PER_SECOND):
            yield
        return
    if not lines:
        yield
        return
    console.print(LIMITS, soft_wrap=True, highlight=False)
    end = Signal()
    thread = Thread(target=_tell, args=(scene, end, lambda line: console.print(line, soft_wrap=True, highlight=False)))
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _tell(scene: Scene, end: Signal, say: Callable[[str], None]) -> None:
    told = 0
    while True:
        over = end.wait(LINE_SECONDS)
        for event in scene.events[told:]:
            told += 1
            say(f"{event.seconds:5.1f} s  {event.text}")
        say(line_of(scene))
        if over:
            return
