"""The simplest topology: every change becomes one JSON file in a local folder. A new one starts as a copy of this."""

from dataclasses import dataclass

from pipeline.plugin import Batch, Context, Sink, Topology, change_to_json


@dataclass(frozen=True, slots=True)
class Settings:
    """The key of `[topologies.folder]`: the folder for the files, which is created."""

    path: str


class Folder(Sink):
    """Names a file by its change's shard and position: a change that comes again rewrites the same bytes."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self._files = context.folder(settings.path)

    async def write(self, batch: Batch) -> None:
        """Write one file for each change."""
        for position, change in batch:
            await self._files.replace(f"{batch.shard}/{position:012d}.json", change_to_json(change))


topology = Topology("folder", Settings, Folder)
