"""docker-compose.yml: valid by the Compose specification, complete in both profiles, and confined as the image is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from compose_spec import PyOptions

from pipeline.settings import load

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
OURS = {"": ["fanout", "setup"], "faithful": ["fanout-faithful", "setup-faithful"]}


def parsed() -> Any:
    """Return the file as the specification's parser reads it."""
    return PyOptions(apply_merge=True).from_yaml(TEXT)


def services() -> dict[str, Any]:
    """Return the services, merge keys resolved."""
    return dict(parsed().to_dict()["services"])


def needed(name: str) -> set[str]:
    """Return a service with all it depends on, however far."""
    found = {name}
    for other in services()[name].get("depends_on", {}):
        found |= needed(other)
    return found


def test_keeps_the_specification() -> None:
    """The file parses strictly and as the specification's schema, and refers to no volume or network it lacks."""
    compose = parsed()
    compose.validate()
    compose.to_spec()


def test_the_parser_would_refuse_a_mistake() -> None:
    """The check is worth something: a misspelt key and a wrong value are refused."""
    for wrong in (TEXT.replace("read_only:", "readonly:"), TEXT.replace("unless-stopped", "sometimes")):
        with pytest.raises(ValueError, match=r"readonly|sometimes"):
            PyOptions(apply_merge=True).from_yaml(wrong)


def test_the_default_profile_is_one_command() -> None:
    """Without a profile, exactly the pipeline on LocalStack starts."""
    started = {name for name, service in services().items() if not service.get("profiles")}
    assert started == needed("fanout") == {"fanout", "setup", "localstack"}


def test_the_faithful_profile_is_one_command() -> None:
    """Naming its service is enough: all it needs is in its profile, and LocalStack is not."""
    wanted = needed("fanout-faithful")
    assert wanted == {"fanout-faithful", "setup-faithful", "dynamodb", "kinesis", "ministack"}
    assert all(services()[name]["profiles"] == ["faithful"] for name in wanted)


@pytest.mark.parametrize("profile", OURS)
def test_the_pipeline_starts_on_what_exists(profile: str) -> None:
    """Emulators are healthy before set-up runs, and set-up has succeeded before the pipeline starts."""
    run, setup = (services()[name] for name in OURS[profile])
    assert run["depends_on"] == {OURS[profile][1]: {"condition": "service_completed_successfully"}}
    for emulator, how in setup["depends_on"].items():
        assert how == {"condition": "service_healthy"}
        assert services()[emulator]["healthcheck"]["test"]


@pytest.mark.parametrize("name", [name for names in OURS.values() for name in names])
def test_our_containers_are_confined(name: str) -> None:
    """No root, no capability, no new privilege, nothing writable but the one folder and a temporary one in memory."""
    service = services()[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert [volume.partition(":")[2] for volume in writable] == (
        ["/var/lib/fanout"] if "run" in service["command"] else []
    )


def test_mounted_files_exist() -> None:
    """Every path of the host is in the repository, and every other volume is declared."""
    declared = set(parsed().to_dict()["volumes"])
    for service in services().values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (ROOT / source).is_dir() if source.startswith(".") else source in declared


def test_emulators_are_pinned_and_private() -> None:
    """Images carry an exact version, and ports are published on this machine only, each one once."""
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)
    images = {service["image"] for service in services().values() if "build" not in service}
    assert all(re.search(r":\d+\.\d+\.\d+$", image) for image in images)
    assert "localstack/localstack:4.14.0" in images


@pytest.mark.parametrize("name", [name for names in OURS.values() for name in names])
def test_the_configuration_is_accepted(name: str, tmp_path: Path) -> None:
    """The product takes the mounted file with the service's environment; it has two regions and every kind of sink."""
    settings = load(ROOT / "deploy/compose/fanout.toml", services()[name]["environment"], tmp_path)
    assert set(settings.topologies) == {"replica", "archive", "audit"}
    assert settings.source.region != settings.topologies["replica"].options.region


def test_no_host_is_trusted_for_nothing() -> None:
    """Plain http is allowed to the hosts the endpoints name and to no other, and each is a service."""
    settings = tomllib.loads((ROOT / "deploy/compose/fanout.toml").read_text())
    endpoints = "\n".join(str(services()[name]["environment"]) for names in OURS.values() for name in names)
    hosts = set(re.findall(r"http://([\w-]+):\d+", endpoints))
    assert hosts == set(settings["aws"]["plain_http_hosts"])
    assert hosts <= set(services())
