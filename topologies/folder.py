"""The simplest topology: every change becomes one JSON file in a local folder. A new one starts as a copy of this."""

from dataclasses import dataclass

from pipeline.plugin import Batch, Context, Topology, change_to_json


@dataclass(frozen=True, slots=True)
class Settings:
    """The key of `[topologies.folder]`: the folder for the files, which is created."""

    path: str


class Folder:
    """Names a file by its change's pipeline, shard and position: a change that comes again rewrites the same bytes.

    A pipeline that is begun anew counts its positions from one again; under its own name it overwrites nothing.
    """

    def __init__(self, settings: Settings, context: Context) -> None:
        self._files = context.folder(settings.path)
        self._pipeline = context.pipeline

    async def open(self) -> None:
        """Do nothing: there is nothing to get ready."""

    async def write(self, batch: Batch) -> None:
        """Write one file for each change."""
        for position, change in batch:
            name = f"{self._pipeline}/{batch.shard}/{position:012d}.json"
            await self._files.replace(name, change_to_json(change))

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


topology = Topology("folder", Settings, Folder)
