"""`fanout reference`: writes the generated pages; for those who change this software."""

from pathlib import Path

import click

from pipeline.cli.failures import DONE


@click.command(hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path())
def reference(root: Path) -> int:
    """Write docs/reference/ below ROOT, the folder of a checkout."""
    from pipeline.cli.pages import PAGES

    for path, make in PAGES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(make(), encoding="utf-8")
        click.echo(path)
    return DONE
